"""Prove for one image that gates and emulator agree in every bit of every tick."""

from __future__ import annotations

import importlib
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from datapath import Chip, Image
from datapath.memory import memories
from emulator.chip import Run, checked, run
from emulator.learn import Learned, checked_labels, learn
from sim import cxxrtl
from sim.compare import RECORDED, Verdict, compare
from sim.state import difference
from sim.trace import Engine, Program, Trace, program

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


class Lesson(NamedTuple):
    """Recordings between two looks of the host into the memories, and what the emulator says.

    first : number of the first recording.  image : with which they are played.
    """

    first: int
    image: Image
    asked: Program
    expected: Run
    learned: Learned


class Part(NamedTuple):
    """Recordings `first` to `last - 1`, and whether an UPDATE follows the last one."""

    first: int
    last: int
    update: bool


def parts(
    image: Image, shape: tuple[int, ...], batch: int, *, singly: bool = False
) -> Iterator[Part]:
    """Cut recordings of `shape` into batches, and these into what is held in memory at once.

    singly : into single recordings.
    """
    most = 1 if singly else max(1, BATCH // max(1, shape[1] * image.chip.neurons))
    for start in range(0, shape[0], batch):
        end = min(start + batch, shape[0])
        for first in range(start, end, most):
            last = min(first + most, end)
            yield Part(first, last, last == end)


def lessons(
    image: Image,
    counts: NDArray[np.integer[Any]],
    labels: NDArray[np.int64],
    *,
    batch: int,
    scramble: int = 0,
    singly: bool = False,
) -> Iterator[Lesson]:
    """Let the emulator learn; the host looks into every memory it has loaded after every part.

    scramble : as of `program`.  singly : as of `parts`.
    """
    for part in parts(image, counts.shape, batch, singly=singly):
        some, said = counts[part.first : part.last], labels[part.first : part.last]
        learned = learn(image, some, said, batch=len(some) if part.update else None)
        asked = program(image, some, scramble, labels=said, update=part.update)
        asked = replace(asked, look=asked.address)
        if part.first:
            # The image is loaded, and has been read back.
            asked = replace(asked, address=asked.address[:0], data=asked.data[:0])
        yield Lesson(part.first, image, asked, run(image, some, record=RECORDED), learned)
        image = learned.image


def verify_learning(
    image: Image,
    counts: ArrayLike,
    labels: ArrayLike,
    *,
    batch: int,
    engine: str = "cxxrtl",
    stalls: int = 0,
    closely: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Verdict:
    """Let the gates of `image.chip` and the emulator learn, and compare everything.

    For every recording CLEAR, its ticks, and LEARN if it has a label; after every `batch`
    recordings, and after the last one, UPDATE.  Compared is what `verify` compares, the clocks and
    the answer of every LEARN and UPDATE, and after every UPDATE all words of all loaded memories.

    counts : integers[recordings, steps, channels].  labels : integers[recordings], -1 for none.
    engine : "cxxrtl", "icarus" or "verilator".
    stalls : seed of random pauses of driver and sink, in which the clocks are not compared.
    closely : look after every LEARN, and into the memories that the host does not see as well:
        histories, signals, slopes, whatever a recording leaves.  CXXRTL alone shows these.
    progress : called with the recordings done and all there are.

    Raises
    ------
    ValueError : an image without rules, counts or labels that it does not take, or an engine that
        does not show its memories.
    OSError : the simulator, or a compiler it needs, is not installed.
    """
    given = checked(image, counts)
    named = checked_labels(image, given.shape, labels, batch)
    if not len(given):
        raise ValueError("counts hold no recording to verify")
    if closely and engine != "cxxrtl":
        raise ValueError(f"{engine} does not show the memories of the chip: cxxrtl does")
    with tempfile.TemporaryDirectory() as folder:
        simulator = simulation(image.chip, engine, Path(folder))
        taught = lessons(image, given, named, batch=batch, scramble=stalls, singly=closely)
        # Each play of the Verilog engines starts from a reset.
        groups = ([one] for one in taught) if engine == "cxxrtl" else iter([list(taught)])
        verdict = Verdict(simulator.version, 0, 0, 0, 0, 0, 0, 0, "")
        for group in groups:
            seen = simulator.play([lesson.asked for lesson in group], stalls)
            for lesson, shown in zip(group, seen, strict=True):
                if not verdict.difference:
                    verdict = _add(verdict, _judge(lesson, shown, stalled=bool(stalls)))
                if closely and not verdict.difference and named[lesson.first] >= 0:
                    heard = given[lesson.first], int(named[lesson.first])
                    verdict = _look_inside(verdict, lesson, heard, simulator)
            if progress is not None:
                progress(verdict.recordings, len(given))
            if verdict.difference:
                break
    return verdict


def _judge(lesson: Lesson, shown: Trace, *, stalled: bool) -> Verdict:
    """Compare one lesson."""
    return compare(
        lesson.image,
        lesson.asked,
        shown,
        lesson.expected,
        lesson.first,
        learned=lesson.learned,
        stalled=stalled,
    )


def _look_inside(
    verdict: Verdict,
    lesson: Lesson,
    heard: tuple[NDArray[np.integer[Any]], int],
    simulator: Engine,
) -> Verdict:
    """Compare what the LEARN of a single recording, `heard` and named so, leaves in the chip."""
    assert isinstance(simulator, cxxrtl.Simulation)
    inside = [memory for memory in memories(lesson.image.chip) if memory.state]
    seen = {memory.name: simulator.memory(memory.name) for memory in inside}
    words = difference(lesson.image, heard[0].astype(np.int64), heard[1], seen)
    return replace(
        verdict,
        bits=verdict.bits + sum(memory.bits for memory in inside),
        difference=f"recording {lesson.first}, LEARN: {words}" if words else "",
    )


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
        learns=done.learns + more.learns,
        learning_steps=done.learning_steps + more.learning_steps,
    )
