"""What the output stream carries, and what the emulator would send."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from datapath import Image, Kind
from datapath.ports import Command, Result
from emulator.chip import Run
from emulator.learn import Learned
from sim.trace import Program, Trace

Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Payloads:
    """Result payloads, int64[payloads] each, in the order in which they are sent.

    command : during which operation.
    """

    recording: Integers
    tick: Integers
    command: Integers
    op: Integers
    index: Integers
    value: Integers
    saturated: Integers


def expected_payloads(
    image: Image, asked: Program, expected: Run, learned: Learned | None
) -> Payloads:
    """Return every payload that the emulator would send; `learned` if the program learns."""
    parts: list[Integers] = []
    for order, population in enumerate(image.populations):
        if population.emit and population.kind is Kind.LIF:
            parts.append(_sent(expected.spikes[population.name], order, Result.SPIKE))
        if population.emit and population.kind is Kind.READOUT:
            v = expected.membranes[population.name]
            sent = _sent(np.ones(v.shape, bool), order, Result.READOUT)
            sent[5] = v.reshape(-1)
            parts.append(sent)
    parts.append(_ends(len(image.populations), asked, expected, learned))
    rows = np.concatenate(parts, axis=1)
    recording, tick, _, op, index, value, saturated = rows[:, np.lexsort(rows[[4, 2, 1, 0]])]
    steps = expected.cycles.shape[1]
    late = np.array([Command.TICK, Command.LEARN, Command.UPDATE])
    command = late[np.clip(tick - steps + 1, 0, 2)]
    return Payloads(recording, tick, command, op, index, value, saturated)


def _sent(flags: NDArray[np.bool_], order: int, op: int) -> Integers:
    """Return recording, tick, order, op, index, value, saturated of every flag that is set."""
    recording, tick, index = np.nonzero(flags)
    none = np.zeros_like(recording)
    return np.stack([recording, tick, none + order, none + op, index, none, none])


def _ends(order: int, asked: Program, expected: Run, learned: Learned | None) -> Integers:
    """Return every END: the winner so far, its score, and whether anything saturated.

    A channel that receives more than its counter holds saturates before the emulator sees it.
    """
    sent = _sent(np.ones((*expected.cycles.shape, 1), bool), order, Result.END)
    winner = expected.readout.argmax(axis=2)
    score = np.take_along_axis(expected.readout, winner[:, :, None], axis=2)[:, :, 0]
    winner[:, -1] = expected.classes
    score[:, -1] = expected.scores[np.arange(len(winner)), expected.classes]
    sent[4], sent[5] = winner.reshape(-1), score.reshape(-1)
    sent[6] = (expected.saturated_ticks | asked.beyond).reshape(-1)
    if learned is None:
        return sent
    late = asked.tick >= winner.shape[1]
    recording, learns = asked.recording[late], asked.op[late] == Command.LEARN
    more = np.zeros((7, len(recording)), np.int64)
    more[0], more[1], more[2], more[3] = recording, asked.tick[late], order, Result.END
    more[4], more[5] = winner[recording, -1], score[recording, -1]
    more[6] = learned.learn_saturated[recording] & learns
    return np.concatenate([sent, more], axis=1)


def seen_payloads(asked: Program, seen: Trace) -> Payloads:
    """Return every payload that the gates sent."""
    of = seen.result_of
    return Payloads(asked.recording[of], asked.tick[of], asked.op[of], **seen.results)


def in_words(payloads: Payloads, at: int) -> str:
    """Say a payload in words."""
    if at >= len(payloads.op):
        return "nothing"
    op, index, value = (int(x[at]) for x in (payloads.op, payloads.index, payloads.value))
    if op == Result.SPIKE:
        return f"SPIKE {index}"
    if op == Result.READOUT:
        return f"READOUT {index} = {value}"
    if op == Result.END:
        flag = ", saturated" if payloads.saturated[at] else ""
        command = Command(payloads.command[at])
        of = f"tick {payloads.tick[at]}" if command is Command.TICK else command.name
        return f"END of {of}: winner {index} with score {value}{flag}"
    return f"the unknown result {op}"
