"""Prove for one image that gates and emulator agree in every bit of every tick."""

from __future__ import annotations

import importlib
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from datapath import Chip, Image
from emulator.chip import run
from sim import cxxrtl
from sim.compare import RECORDED, Verdict, compare
from sim.trace import Engine, program

ENGINES = ("cxxrtl", "icarus", "verilator")
BATCH = 300_000
"""Neuron updates whose probe words are held in memory at once."""


def verify(
    image: Image,
    counts: ArrayLike,
    engine: str = "cxxrtl",
    progress: Callable[[int, int], None] | None = None,
) -> Verdict:
    """Play `counts` on the gates of `image.chip` and on the emulator, and compare everything.

    Compared are the loaded memories as the host reads them back, every word of the probe, every
    payload of the output stream and the clocks of every command.

    counts : integers[recordings, steps, channels].
    engine : "cxxrtl", "icarus" or "verilator"; the last two are slow and start from a reset once.
    progress : called with the recordings done and all there are.

    Raises
    ------
    OSError : the simulator, or a compiler it needs, is not installed.
    """
    given = np.asarray(counts)
    if given.ndim == 3 and not len(given):
        raise ValueError("counts hold no recording to verify")
    with tempfile.TemporaryDirectory() as folder:
        simulator = simulation(image.chip, engine, Path(folder))
        batch = len(given)
        if engine == "cxxrtl" and given.ndim == 3:
            batch = max(1, BATCH // max(1, given.shape[1] * image.chip.neurons))
        verdict = Verdict(simulator.version, 0, 0, 0, 0, 0, 0, 0, "")
        for first in range(0, len(given), batch):
            some = given[first : first + batch]
            expected = run(image, some, record=RECORDED)
            asked = program(image, some)
            if first:
                # The image is loaded, and has been read back.
                asked = replace(asked, address=asked.address[:0], data=asked.data[:0])
            (seen,) = simulator.play([asked])
            verdict = _add(verdict, compare(image, asked, seen, expected, first))
            if progress is not None:
                progress(verdict.recordings, len(given))
            if verdict.difference:
                break
    return verdict


def simulation(chip: Chip, engine: str, folder: Path) -> Engine:
    """Return `engine` with the gates of `chip`, built in `folder` if it keeps no cache."""
    if engine not in ENGINES:
        raise ValueError(f"the engine must be one of {', '.join(ENGINES)}, not {engine!r}")
    if engine == "cxxrtl":
        return cxxrtl.Simulation(chip)
    try:
        verilog = importlib.import_module("sim.verilog")
    except ImportError as missing:
        raise OSError(
            f"{engine} needs the package {missing.name}: `pip install ranvier[sim]`"
        ) from missing
    made: Engine = verilog.Simulation(chip, engine, folder)
    return made


def _add(done: Verdict, more: Verdict) -> Verdict:
    """Sum up two batches of the same image."""
    return Verdict(
        engine=done.engine,
        recordings=done.recordings + more.recordings,
        ticks=done.ticks + more.ticks,
        updates=done.updates + more.updates,
        results=done.results + more.results,
        beats=done.beats + more.beats,
        clocks=done.clocks + more.clocks,
        bits=done.bits + more.bits,
        difference=more.difference,
    )
