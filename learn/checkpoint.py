"""Training that can be continued: what a run is, and how far it has come."""

from __future__ import annotations

import reprlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.archive import Archive, write

FORMAT = "ranvier training"
VERSION = 1


@dataclass(frozen=True, slots=True, eq=False)
class Checkpoint:
    """State of a training run after an epoch.

    run : what the run is (rule, seed, digests of network and data, ...); plain JSON.
    progress : history and state of the random generator; plain JSON.
    arrays : float32[n] by name, parameters and optimizer state.
    """

    run: Mapping[str, Any]
    progress: Mapping[str, Any]
    arrays: Mapping[str, NDArray[np.float32]]


def store(checkpoint: Checkpoint, path: Path) -> None:
    """Write `checkpoint` to `path`, replacing an older one only when the new one is complete."""
    header = {
        "format": FORMAT,
        "version": VERSION,
        "run": dict(checkpoint.run),
        "progress": dict(checkpoint.progress),
    }
    write(path, header, checkpoint.arrays)


def restore(path: Path, run: Mapping[str, Any], sizes: Mapping[str, int]) -> Checkpoint:
    """Read the checkpoint at `path`, which must be one of the same `run`.

    sizes : elements of each array.

    Raises
    ------
    ValueError
        The file is damaged, or belongs to another run.
    OSError
        The file cannot be read.
    """
    with Archive(path) as archive:
        header = archive.header()
        if header.get("format") != FORMAT or header.get("version") != VERSION:
            raise ValueError(f"{path}: is not a {FORMAT} file of version {VERSION}")
        stored, progress = header.get("run"), header.get("progress")
        if not isinstance(stored, dict) or not isinstance(progress, dict):
            raise ValueError(f"{path}: header has no fields 'run' and 'progress'")
        for name, value in run.items():
            if stored.get(name) != value:
                raise ValueError(
                    f"{path}: belongs to a run with {name} {reprlib.repr(stored.get(name))}, "
                    f"not {reprlib.repr(value)}: continue that run or name another file"
                )
        arrays = {name: archive.array(name, np.float32, (n,)) for name, n in sizes.items()}
        archive.close_complete()
    return Checkpoint(run, progress, {name: a.astype(np.float32) for name, a in arrays.items()})
