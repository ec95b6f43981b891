"""The first difference between what the ports of a chip showed and what the emulator computed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from datapath import Image, timing
from datapath.memory import Beats, Memory, addresses, memories, numbers
from datapath.ports import Command
from emulator.chip import Run
from emulator.learn import Learned
from sim.results import Payloads, expected_payloads, in_words, seen_payloads
from sim.trace import Program, Trace, beats, by_memory

Integers = NDArray[np.int64]

PROBED = {"u": "sum", "saturated": "saturation flag", "fired": "spike", "v": "membrane"}
"""Fields of the probe, in the order in which one follows from the other."""

RECORDED = ("spikes", "membranes", "sums", "saturated", "readout")
"""What a comparison needs of the emulator."""

_LATE = 1 << 40
"""Rank of what can only be seen once the neurons of a tick are updated."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was compared, and the first difference in words, empty if there is none.

    engine : name and version of the simulator.  updates : neurons times ticks; of each the
    membrane, the sum, the spike and the saturation flag.  results : payloads of the output stream.
    beats : words read back from the loaded memories.  bits : of all these together.
    clocks : simulated, and compared for every command.  learns, learning_steps : LEARN and UPDATE
    commands among these.
    """

    engine: str
    recordings: int
    ticks: int
    updates: int
    results: int
    beats: int
    clocks: int
    bits: int
    difference: str
    learns: int = 0
    learning_steps: int = 0

    @property
    def equal(self) -> bool:
        """Whether emulator and gates agree in every bit and every clock."""
        return not self.difference


class _Difference(NamedTuple):
    """Something that differs, sorted by when it happened."""

    recording: int
    tick: int
    rank: int
    words: str

    def sentence(self, first: int, steps: int) -> str:
        """Say it.

        first : number of the first recording of the batch.  steps : ticks of a recording.
        """
        recording = f"recording {self.recording + first}"
        if self.tick < 0:
            return f"{recording}: {self.words}"
        if self.tick < steps:
            return f"{recording}, tick {self.tick}{self.words}"
        return f"{recording}, {('LEARN', 'UPDATE')[self.tick - steps]}{self.words}"


def compare(
    image: Image,
    asked: Program,
    seen: Trace,
    expected: Run,
    first: int = 0,
    *,
    learned: Learned | None = None,
    stalled: bool = False,
) -> Verdict:
    """Compare what the ports showed with what the emulator recorded under `RECORDED`.

    first : number of the first recording, for the words.
    learned : what the emulator says of a program that learns.
    stalled : driver and sink paused, so that the clocks tell nothing.
    """
    recordings, ticks = expected.cycles.shape
    differences = [
        *_of_memories(image, asked, seen),
        *_of_probe(image, asked, seen, expected),
        *_of_results(image, asked, seen, expected, learned),
        *(() if stalled else _of_cycles(image, asked, seen, expected, learned)),
        *_of_found(asked, seen, learned),
        *_of_stop(asked, seen),
    ]
    updates = recordings * ticks * sum(p.size for p in image.populations)
    results, words = len(seen.results["op"]), len(seen.read) + len(seen.found)
    return Verdict(
        engine=seen.engine,
        recordings=recordings,
        ticks=recordings * ticks,
        updates=updates,
        results=results,
        beats=words,
        clocks=int(seen.cycles.sum()),
        bits=_bits(image, updates, results, words),
        difference=min(differences).sentence(first, ticks) if differences else "",
        learns=int((asked.op == Command.LEARN).sum()),
        learning_steps=int((asked.op == Command.UPDATE).sum()),
    )


def _bits(image: Image, updates: int, results: int, beats: int) -> int:
    """Count the bits compared: probe words, indices and values of results, beats of the host."""
    chip = image.chip
    probe = 2 * chip.lif.v.width + 2
    result = 2 + (chip.neurons - 1).bit_length() + chip.readout.score.width + 1
    return updates * probe + results * result + beats * 32


def _of_memories(image: Image, asked: Program, seen: Trace) -> list[_Difference]:
    """Return the first beat that the host reads back other than it wrote it."""
    bad = np.flatnonzero(seen.read != asked.data)[:1]
    if not bad.size:
        return []
    n = int(bad[0])
    where, base = "control", addresses(image.chip)
    at, stride = int(asked.address[n]), 1
    for memory in memories(image.chip):
        if not memory.state and base[memory.name] <= asked.address[n]:
            where, stride = memory.name, memory.stride
            at = int(asked.address[n]) - base[memory.name]
    said = f"{where} word {at // stride}, beat {at % stride}"
    words = f"the host wrote {asked.data[n]:#010x} to {said} and reads {seen.read[n]:#010x}"
    return [_Difference(0, -2, 0, words)]


def _columns(image: Image) -> tuple[Integers, list[tuple[str, int]]]:
    """Return where every neuron is in the lanes of all blocks, and what it is called."""
    lanes = image.chip.lanes
    column: list[int] = []
    names: list[tuple[str, int]] = []
    start = 0
    for population in image.populations:
        column.extend(range(start, start + population.size))
        names.extend((population.name, n) for n in range(population.size))
        start += -(-population.size // lanes) * lanes
    return np.array(column, np.int64), names


def _of_probe(image: Image, asked: Program, seen: Trace, expected: Run) -> list[_Difference]:
    """Return the first membrane, sum, spike or flag that differs."""
    column, names = _columns(image)
    lanes = image.chip.lanes
    blocks = sum(-(-p.size // lanes) for p in image.populations)
    ticks = np.flatnonzero(asked.op == Command.TICK)
    of, block = np.repeat(ticks, blocks), np.tile(np.arange(blocks), len(ticks))
    whole = min(len(of), len(seen.block))
    order = (seen.probe_of[:whole] != of[:whole]) | (seen.block[:whole] != block[:whole])
    wrong = np.flatnonzero(order)[:1]
    found: list[_Difference] = []
    if wrong.size or len(seen.block) > len(of):
        at = int(wrong[0]) if wrong.size else whole
        command = int(seen.probe_of[at])
        words = f": the RTL updates block {seen.block[at]} out of turn"
        found.append(_at(asked, command, 0, words))
        whole = at
    elif whole < len(of) and not seen.stopped:
        words = f": the RTL does not update block {block[whole]}"
        found.append(_at(asked, int(of[whole]), _LATE - 1, words))
    # Whole ticks, then the words of each neuron.
    done = whole // blocks
    recordings, steps = asked.recording[ticks[:done]], asked.tick[ticks[:done]]
    for place, (name, said) in enumerate(PROBED.items()):
        got = seen.lanes[name][: done * blocks].reshape(done, blocks * lanes)[:, column]
        want = _recorded(image, expected, name)[recordings, steps]
        rows, neurons = np.nonzero(got != want)
        if rows.size:
            row, neuron = int(rows[0]), int(neurons[0])
            population, n = names[neuron]
            words = f", {population} neuron {n}: {said} emulator {want[row, neuron]}"
            words += f", RTL {got[row, neuron]}"
            rank = neuron * len(PROBED) + place
            found.append(_Difference(int(recordings[row]), int(steps[row]), rank, words))
    return found


def _recorded(image: Image, expected: Run, name: str) -> Integers:
    """Return what the emulator recorded under the name of a field of the probe.

    int64[recordings, steps, neurons], population after population.
    """
    records: dict[str, Mapping[str, NDArray[Any]]] = {
        "v": expected.membranes,
        "u": expected.sums,
        "saturated": expected.saturated,
        "fired": expected.spikes,
    }
    kept = records[name]
    silent = np.zeros((*expected.cycles.shape, image.readout.size), np.int64)
    parts = [kept.get(p.name, silent).astype(np.int64) for p in image.populations]
    return np.concatenate(parts, axis=2)


def _at(asked: Program, command: int, rank: int, words: str) -> _Difference:
    """Return a difference during `command`."""
    recording, tick = int(asked.recording[command]), int(asked.tick[command])
    if asked.op[command] == Command.CLEAR:
        words = f", CLEAR{words}"
    elif asked.op[command] == Command.EVENT:
        words = f", EVENT{words}"
    return _Difference(recording, max(tick, 0), rank, words)


def _of_results(
    image: Image, asked: Program, seen: Trace, expected: Run, learned: Learned | None
) -> list[_Difference]:
    """Return the first payload of the output stream that differs."""
    want = expected_payloads(image, asked, expected, learned)
    got = seen_payloads(asked, seen)
    whole = min(len(want.op), len(got.op))
    same = np.ones(whole, bool)
    for field in fields(Payloads):
        same &= getattr(want, field.name)[:whole] == getattr(got, field.name)[:whole]
    at = int(np.argmin(same)) if not same.all() else whole
    if at == len(got.op) and (at == len(want.op) or seen.stopped):
        return []
    words = f": emulator sends {in_words(want, at)}, RTL {in_words(got, at)}"
    of = min((int(p.recording[at]), int(p.tick[at])) for p in (want, got) if at < len(p.op))
    return [_Difference(of[0], of[1], _LATE, words)]


def _of_cycles(
    image: Image, asked: Program, seen: Trace, expected: Run, learned: Learned | None
) -> list[_Difference]:
    """Return the first command that takes other than the predicted clocks."""
    want = np.where(asked.op == Command.CLEAR, timing.clear_cycles(image.chip), timing.EVENT)
    tick = asked.op == Command.TICK
    want[tick] = expected.cycles[asked.recording[tick], asked.tick[tick]]
    if learned is not None:
        learns = asked.op == Command.LEARN
        want[learns] = learned.learn_cycles[asked.recording[learns]]
        want[asked.op == Command.UPDATE] = learned.update_cycles
    done = len(seen.cycles)
    bad = np.flatnonzero(want[:done] != seen.cycles)[:1]
    if not bad.size:
        return []
    n = int(bad[0])
    words = f": emulator {want[n]} clocks, RTL {seen.cycles[n]}"
    return [_at(asked, n, 2 * _LATE, words)]


def _of_found(asked: Program, seen: Trace, learned: Learned | None) -> list[_Difference]:
    """Return the first number that the host finds in a memory other than the emulator."""
    if learned is None or seen.stopped or not len(asked.look):
        return []
    _, data = beats(learned.image)
    if np.array_equal(seen.found, data):
        return []
    want, got = by_memory(learned.image, data), by_memory(learned.image, seen.found)
    words = ": a control register has changed"
    for memory in memories(learned.image.chip):
        name = memory.name
        if not memory.state and not np.array_equal(want[name], got[name]):
            words = f": {name} {_of_words(memory, want[name], got[name])}"
            break
    return [_at(asked, len(asked.op) - 1, 4 * _LATE, words)]


def _of_words(memory: Memory, want: Beats, got: Beats) -> str:
    """Say the first number that differs."""
    right, wrong = numbers(memory, want), numbers(memory, got)
    for field in right:
        for word, lane in np.argwhere(right[field] != wrong[field])[:1].tolist():
            said = f"{field} emulator {right[field][word, lane]}, RTL {wrong[field][word, lane]}"
            return f"word {word}, lane {lane}: {said}"
    return "has bits beside its numbers"


def _of_stop(asked: Program, seen: Trace) -> list[_Difference]:
    """Return the command at which the gates stopped, if they did."""
    if not seen.stopped:
        return []
    return [_at(asked, len(seen.cycles), 3 * _LATE, f": the RTL {seen.stopped}")]
