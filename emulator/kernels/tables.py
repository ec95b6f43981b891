"""An image as flat arrays for the kernels, and the scratch memory of one thread."""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import DTypeLike, NDArray

from datapath import Delay, Format, Image, Kind, Leak, Projection, Reset
from datapath.timing import EMIT, LEVELS, PROJECTION, ROW, TICK, population_cycles
from emulator import current
from emulator.fixed import DEEPEST
from emulator.kernels.events import AT_ONCE
from emulator.kernels.machine import LANES
from emulator.lif import Words, words

Integers = NDArray[np.int64]

BLOCK = 8
"""Neurons side by side in the delayed sums: few, so that a block of all ticks stays in a cache."""

SEGMENT = 256
"""Ticks whose input is added to the delayed sums at one go; a power of two."""

DEEPEST_SMALL = 30
"""The deepest right shift of an int32 membrane."""

LINE = 64
"""Bytes of a cache line."""

INPUT = -1
"""The number of the input among the populations."""

NOWHERE = -1
"""The start of what there is not."""

LATE = (Delay.DENDRITIC, Delay.SYNAPTIC)
"""Delays between the delivery and the sum."""

FIRST, SIZE, IS_READOUT, IS_ZERO, INCOMING, AHEAD = range(6)
"""Columns of `Tables.populations`: the start of its neurons, how many there are, what it is, the
start of its projections, and of its delayed sums [block][tick][neuron in block]."""

(
    PLACE,
    PRE,
    SOURCES,
    COST,
    FACTOR,
    LIMIT,
    ROWS,
    STRIDE,
    SYNAPSES,
    NEXT_SOURCE,
    NEXT_BLOCK,
    DENDRITES,
    AXONS,
    QUEUE,
) = range(14)
"""Columns of `Tables.projections`: its number in the image, the population it comes from and the
size of that, clocks of a delivery, 1 << scale, and rows whose sum the type of `row_weights` holds;
the start and stride of its rows [pre][post]; the start of its synapses and the distances of sources
and of blocks of neurons; the start of its dendrites [post], of its axons [pre], and of its queue
[tick][pre]."""


class Tables(NamedTuple):
    """What the kernels read.

    Projections are sorted by the population they reach, in update order.  Narrow tables have int16
    `row_weights` and int32 `synapse_weights`, wide ones int64.  Parameters of neurons are int32 if
    that holds whatever becomes of a membrane, else int64.
    """

    current: current.Words | None
    lif: Words
    score: Format
    clocks: int  # of a tick without deliveries
    turn: int  # ticks of a queue, a power of two
    span: int  # ticks of the delayed sums
    populations: Integers  # one row more ends the last one's neurons and projections
    projections: Integers
    threshold: NDArray[np.int32] | Integers
    bias: NDArray[np.int32] | Integers
    coefficient: NDArray[np.int32] | Integers
    current_coefficient: Integers  # of no size on a chip without currents
    row_weights: NDArray[np.int16] | Integers
    synapse_weights: NDArray[np.int32] | Integers  # already scaled
    synapse_offsets: NDArray[np.uint32]  # in the delayed sums of the block
    dendrite_offsets: NDArray[np.uint32]  # in the delayed sums of the population
    axon_ticks: Integers  # beside the age


class Scratch(NamedTuple):
    """What the kernels of one thread write; nothing of it outlives a recording."""

    # Of every neuron.
    v: NDArray[np.int32] | Integers
    total: NDArray[np.int32] | Integers
    u: NDArray[np.int32] | Integers
    now: NDArray[np.int32] | Integers  # sum of this tick
    i: Integers  # current, of no size on a chip without currents, like the next one
    beyond: NDArray[np.bool_]  # whether the current did not fit
    spikes: NDArray[np.uint32]  # a population's fired neurons, ascending
    ones: Integers  # how often each of them fired
    # Of a population.
    fired: Integers  # number of `spikes`
    active: NDArray[np.uint8]  # who fired, and words of the same memory
    words: NDArray[np.uint64]
    late: NDArray[np.int32] | Integers  # sum of rows, before the dendrites
    ahead: NDArray[np.int32] | Integers  # delayed sums
    # Of the queues.
    queued: Integers  # how many, [projection, tick]
    queue_source: NDArray[np.uint32]
    queue_count: Integers
    # Input events of a segment, by channel.
    channel_start: NDArray[np.uint64]
    event_tick: NDArray[np.uint64]
    more: Integers  # those of more than one spike: channel, tick, and how many more


