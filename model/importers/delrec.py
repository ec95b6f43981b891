"""Networks of DelRec (https://github.com/alexmaxad/DelRec): delays on recurrent synapses.

State dicts with `layers.{k}.recurrent_weights` [post, pre] and `.recurrent_delays`, one per source
or per pair, in steps and without the one that every recurrent projection takes; sigma is in
no file.  Layers between are `Linear` or DCLS; a batch norm comes right behind them, or behind
the neurons.  Checkpoints keep the state dict under `net` (older) or `model`.
"""

from __future__ import annotations

from pathlib import Path

from model.importers.blocks import read_blocks
from model.importers.settings import Settings
from model.importers.torch_parts import peek
from model.importers.verdict import Imported


def recognizes(path: Path) -> bool:
    """Whether `path` looks like a network with recurrent delays."""
    return any("recurrent_weights" in part.tensors for part in peek(path))


def read(path: Path, settings: Settings) -> Imported:
    """Read `path`; for the settings see `read_blocks`."""
    return read_blocks(path, settings)
