"""Networks of SNN-delays (https://github.com/Thvnvtos/SNN-delays): synaptic delays by DCLS.

State dicts with `model.{k}.weight` [out, in, taps], `.P` [1, out, in, taps] and `.SIG`, batch norms
`model.{k}.running_mean`, and `model.{k}.w` of learned time constants.  Read as the original
evaluates them: positions rounded, kernels of one tap.
"""

from __future__ import annotations

from pathlib import Path

from model.importers.blocks import read_blocks
from model.importers.settings import Settings
from model.importers.torch_parts import peek
from model.importers.verdict import Imported


def recognizes(path: Path) -> bool:
    """Whether `path` looks like a network of DCLS layers, without recurrent delays."""
    parts = peek(path)
    layers = any("P" in part.tensors and "delay_layer" not in part.name for part in parts)
    return layers and not any("recurrent_weights" in part.tensors for part in parts)


def read(path: Path, settings: Settings) -> Imported:
    """Read `path`; for the settings see `read_blocks`."""
    return read_blocks(path, settings)
