"""What goes into the ports of a chip, and what they show, as arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from datapath import Chip, Image, ports, timing
from datapath.contents import contents, controls
from datapath.memory import Beats, Memory, addresses, control, memories, numbers, words
from datapath.ports import Command

Integers = NDArray[np.int64]
Words = NDArray[np.uint32]


def command_words(chip: Chip, op: Integers, channel: Integers, count: Integers) -> Beats:
    """Pack commands into payloads of the input stream, uint32[commands, words]."""
    layout = Memory("i", len(op), 1, ports.command(chip), True)
    return words(layout, [column[:, None] for column in (op, channel, count)])


@dataclass(frozen=True, slots=True)
class Program:
    """Host beats to write and commands to run; `recording` and `tick` say whose they are.

    address, data : uint32[beats], written and read back before the first command.
    op, recording, tick : int64[commands]; the tick of a CLEAR is -1, that of LEARN the number of
    steps, that of UPDATE one more.
    commands : uint32[commands, words], payloads of the input stream.
    beyond : bool[recordings, steps], a channel receives more than its counter holds.
    look : uint32[beats], addresses that the host reads when the last command is done.
    """

    address: Words
    data: Words
    op: Integers
    recording: Integers
    tick: Integers
    commands: Words
    beyond: NDArray[np.bool_]
    look: Words


@dataclass(frozen=True, slots=True)
class Trace:
    """What the ports showed until the last command was done, or until the chip `stopped`.

    engine : name and version of the simulator.

    read, found : uint32[beats], what the host reads back where the program wrote, and what it
    finds where it looks in the end.
    cycles : int64[commands], clocks from each accepted command to the next.
    result_of : int64[results], the command that was running, -1 before the first.
    results : int64[results] per field of the payload.
    probe_of, block : int64[probes]; lanes : int64[probes, lanes] per field of the probe.
    """

    engine: str
    read: Words
    found: Words
    cycles: Integers
    result_of: Integers
    results: dict[str, Integers]
    probe_of: Integers
    block: Integers
    lanes: dict[str, Integers]
    stopped: str


class Engine(Protocol):
    """A simulator of one chip; state survives from one program to the next."""

    @property
    def version(self) -> str:
        """Name and version of the simulator."""
        ...

    def play(self, programs: Sequence[Program], stalls: int = 0) -> list[Trace]:
        """Run `programs` one after the other; the next starts in the state the last one left.

        stalls : seed of random pauses of the driver and of the sink; 0 for none.
        """


def beats(image: Image) -> tuple[Words, Words]:
    """Return what the host writes to load `image`: addresses and data, uint32[beats]."""
    base = addresses(image.chip)
    registers = controls(image)
    address = [np.arange(len(control(image.chip)))]
    data = [np.array([registers[field.name] for field in control(image.chip)])]
    filled = contents(image)
    for memory in memories(image.chip):
        if memory.state:
            continue
        block = filled[memory.name]
        first = base[memory.name] + memory.stride * np.arange(len(block))
        address.append((first[:, None] + np.arange(memory.beats)).ravel())
        data.append(block.ravel())
    return np.concatenate(address).astype(np.uint32), np.concatenate(data).astype(np.uint32)


def by_memory(image: Image, data: Words) -> dict[str, Beats]:
    """Cut data in the order of `beats` into memories: the inverse, without control registers."""
    cut, at = {}, len(control(image.chip))
    for name, block in contents(image).items():
        cut[name] = data[at : at + block.size].reshape(block.shape)
        at += block.size
    return cut


def program(
    image: Image,
    counts: NDArray[np.integer],
    scramble: int = 0,
    *,
    labels: Integers | None = None,
    update: bool = False,
) -> Program:
    """Return the commands that play `counts` on `image`.

    counts : integers[recordings, steps, channels], at least 0; more than an EVENT holds takes
    several EVENTs.
    scramble : seed that cuts counts into EVENTs and shuffles those of a tick; 0 for neither.
    labels : int64[recordings] to LEARN after each recording, but for -1.
    update : whether the last command is an UPDATE.
    """
    most = image.chip.axon.count.max
    recordings, steps = counts.shape[:2]
    recording, tick, channel = np.nonzero(counts)
    many = counts[recording, tick, channel].astype(np.int64)
    rng = np.random.default_rng(scramble)
    piece = rng.integers(1, most, len(many), endpoint=True) if scramble else most
    times = -(-many // piece)
    of = np.repeat(np.arange(len(many)), times)
    nth = np.arange(len(of)) - np.repeat(np.cumsum(times) - times, times)
    pieces = np.broadcast_to(piece, many.shape)[of]
    events = np.stack(
        [
            np.full(len(of), Command.EVENT),
            recording[of],
            tick[of],
            channel[of],
            np.minimum(many[of] - nth * pieces, pieces),
            rng.permutation(len(of)) if scramble else np.arange(len(of)),
        ]
    )
    starts, ticks = np.arange(recordings), np.arange(recordings * steps)
    clears, runs = np.zeros((6, len(starts)), np.int64), np.zeros((6, len(ticks)), np.int64)
    clears[0], clears[1], clears[2] = Command.CLEAR, starts, -1
    runs[0], runs[1], runs[2], runs[5] = Command.TICK, ticks // steps, ticks % steps, len(of)
    rows = np.concatenate([clears, events, runs, _lessons(counts, labels, update)], axis=1)
    # By recording, tick, and place in the tick: its TICK comes behind all its EVENTs.
    op, recording, tick, channel, count, _ = rows[:, np.lexsort(rows[[5, 2, 1]])]
    commands = command_words(image.chip, op, channel, count)
    beyond = np.asarray((counts > most).any(axis=2))
    return Program(*beats(image), op, recording, tick, commands, beyond, np.zeros(0, np.uint32))


def _lessons(counts: NDArray[np.integer], labels: Integers | None, update: bool) -> Integers:
    """Return op, recording, tick, channel, count, place of every LEARN and of an UPDATE."""
    recordings, steps = counts.shape[:2]
    known = np.flatnonzero(labels >= 0) if labels is not None else np.zeros(0, np.int64)
    rows = np.zeros((6, len(known) + update), np.int64)
    rows[0], rows[1], rows[2] = Command.UPDATE, recordings - 1, steps + 1
    if labels is not None:
        learns = rows[:, : len(known)]
        learns[0], learns[1], learns[2], learns[3] = Command.LEARN, known, steps, labels[known]
    return rows


def trace(
    chip: Chip,
    engine: str,
    read: Words,
    found: Words,
    *,
    cycles: Words,
    results: Words,
    probes: Words,
    stopped: str,
) -> Trace:
    """Unpack what an engine noted.

    read, found : as in `Trace`.
    results : uint32[results, 1 + words], command and payload.
    probes : uint32[probes, 2 + words], command, block and lanes.
    """
    shown = numbers(Memory("o", len(results), 1, ports.result(chip), True), results[:, 1:])
    layout = Memory("probe", len(probes), chip.lanes, ports.probe(chip), True)
    lanes = numbers(layout, probes[:, 2:])
    return Trace(
        engine,
        read,
        found,
        cycles.astype(np.int64),
        results[:, 0].astype(np.int32).astype(np.int64),
        {name: column[:, 0] for name, column in shown.items()},
        probes[:, 0].astype(np.int32).astype(np.int64),
        probes[:, 1].astype(np.int64),
        lanes,
        stopped,
    )


def payload_words(chip: Chip) -> tuple[int, int]:
    """Return the 32-bit words of a result payload and of the lanes of the probe."""
    result = Memory("o", 1, 1, ports.result(chip), True)
    lanes = Memory("probe", 1, chip.lanes, ports.probe(chip), True)
    return result.beats, lanes.beats


def limit(chip: Chip) -> int:
    """Return more clocks than any command takes, however often driver and sink pause."""
    sources = chip.projections * max(chip.channels, chip.neurons)
    scan = sources * (1 + timing.ROW) + chip.synapses
    tick = (
        timing.TICK
        + chip.channel_blocks
        + chip.populations * (timing.population_cycles(chip) + timing.EMIT)
        + chip.neuron_blocks
        + chip.neurons
        + chip.projections * timing.PROJECTION
        + scan
    )
    return 10 * max(tick, timing.clear_cycles(chip), _learning_limit(chip, scan))


def _learning_limit(chip: Chip, scan: int) -> int:
    """Return at least the clocks of a LEARN and of an UPDATE; scan : those of all deliveries."""
    learn = chip.learn
    if learn is None:
        return 0
    entry = timing.STEP_POPULATION + timing.SIGNAL + timing.SLOPE
    block = timing.SIGNAL_BLOCK + 2 * learn.taps + 1
    feedback = max(timing.ROW, -(-chip.readout.classes // chip.lanes))
    step = (
        timing.STEP
        + chip.populations * entry
        + chip.neuron_blocks * block
        + chip.neurons * (1 + feedback)
        + chip.projections * timing.CREDIT
        + scan
    )
    sweep = timing.LEARN + chip.neuron_blocks * chip.synapse.slots
    sweep += (learn.steps + learn.taps) * step
    update = (
        timing.UPDATE
        + chip.populations * timing.STEP_POPULATION
        + chip.projections * timing.UPDATE_PROJECTION
        + chip.synapses
        + chip.axon.delays
    )
    return max(sweep, update)
