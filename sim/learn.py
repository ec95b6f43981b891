"""Learning on the very gates: what `emulator.learn` computes, read off the ports of the chip."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from datapath import Image, Kind
from datapath.contents import learned_image
from datapath.ports import Command, Result
from emulator.chip import checked, refuse
from emulator.learn import Learned, checked_labels
from sim import cxxrtl
from sim.trace import Program, Trace, by_memory, program
from sim.verify import parts

Integers = NDArray[np.int64]


def learn_on_gates(
    image: Image,
    counts: ArrayLike,
    labels: ArrayLike,
    *,
    batch: int,
    progress: Callable[[int], None] | None = None,
) -> Learned:
    """Let the gates of `image.chip` learn, which CXXRTL simulates.

    Parameters and errors are those of `emulator.learn.learn`.

    Returns
    -------
    Learned
        With all that the ports show, which is neither the scores of those that do not win, so that
        `scores` is int64[recordings, 0], nor anything of what `learn` records.

    Raises
    ------
    OSError
        No compiler is installed.
    RuntimeError
        The gates stop.
    """
    array = checked(image, counts)
    said = checked_labels(image, array.shape, labels, batch)
    if ((array < 0) | (array > image.chip.axon.count.max)).any():
        refuse(image, array, 0, array)
    chip = cxxrtl.Simulation(image.chip)
    seen = _Seen(image, array.shape)
    for part in parts(image, array.shape, batch):
        some = slice(part.first, part.last)
        asked = program(image, array[some], labels=said[some], update=part.update)
        look = asked.address[: len(asked.address) * (part.last == len(array))]
        asked = replace(asked, look=look)
        if part.first:
            asked = replace(asked, address=asked.address[:0], data=asked.data[:0])
        (shown,) = chip.play([asked])
        seen.note(part.first, asked, shown)
        if progress is not None:
            progress(part.last - part.first)
    return seen.report()


class _Seen:
    """What the ports have shown so far."""

    def __init__(self, image: Image, shape: tuple[int, ...]) -> None:
        recordings, steps = shape[:2]
        self.image, self.left = image, image
        self.blocks = {p.name: -(-p.size // image.chip.lanes) for p in image.populations}
        blocks = sum(self.blocks.values())
        self.fired = np.zeros((recordings, blocks, image.chip.lanes), np.int64)
        self.classes, self.learn_saturated = np.zeros((2, recordings), np.int64)
        self.cycles, self.saturated = np.zeros((2, recordings, steps), np.int64)
        self.clocks = {op: np.zeros(recordings, np.int64) for op in Command}
        self.update_cycles: list[int] = []

    def note(self, first: int, asked: Program, shown: Trace) -> None:
        """Note one program; `first` is the number of its first recording."""
        if shown.stopped:
            at = asked.recording[len(shown.cycles)] + first
            raise RuntimeError(f"recording {at}: the chip {shown.stopped}")
        recording = asked.recording + first
        for op, clocks in self.clocks.items():
            these = asked.op == op
            np.add.at(clocks, recording[these], shown.cycles[these])
        self.update_cycles += shown.cycles[asked.op == Command.UPDATE].tolist()
        ticks = asked.op == Command.TICK
        self.cycles[recording[ticks], asked.tick[ticks]] = shown.cycles[ticks]
        self._note_ends(asked, recording, shown)
        np.add.at(self.fired, (recording[shown.probe_of], shown.block), shown.lanes["fired"])
        if len(shown.found):
            self.left = learned_image(self.image, by_memory(self.image, shown.found))

    def _note_ends(self, asked: Program, recording: Integers, shown: Trace) -> None:
        """Note the winners, and what was out of range."""
        end = shown.results["op"] == Result.END
        of, flag = shown.result_of[end], shown.results["saturated"][end]
        tick, learn = asked.op[of] == Command.TICK, asked.op[of] == Command.LEARN
        # The last one of a recording stays.
        self.classes[recording[of]] = shown.results["index"][end]
        self.saturated[recording[of[tick]], asked.tick[of[tick]]] = flag[tick]
        self.learn_saturated[recording[of[learn]]] = flag[learn]

    def report(self) -> Learned:
        """Sort everything by the names of populations."""
        spikes, at = {}, 0
        for p in self.image.populations:
            fired = self.fired[:, at : at + self.blocks[p.name]].reshape(len(self.fired), -1)
            if p.kind is Kind.LIF:
                spikes[p.name] = fired[:, : p.size]
            at += self.blocks[p.name]
        return Learned(
            image=self.left,
            classes=self.classes,
            scores=np.zeros((len(self.classes), 0), np.int64),
            spike_counts=spikes,
            cycles=self.cycles,
            event_cycles=self.clocks[Command.EVENT],
            clear_cycles=self.clocks[Command.CLEAR],
            learn_cycles=self.clocks[Command.LEARN],
            update_cycles=np.array(self.update_cycles, np.int64),
            saturated_ticks=self.saturated.astype(np.bool_),
            learn_saturated=self.learn_saturated.astype(np.bool_),
            filtered={},
            signals={},
            slopes={},
        )