class Events(NamedTuple):
    """Input events of a few recordings, by tick."""

    # Which of the last channels of a tick are active, as bytes and as words of the same memory.
    active: NDArray[np.uint8]
    words: NDArray[np.uint64]
    starts: Integers  # [recording, tick], and the end
    channel: NDArray[np.uint32]
    count: Integers


def aligned(length: int, dtype: DTypeLike):
    """Zeros that begin with a cache line."""
    raw = np.zeros(length * np.dtype(dtype).itemsize + LINE, np.uint8)
    start = -raw.ctypes.data % LINE
    return raw[start : len(raw) - LINE + start].view(dtype)


def _starts(lengths: list[int]) -> list[int]:
    """Start of every part of an array, and the end of the last."""
    return [int(n) for n in np.cumsum([0, *lengths])]


def _groups(size: int, width: int) -> int:
    return -(-size // width)


def _padded(size: int) -> int:
    """Round `size` up to whole vectors."""
    return _groups(size, LANES) * LANES


def _in_blocks(values: Integers) -> Integers:
    """[post, pre] as [block, pre, neuron in block], the last block padded with zeros."""
    post, pre = values.shape
    padded = np.zeros((_groups(post, BLOCK) * BLOCK, pre), np.int64)
    padded[:post] = values
    return padded.reshape(-1, BLOCK, pre).transpose(0, 2, 1)


def _reach(projection: Projection) -> int:
    """Longest delay in ticks, beside the age."""
    return int(projection.delays.max(initial=0)) << projection.resolution


def is_narrow(image: Image) -> bool:
    """Whether the small types hold every weight, sum and current of `image`."""
    synapse, drive = image.chip.synapse, image.chip.drive
    return synapse.weight.width <= 15 and max(synapse.acc.width, drive.width) <= 32


def has_small_membranes(image: Image) -> bool:
    """Whether int32 holds every product and sum on the way of a membrane."""
    axon, synapse, lif = image.chip.axon, image.chip.synapse, image.chip.lif
    sums = dict.fromkeys((p.name for p in image.populations), 0)
    for p in image.projections:
        times = axon.count.max if p.pre == image.input_name else 1
        sums[p.post] += p.weights.shape[1] * times * -synapse.weight.min << p.scale
    received = min(max(sums.values()), -synapse.acc.min)
    if image.chip.current is not None:
        received = -image.chip.drive.min
    if lif.leak is Leak.MULTIPLY:
        leaked = -lif.v.min * lif.coefficient.max + lif.one
    else:
        # As deep a shift as int32 allows must leave nothing of a membrane.
        leaked = -2 * lif.v.min if lif.v.width < DEEPEST_SMALL else 1 << 31
    return leaked + received - lif.bias.min < 1 << 31


def _clocks(image: Image) -> int:
    """Clocks of a tick in which nothing is delivered."""
    lanes = image.chip.lanes
    total = TICK + _groups(image.channels, lanes)
    for population in image.populations:
        total += population_cycles(image.chip) + _groups(population.size, lanes)
        if population.emit or population.kind is Kind.READOUT:
            total += EMIT + population.size
        if population.kind is Kind.READOUT and image.learning is not None:
            total += LEVELS + 2 * _groups(population.size, lanes)
    return total + sum(PROJECTION + image.source_size(p) for p in image.projections)


class _Pool:
    """Parts laid one after another in one array."""

    def __init__(self, dtype: DTypeLike) -> None:
        self.dtype = dtype
        self.length = 0
        self._parts: list[Integers] = []

    def add(self, values: Integers) -> int:
        """Append `values`; return where they start."""
        start = self.length
        self._parts.append(values.ravel())
        self.length += values.size
        return start

    def array(self):
        """Join the parts."""
        out = aligned(self.length, self.dtype)
        np.concatenate([np.zeros(0, np.int64), *self._parts], out=out, casting="unsafe")
        return out


class _Layout:
    """The tables of one image, while they grow."""

    def __init__(self, image: Image) -> None:
        self.image = image
        small, middle = (np.int16, np.int32) if is_narrow(image) else (np.int64, np.int64)
        self.membrane = np.dtype(np.int32 if has_small_membranes(image) else np.int64)
        self.rows, self.weights, self.offsets = _Pool(small), _Pool(middle), _Pool(np.uint32)
        self.dendrites, self.ticks = _Pool(np.uint32), _Pool(np.int64)
        self.number = {p.name: n for n, p in enumerate(image.populations)}
        self.number[image.input_name] = INPUT
        self.order = sorted(image.projections, key=lambda p: self.number[p.post])
        self.span = SEGMENT + 1 + max((_reach(p) for p in self.order if p.delay in LATE), default=0)
        axonal = [_reach(p) for p in self.order if p.delay is Delay.AXONAL]
        self.turn = 1 << max(axonal, default=0).bit_length()
        self.queued = 0

    def populations(self) -> Integers:
        """Rows of the population table."""
        populations = self.image.populations
        posts = [p.post for p in self.order]
        late = {p.post for p in self.order if p.delay in LATE}
        ahead = [_groups(p.size, BLOCK) * BLOCK * self.span * (p.name in late) for p in populations]
        table = np.zeros((len(populations) + 1, 6), np.int64)
        table[:, FIRST] = _starts([_padded(p.size + AT_ONCE) for p in populations])
        table[:, INCOMING] = _starts([posts.count(p.name) for p in populations])
        table[:, AHEAD] = _starts(ahead)
        for n, p in enumerate(populations):
            table[n, SIZE] = p.size
            table[n, IS_READOUT] = p.kind is Kind.READOUT
            table[n, IS_ZERO] = p.reset is Reset.ZERO
            table[n, AHEAD] = table[n, AHEAD] if p.name in late else NOWHERE
        return table

    def neurons(self, name: str, first: Integers) -> NDArray[np.int32] | Integers:
        """Lay out the parameter `name` of every neuron, populations from `first` on."""
        array = aligned(int(first[-1]), self.membrane)
        for start, p in zip(first, self.image.populations, strict=False):
            array[start : start + p.size] = getattr(p, name)
        if name == "coefficient" and self.image.chip.lif.leak is not Leak.MULTIPLY:
            deepest = DEEPEST_SMALL if self.membrane == np.int32 else DEEPEST
            np.minimum(array, deepest, out=array)
        return array

    def currents(self, first: Integers) -> Integers:
        """Lay out how the current of every neuron leaks."""
        if self.image.chip.current is None:
            return np.zeros(0, np.int64)
        array = aligned(int(first[-1]), np.int64)
        for start, p in zip(first, self.image.populations, strict=False):
            array[start : start + p.size] = p.current_coefficient
        return array

    def projection(self, p: Projection) -> list[int]:
        """Row of the projection table; weights and delays join the pools."""
        post, pre = p.weights.shape
        stride = _padded(post)
        row = [NOWHERE] * 14
        row[PLACE] = [q.name for q in self.image.projections].index(p.name)
        row[PRE], row[SOURCES] = self.number[p.pre], pre
        row[COST] = max(_groups(post, self.image.chip.lanes), ROW)
        row[FACTOR] = 1 << p.scale
        row[LIMIT] = np.iinfo(self.rows.dtype).max // -self.image.chip.synapse.weight.min
        row[STRIDE] = stride
        late = p.delays << p.resolution
        if p.delay is Delay.SYNAPTIC:
            weights = _in_blocks(p.weights << p.scale)
            offsets = _in_blocks(late) * BLOCK + np.arange(BLOCK)
            row[NEXT_SOURCE], row[NEXT_BLOCK] = BLOCK, pre * BLOCK
            if row[PRE] != INPUT:
                # Spikes come one by one: their synapses lie side by side.
                weights, offsets = weights.swapaxes(0, 1), offsets.swapaxes(0, 1)
                row[NEXT_SOURCE], row[NEXT_BLOCK] = weights.shape[1] * BLOCK, BLOCK
            row[SYNAPSES] = self.weights.add(weights)
            self.offsets.add(offsets)
            return row
        rows = np.zeros((pre, stride), np.int64)
        rows[:, :post] = p.weights.T
        row[ROWS] = self.rows.add(rows)
        if p.delay is Delay.DENDRITIC:
            block, place = np.divmod(np.arange(post), BLOCK)
            row[DENDRITES] = self.dendrites.add((block * self.span + late) * BLOCK + place)
        if p.delay is Delay.AXONAL:
            row[AXONS] = self.ticks.add(late)
            row[QUEUE] = self.queued
            self.queued += self.turn * pre
        return row


@lru_cache(maxsize=4)
def tables(image: Image) -> Tables:
    """Lay out `image`."""
    layout = _Layout(image)
    rows = [layout.projection(p) for p in layout.order]
    populations = layout.populations()
    neurons = [
        layout.neurons(name, populations[:, FIRST]) for name in ("threshold", "bias", "coefficient")
    ]
    flows = image.chip.current
    return Tables(
        None if flows is None else current.words(flows),
        words(image.chip.lif),
        image.chip.readout.score,
        _clocks(image),
        layout.turn,
        layout.span,
        populations,
        np.array(rows, np.int64).reshape(-1, 14),
        *neurons,
        layout.currents(populations[:, FIRST]),
        layout.rows.array(),
        layout.weights.array(),
        layout.offsets.array(),
        layout.dendrites.array(),
        layout.ticks.array(),
    )


def scratch(t: Tables, channels: int, steps: int) -> Scratch:
    """Allocate what one thread needs for recordings of `channels` and `steps`."""
    neurons, ahead = int(t.populations[-1, FIRST]), int(t.populations[-1, AHEAD])
    active = aligned(_padded(int(t.populations[:, SIZE].max())), np.uint8)
    widest = int(t.projections[:, STRIDE].max(initial=0))
    queues = int((t.projections[:, SOURCES] * (t.projections[:, QUEUE] >= 0)).sum()) * t.turn
    middle = t.synapse_weights.dtype
    segment = min(steps, SEGMENT) * channels
    return Scratch(
        v=aligned(neurons, t.threshold.dtype),
        total=aligned(neurons, t.threshold.dtype),
        u=aligned(neurons, t.threshold.dtype),
        now=aligned(neurons, middle),
        i=aligned(len(t.current_coefficient), np.int64),
        beyond=np.zeros(neurons, np.bool_),
        spikes=np.zeros(neurons, np.uint32),
        ones=np.ones(neurons, np.int64),
        fired=np.zeros(len(t.populations), np.int64),
        active=active,
        words=active.view(np.uint64),
        late=aligned(widest, middle),
        ahead=aligned(ahead, middle),
        queued=np.zeros((len(t.projections), t.turn), np.int64),
        queue_source=np.empty(queues, np.uint32),
        queue_count=np.empty(queues, np.int64),
        channel_start=np.zeros(channels + 1, np.uint64),
        event_tick=np.empty(segment, np.uint64),
        more=np.empty((3, segment), np.int64),
    )


def event_lists(recordings: int, steps: int, channels: int) -> Events:
    """Allocate room for as many events as there can be."""
    active = aligned(_padded(channels), np.uint8)
    most = recordings * steps * channels
    return Events(
        active=active,
        words=active.view(np.uint64),
        starts=np.zeros((recordings, steps + 1), np.int64),
        channel=np.empty(most + AT_ONCE, np.uint32),
        count=np.empty(most, np.int64),
    )
