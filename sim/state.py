"""What a recording and its LEARN leave in the memories that the host does not see."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from datapath import Format, Image, Kind
from datapath.memory import Beats, memories, numbers
from emulator.chip import run
from emulator.learn import RECORDS, learn

Integers = NDArray[np.int64]


class Left(NamedTuple):
    """What is known of one field of a memory.

    values : int64[words, lanes].  known : bool of the same shape, or of one that it broadcasts to.
    """

    values: Integers
    known: NDArray[np.bool_]


def difference(image: Image, counts: Integers, label: int, seen: dict[str, Beats]) -> str:
    """Say the first number of `seen` that is other than one LEARN has to leave it.

    Compared are membranes and activities, scores, histories of counts, spikes and looked-up
    numbers, sums of levels, filtered signals, and the signals and slopes in the ring; nothing of
    lanes past a population, nor of ticks past the recording.

    image : as it was in that recording.  counts : int64[steps, channels] and `label` of it.
    seen : the words of every memory, by name.

    Returns
    -------
    The sentence, empty if everything is equal.
    """
    wanted = left(image, counts, label)
    for name, fields in _unpacked(image, seen).items():
        for field, got in fields.items():
            values, known = wanted[name][field]
            for word, lane in np.argwhere((values != got) & known)[:1].tolist():
                said = f"{field} emulator {values[word, lane]}, RTL {got[word, lane]}"
                return f"{name} word {word}, lane {lane}: {said}"
    return ""


def _unpacked(image: Image, seen: dict[str, Beats]) -> dict[str, dict[str, Integers]]:
    """Cut words into numbers, those of the ring into signals and slopes."""
    assert image.chip.learn is not None
    signal, slope = image.chip.learn.signal, image.chip.learn.slope
    cut = {m.name: numbers(m, seen[m.name]) for m in memories(image.chip) if m.state}
    for name, fields in cut.items():
        if name.startswith("accumulators"):
            ring = fields.pop("acc")
            fields["signal"] = _low(ring, signal)
            fields["slope"] = _low(ring >> signal.width, slope)
    return cut


def _low(word: Integers, fmt: Format) -> Integers:
    """Read the low bits of a word as a signed number."""
    top = 1 << (fmt.width - 1)
    return ((word + top) & (2 * top - 1)) - top


def left(image: Image, counts: Integers, label: int) -> dict[str, dict[str, Left]]:
    """Return, by memory and field, what the recording of `counts` and its LEARN leave."""
    ticks, chip, learn_of = len(counts), image.chip, image.chip.learn
    assert learn_of is not None
    played = run(image, counts[None], record=("spikes", "membranes", "sums"))
    learned = learn(image, counts[None], [label], batch=None, record=RECORDS)
    looked_up, sums = _looked_up(image, played.sums, played.membranes)
    spikes = {name: fired[0].astype(np.int64) for name, fired in played.spikes.items()}
    active = {
        name: np.minimum(fired.sum(axis=0), learn_of.activity.max) for name, fired in spikes.items()
    }
    # The sweep comes down to tick 0, so that the first ticks are what is left in the ring.
    signals, slopes = (
        {name: _ring(rows[0], chip.synapse.slots) for name, rows in kept.items()}
        for kept in (learned.signals, learned.slopes)
    )
    place = _Place(image)
    depth = chip.axon.neuron_steps
    found = {
        "membranes": {
            "v": place.one({name: v[0, -1] for name, v in played.membranes.items()}),
            "activity": place.one(active),
        },
        "scores": {"score": _of_readouts(image, played.scores[0])},
        "channel_history": {"count": _of_channels(image, counts)},
        "neuron_history": {"spike": place.many(spikes, depth, ticks=depth)},
        "lookup_history": {"value": place.many(looked_up, learn_of.steps, ticks=ticks)},
        "level_sums": {"sum": Left(_padded(sums, learn_of.steps), _first(learn_of.steps, ticks))},
        "filtered": {"filtered": place.one({n: f[0, 0] for n, f in learned.filtered.items()})},
    }
    slots = chip.synapse.slots
    for lane in range(chip.lanes):
        found[f"accumulators_{lane}"] = {
            "signal": place.bank(signals, slots, lane),
            "slope": place.bank(slopes, slots, lane),
        }
    return found


def _looked_up(image: Image, sums, membranes) -> tuple[dict[str, Integers], Integers]:
    """Look up derivatives and levels as docs/datapath.md has them; return also the levels' sums."""
    learning, learn_of = image.learning, image.chip.learn
    assert learning is not None
    assert learn_of is not None
    last, values = learn_of.entries - 1, {}
    for p in image.populations:
        if p.kind is Kind.LIF:
            distance = np.abs(sums[p.name][0].astype(np.int64) - p.threshold)
            entry = np.minimum(distance >> learning.surrogate_shift, last)
            values[p.name] = learning.surrogate[entry]
    y = membranes[image.readout.name][0].astype(np.int64)
    distance = y.max(axis=1, keepdims=True) - y
    levels = learning.levels[np.minimum(distance >> learning.error_shift, last)]
    halvings = np.array([_halvings(int(e), learn_of.lookup.max) for e in levels.sum(axis=1)])
    levels = (levels + (1 << halvings[:, None] >> 1)) >> halvings[:, None]
    values[image.readout.name] = levels
    return values, levels.sum(axis=1)


def _halvings(total: int, one: int) -> int:
    """Count the n >= 0 with 2 * total >= 3 * one << n."""
    n = 0
    while 2 * total >= 3 * one << n:
        n += 1
    return n


def _ring(rows: Integers, slots: int) -> Integers:
    """Keep what the first `slots` ticks say, and 0 for those that are not."""
    kept = np.zeros((slots, rows.shape[1]), np.int64)
    kept[: len(rows)] = rows[:slots]
    return kept


def _padded(values: Integers, words: int) -> Integers:
    """Return int64[words, 1] that begins with `values`."""
    out = np.zeros((words, 1), np.int64)
    out[: len(values), 0] = values
    return out


def _first(words: int, known: int) -> NDArray[np.bool_]:
    """Return bool[words, 1], True in the first `known`."""
    return (np.arange(words) < known)[:, None]


def _of_readouts(image: Image, scores: Integers) -> Left:
    classes = image.chip.readout.classes
    return Left(_padded(scores, classes), _first(classes, len(scores)))


def _of_channels(image: Image, counts: Integers) -> Left:
    """Lay out the counts of all ticks, block after block of channels."""
    chip, (ticks, channels) = image.chip, counts.shape
    table = np.zeros((chip.axon.channel_steps, chip.channel_blocks * chip.lanes), np.int64)
    table[:ticks, :channels] = counts
    return Left(_by_block(table, chip.lanes), np.ones(1, np.bool_))


def _by_block(table: Integers, lanes: int) -> Integers:
    """Turn [tick][neuron] into words of `lanes`, tick by tick and block after block."""
    ticks = len(table)
    return table.reshape(ticks, -1, lanes).swapaxes(0, 1).reshape(-1, lanes)


class _Place:
    """Where the neurons of an image are in the lanes of all blocks."""

    def __init__(self, image: Image) -> None:
        self.chip, self.spans, start = image.chip, {}, 0
        for p in image.populations:
            self.spans[p.name] = slice(start, start + p.size)
            start += -(-p.size // image.chip.lanes) * image.chip.lanes

    def _table(self, values: dict[str, Integers], words: int) -> tuple[Integers, Integers]:
        """Return [tick][neuron], and which neurons there are."""
        shape = words, self.chip.neuron_blocks * self.chip.lanes
        table, there = np.zeros((2, *shape), np.int64)
        for name, span in self.spans.items():
            there[:, span] = 1
            if name in values:
                rows = np.atleast_2d(values[name])
                table[: len(rows), span] = rows
        return table, there

    def one(self, values: dict[str, Integers]) -> Left:
        """Lay out a number of every neuron; 0 for those that have none."""
        return self.many(values, 1, ticks=1)

    def many(self, values: dict[str, Integers], words: int, *, ticks: int) -> Left:
        """Lay out `words` numbers of every neuron, the first `ticks` of which are known."""
        table, there = self._table(values, words)
        there[ticks:] = 0
        lanes = self.chip.lanes
        return Left(_by_block(table, lanes), _by_block(there, lanes) > 0)

    def bank(self, values: dict[str, Integers], words: int, lane: int) -> Left:
        """Lay out one lane of `words` numbers of every neuron."""
        found = self.many(values, words, ticks=words)
        return Left(found.values[:, lane, None], found.known[:, lane, None])
