"""Random chips, random networks that fit them, and random input: everything at its extremes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from datapath import (
    Axon,
    Chip,
    Compare,
    Current,
    Delay,
    Format,
    Image,
    Kind,
    Leak,
    Learn,
    Learning,
    Lif,
    Order,
    Overflow,
    Population,
    PopulationRule,
    Projection,
    ProjectionRule,
    Readout,
    Reset,
    Rounding,
    Synapse,
)
from datapath.learning import feedback_projection
from datapath.memory_formats import KEEP, RANDOM, SHIFT, STRENGTH
from sim.stimulus import noise

Integers = NDArray[np.int64]
Rng = np.random.Generator


def _between(rng: Rng, least: int, most: int) -> int:
    return int(rng.integers(least, most, endpoint=True))


def random_chip(rng: Rng, lanes: int) -> Chip:
    """Draw a small chip with `lanes` lanes and formats of any width."""
    v = Format(_between(rng, 4, 16), _between(rng, -2, 8))
    leak, coefficient = _random_leak(rng, v)
    weight = Format(_between(rng, 2, 9))
    scale = Format(_between(rng, 1, 3), signed=False)
    slots = 1 << _between(rng, 0, 4)
    neurons = lanes * _between(rng, 4, 8)
    return Chip(
        channels=lanes * _between(rng, 1, 6),
        neurons=neurons,
        populations=_between(rng, 2, 4),
        projections=_between(rng, 2, 9),
        synapses=_between(rng, 32, 256),
        lanes=lanes,
        axon=Axon(
            count=Format(_between(rng, 1, 4), signed=False),
            channel_steps=1 << _between(rng, 1, 5),
            neuron_steps=1 << _between(rng, 1, 4),
            delay=Format(_between(rng, 1, 5), signed=False),
            delays=_between(rng, 0, 2) * _between(rng, 1, 24),
        ),
        synapse=Synapse(
            weight=weight,
            scale=scale,
            acc=Format(weight.width + _between(rng, 4, 16)),
            slots=slots,
            delay=Format(_between(rng, 1, 4), signed=False),
            dendritic=_between(rng, 0, 8) if slots > 1 else 0,
            synaptic=slots > 1 and bool(rng.integers(2)),
        ),
        current=None,
        lif=Lif(
            v=v,
            bias=Format(_between(rng, 2, 14)),
            leak=leak,
            coefficient=coefficient,
            rounding=Rounding(rng.choice(list(Rounding))),
            compare=Compare(rng.choice(list(Compare))),
            overflow=Overflow.SATURATE,
        ),
        readout=Readout(
            score=Format(v.width + _between(rng, 0, 6)), classes=_between(rng, 1, neurons)
        ),
        learn=None,
    )


def random_current_chip(rng: Rng, lanes: int) -> Chip:
    """Draw a small chip whose neurons have synaptic currents, with `lanes` lanes."""
    chip = random_chip(rng, lanes)
    i = Format(_between(rng, 4, 18), _between(rng, -2, 8))
    leak, coefficient = _random_leak(rng, i)
    overflow, order = list(Overflow), list(Order)
    return replace(
        chip,
        current=Current(
            i=i,
            leak=leak,
            coefficient=coefficient,
            rounding=Rounding(rng.choice(list(Rounding))),
            order=Order(rng.choice(order)),
            overflow=Overflow(rng.choice(overflow)),
        ),
        lif=replace(chip.lif, overflow=Overflow(rng.choice(overflow))),
    )


def _random_leak(rng: Rng, state: Format) -> tuple[Leak, Format]:
    """Draw how a `state` leaks."""
    leak = Leak(rng.choice(list(Leak)))
    if leak is not Leak.MULTIPLY:
        width = _between(rng, 1, (2 * state.width - 1).bit_length() - 1)
        return leak, Format(width, signed=False)
    width = _between(rng, 2, 10)
    return leak, Format(width, _between(rng, 1, width - 1), signed=False)


def random_learning_chip(rng: Rng, lanes: int) -> Chip:
    """Draw a small chip that learns, with `lanes` lanes and formats of any width."""
    chip = random_chip(rng, lanes)
    learn = _random_learn(rng)
    axon, synapse = chip.axon, chip.synapse
    packed = learn.signal.width + learn.slope.width
    # A readout alone makes no error.
    neurons = lanes * _between(rng, 6, 12)
    classes = _between(rng, 1 + (rng.random() < 0.9), neurons)
    return replace(
        chip,
        neurons=neurons,
        synapses=_between(rng, 96, 512),
        readout=replace(chip.readout, classes=classes),
        axon=replace(
            axon,
            channel_steps=learn.steps << _between(rng, 0, 1),
            neuron_steps=learn.steps << _between(rng, 0, 1),
        ),
        synapse=replace(
            synapse,
            acc=Format(max(packed, synapse.weight.width + _between(rng, 10, 22))),
            slots=1 << _between(rng, 2, 5),
            dendritic=_between(rng, 0, 1) * _between(rng, 1, 8),
            synaptic=rng.random() < 0.7,
        ),
        learn=learn,
    )


def _random_learn(rng: Rng) -> Learn:
    width = _between(rng, 2, 10)
    return Learn(
        steps=1 << _between(rng, 3, 5),
        lookup=Format(_between(rng, 1, 9), signed=False),
        entries=1 << _between(rng, 1, 6),
        coefficient=Format(width, _between(rng, 1, width - 1), signed=False),
        filtered=Format(_between(rng, 5, 24)),
        signal=Format(_between(rng, 3, 14)),
        slope=Format(_between(rng, 3, 14)),
        tap=Format(_between(rng, 1, 6), _between(rng, 0, 6), signed=False),
        taps=_between(rng, 1, 8),
        weight_gradient=Format(_between(rng, 4, 26)),
        delay_gradient=Format(_between(rng, 4, 26)),
        weight_fraction=Format(_between(rng, 1, 8), signed=False),
        delay_fraction=Format(_between(rng, 1, 8), signed=False),
        rate=Format(_between(rng, 1, 8), signed=False),
        activity=Format(_between(rng, 1, 5), signed=False),
    )


def random_image(rng: Rng, chip: Chip, steps: int) -> Image:
    """Draw a network that fits `chip`, of up to all its populations and projections.

    The readout may be updated anywhere in the order, populations may project to any other and to
    themselves, several times; weights, thresholds, biases and delays lean towards their corners.
    """
    channels = _between(rng, max(1, chip.channels // 2), chip.channels)
    kinds, sizes = _sizes(rng, chip)
    names = ["input", *kinds]
    spiking = [name for name in names if kinds.get(name) is not Kind.READOUT]
    room = _Room(chip)
    projections: list[Projection] = []
    for n in range(chip.projections):
        pre, post = str(rng.choice(spiking)), str(rng.choice(names[1:]))
        if n == 0:
            pre, post = "input", names[1]
        if n == 1:
            pre, post = spiking[-1], next(name for name in kinds if kinds[name] is Kind.READOUT)
        shape = (sizes[post], channels if pre == "input" else sizes[pre])
        age = int(names.index(pre) >= names.index(post))
        projection = room.projection(rng, f"p{n}", (pre, post), shape, age)
        if projection is not None:
            projections.append(projection)
    populations = [
        _population(
            rng, chip, name, kinds[name], room.high.get(name, np.zeros(sizes[name], np.int64))
        )
        for name in kinds
    ]
    return Image(
        chip=chip,
        input_name="input",
        channels=channels,
        units=channels,
        dt_us=1000,
        steps=steps,
        populations=tuple(populations),
        projections=tuple(projections),
    )


def random_counts(rng: Rng, image: Image, recordings: int) -> Integers:
    """Draw input, int64[recordings, steps, channels]: silent, sparse and dense recordings.

    Some counts are more than one event holds.
    """
    shape = (recordings, image.steps, image.channels)
    most = image.chip.axon.count.max
    density = rng.choice([0, 0.05, 0.2, 0.6], (recordings, 1, 1), p=[0.1, 0.4, 0.3, 0.2])
    many = np.where(rng.random(shape) < 0.05, most + rng.integers(1, most + 2, shape), 1)
    many = np.where(rng.random(shape) < 0.3, rng.integers(1, most, shape, endpoint=True), many)
    return np.where(rng.random(shape) < density, many, 0).astype(np.int64)


def random_learning(rng: Rng, image: Image) -> Image:
    """Let `image`, on a chip that learns, learn as much as its chip can hold.

    Rules, tables, taps, gradients and fractions lean towards their corners; populations take the
    weights to the readout or fixed feedback, some populations and projections do not learn.
    """
    chip, learn = image.chip, image.chip.learn
    if learn is None:
        raise ValueError("learning: the chip is built without learning")
    taps = _between(rng, rng.random() < 0.9, min(learn.taps, (chip.synapse.slots - 1) // 2))
    populations = _population_rules(rng, image, learn)
    return replace(
        image,
        learning=Learning(
            surrogate=_table(rng, learn),
            levels=_table(rng, learn),
            surrogate_shift=_shift(rng, _between(rng, 0, chip.lif.v.width - 1)),
            error_shift=_shift(rng, _between(rng, 0, chip.lif.v.width - 1)),
            taps=noise(rng, learn.tap, taps),
            keep_weights=_between(rng, 0, 1) * _between(rng, 0, KEEP.max),
            keep_delays=_between(rng, 0, 1) * _between(rng, 0, KEEP.max),
            sign_of_weight=bool(rng.integers(2)),
            nearest=bool(rng.integers(2)),
            random=rng.integers(1, RANDOM.max, chip.lanes, endpoint=True),
            populations=populations,
            projections=_Rules(image, learn, populations, taps).draw(rng),
        ),
    )


def random_labels(rng: Rng, image: Image, recordings: int) -> Integers:
    """Draw labels, int64[recordings]; some recordings have none, which is -1."""
    labels = rng.integers(0, image.readout.size, recordings)
    return np.where(rng.random(recordings) < 0.15, -1, labels)


def _shift(rng: Rng, usual: int) -> int:
    """Draw a right shift up to `usual`, sometimes any."""
    return _between(rng, 0, SHIFT.max if rng.random() < 0.1 else min(usual, SHIFT.max))


def _table(rng: Rng, learn: Learn) -> Integers:
    """Draw a lookup table: falling from its largest number, as a user's, or anything."""
    table = noise(rng, learn.lookup, learn.entries)
    if rng.random() < 0.6:
        table[0] = learn.lookup.max
        return np.sort(table)[::-1]
    return table


def _population_rules(rng: Rng, image: Image, learn: Learn) -> tuple[PopulationRule, ...]:
    """Draw a rule for every population, fixed feedback as far as there is room for it."""
    chip, classes = image.chip, image.readout.size
    blocks = {p.name: -(-p.size // chip.lanes) for p in image.populations}
    room = chip.synapses - sum(image.source_size(p) * blocks[p.post] for p in image.projections)
    rules = []
    for number, p in enumerate(image.populations):
        hidden, need = p.kind is Kind.LIF, p.size * blocks[image.readout.name]
        own = hidden and need <= room and rng.random() < 0.5
        room -= need * own
        reachable = own or not hidden or feedback_projection(image, number) is not None
        one = 1 << learn.coefficient.frac
        coefficient = min(one, int(noise(rng, learn.coefficient, 1)[0]))
        rules.append(
            PopulationRule(
                learns=reachable and (not hidden or rng.random() < 0.9),
                feedback=noise(rng, chip.synapse.weight, (p.size, classes)) if own else None,
                coefficient=_between(rng, one * 3 // 4, one) if rng.random() < 0.6 else coefficient,
                drive_shift=_shift(rng, _between(rng, 0, learn.lookup.width)),
                signal_shift=_shift(rng, _between(rng, 0, 3)),
                strength=_between(rng, 0, 1) * _between(rng, 0, STRENGTH.max // 2),
                target=int(noise(rng, learn.activity, 1)[0]),
            )
        )
    return tuple(rules)


class _Rules:
    """Draws rules of projections, none of which can drive a sum out of the accumulators."""

    def __init__(
        self, image: Image, learn: Learn, populations: tuple[PopulationRule, ...], taps: int
    ) -> None:
        self.image, self.learn, self.taps = image, learn, taps
        pairs = zip(image.populations, populations, strict=True)
        self.learns = {p.name: rule.learns for p, rule in pairs}
        self.free = {p.name: image.chip.synapse.acc.max for p in image.populations}
        for p in image.projections:
            self.free[p.post] -= int(np.abs(p.weights).sum(axis=1).max(initial=0)) * self._times(p)

    def draw(self, rng: Rng) -> tuple[ProjectionRule, ...]:
        """Draw a rule for every projection."""
        return tuple(self._rule(rng, p) for p in self.image.projections)

    def _times(self, p: Projection) -> int:
        count = self.image.chip.axon.count.max if p.pre == self.image.input_name else 1
        return count << p.scale

    def _longest(self, p: Projection) -> int:
        """Return the largest delay word that `p` may learn; less than 0 if it may not learn."""
        axon, synapse = self.image.chip.axon, self.image.chip.synapse
        if p.delay is Delay.AXONAL:
            depth = axon.channel_steps if p.pre == self.image.input_name else axon.neuron_steps
            return min(axon.delay.max, (depth - 1 - self.image.age(p)) >> p.resolution)
        return min(synapse.delay.max, (synapse.slots - 1 - self.taps) >> p.resolution)

    def _weights_learn(self, p: Projection) -> bool:
        """Whether the accumulators hold every weight that `p` could learn; if so, it will."""
        heaviest = -self.image.chip.synapse.weight.min * p.weights.shape[1] * self._times(p)
        own = int(np.abs(p.weights).sum(axis=1).max(initial=0)) * self._times(p)
        if self.free[p.post] < heaviest - own:
            return False
        self.free[p.post] -= heaviest - own
        return True

    def _rate(self, rng: Rng) -> int:
        return max(int(noise(rng, self.learn.rate, 1)[0]), _between(rng, 0, 1))

    def _rule(self, rng: Rng, p: Projection) -> ProjectionRule:
        learn, most, longest = self.learn, int(p.delays.max(initial=0)), self._longest(p)
        may = self.learns[p.post] and most <= longest
        delays = may and p.delay in (Delay.AXONAL, Delay.SYNAPTIC) and rng.random() < 0.8
        return ProjectionRule(
            weights=may and rng.random() < 0.8 and self._weights_learn(p),
            delays=delays,
            weight_limit=1 + _shift(rng, learn.weight_gradient.width) % SHIFT.max,
            weight_rate=self._rate(rng),
            weight_shift=_shift(rng, _between(rng, 0, learn.rate.width)),
            delay_scale=_shift(rng, _between(rng, 0, self.image.chip.synapse.weight.width)),
            delay_limit=1 + _shift(rng, learn.delay_gradient.width) % SHIFT.max,
            delay_rate=self._rate(rng),
            delay_shift=_shift(rng, _between(rng, 0, learn.rate.width)),
            largest=_between(rng, most, longest) if delays else most,
            weight_fractions=noise(rng, learn.weight_fraction, p.weights.shape),
            weight_gradients=_some(rng, learn.weight_gradient, p.weights.shape),
            delay_fractions=noise(rng, learn.delay_fraction, p.delays.shape),
            delay_gradients=_some(rng, learn.delay_gradient, p.delays.shape),
        )


def _some(rng: Rng, fmt: Format, shape: tuple[int, ...]) -> Integers:
    """Draw what is left of earlier recordings: mostly nothing."""
    return np.where(rng.random(shape) < 0.8, 0, noise(rng, fmt, shape))


def _sizes(rng: Rng, chip: Chip) -> tuple[dict[str, Kind], dict[str, int]]:
    """Draw two or more populations, one of them the readout, on all the neurons of the chip."""
    count = _between(rng, 2, min(chip.populations, chip.neuron_blocks))
    cuts = rng.choice(np.arange(1, chip.neuron_blocks), count - 1, replace=False)
    blocks = np.diff([0, *sorted(cuts), chip.neuron_blocks])
    last = count - 1 if rng.random() < 0.7 else _between(rng, 0, count - 1)
    kinds = {f"n{n}": Kind.READOUT if n == last else Kind.LIF for n in range(count)}
    sizes = {}
    for name, taken in zip(kinds, blocks, strict=True):
        most = int(taken) * chip.lanes
        sizes[name] = _between(rng, max(1, most - chip.lanes + 1), most)
        if kinds[name] is Kind.READOUT:
            sizes[name] = min(sizes[name], chip.readout.classes)
    return kinds, sizes


def _population(rng: Rng, chip: Chip, name: str, kind: Kind, drive: Integers) -> Population:
    """Draw a population that fires now and then; drive : largest sum of each neuron."""
    lif, size = chip.lif, len(drive)
    within_reach = rng.integers(1, np.clip(drive // 3, 2, lif.v.max), endpoint=True)
    corner = rng.choice([1, lif.v.max - 1, lif.v.max], size)
    bias = np.where(rng.random(size) < 0.3, noise(rng, lif.bias, size), 0)
    coefficient = _leaks(rng, lif, size)
    return Population(
        name=name,
        kind=kind,
        size=size,
        threshold=np.where(rng.random(size) < 0.2, corner, within_reach),
        bias=bias,
        coefficient=coefficient,
        reset=Reset.ZERO if rng.random() < 0.4 else Reset.SUBTRACT,
        emit=bool(rng.integers(2)),
        current_coefficient=None if chip.current is None else _leaks(rng, chip.current, size),
    )


def _leaks(rng: Rng, block: Lif | Current, size: int) -> Integers:
    """Draw coefficients of a leak, most of them weak."""
    strong = (
        rng.integers(block.one * 3 // 4, block.one + 1, size) if block.one else np.full(size, 2)
    )
    return np.where(
        rng.random(size) < 0.4,
        noise(rng, block.coefficient, size),
        np.minimum(strong, block.coefficient.max),
    )


class _Room:
    """What projections may still take of a chip."""

    def __init__(self, chip: Chip) -> None:
        self.chip = chip
        self.synapses = chip.synapses
        self.axonal = chip.axon.delays
        self.dendritic = chip.synapse.dendritic
        self.low: dict[str, Integers] = {}
        self.high: dict[str, Integers] = {}

    def projection(
        self, rng: Rng, name: str, ends: tuple[str, str], shape: tuple[int, int], age: int
    ) -> Projection | None:
        """Draw a projection of weights `shape` that still fits; None if none does."""
        chip, (post, pre) = self.chip, shape
        blocks = -(-post // chip.lanes)
        if pre * blocks > self.synapses:
            return None
        self.synapses -= pre * blocks
        mode = self._mode(rng, pre, blocks)
        depth, fmt = chip.synapse.slots, chip.synapse.delay
        if mode is Delay.AXONAL:
            axon = chip.axon
            depth = (axon.channel_steps if ends[0] == "input" else axon.neuron_steps) - age
            fmt = axon.delay
        coarsest = min(3, (depth - 1).bit_length())
        resolution = _between(rng, 0, coarsest) * _between(rng, 0, 1)
        most = min(fmt.max, (depth - 1) >> resolution)
        of_delays = {
            Delay.NONE: (),
            Delay.AXONAL: (pre,),
            Delay.DENDRITIC: (post,),
            Delay.SYNAPTIC: shape,
        }[mode]
        delays = noise(rng, Format(max(1, most.bit_length()), signed=False), of_delays)
        weights, scale = self._weights(rng, ends, shape)
        return Projection(
            name=name,
            pre=ends[0],
            post=ends[1],
            weights=weights,
            scale=scale,
            delay=mode,
            delays=np.zeros((), np.int64) if mode is Delay.NONE else np.minimum(delays, most),
            resolution=resolution,
        )

    def _mode(self, rng: Rng, pre: int, blocks: int) -> Delay:
        """Draw among the modes that the chip still has room for."""
        modes = [Delay.NONE]
        if pre <= self.axonal:
            modes.append(Delay.AXONAL)
        if blocks <= self.dendritic:
            modes.append(Delay.DENDRITIC)
        if self.chip.synapse.synaptic:
            modes.append(Delay.SYNAPTIC)
        mode = Delay(rng.choice(modes))
        self.axonal -= pre * (mode is Delay.AXONAL)
        self.dendritic -= blocks * (mode is Delay.DENDRITIC)
        return mode

    def _weights(
        self, rng: Rng, ends: tuple[str, str], shape: tuple[int, int]
    ) -> tuple[Integers, int]:
        """Draw weights and scale, silencing synapses until no sum can leave the accumulators."""
        chip, (name, post) = self.chip, ends
        weights = noise(rng, chip.synapse.weight, shape)
        weights = np.where(rng.random(shape) < 0.2, 0, weights)
        scale = _between(rng, 0, chip.synapse.scale.max)
        times = chip.axon.count.max if name == "input" else 1
        low = self.low.setdefault(post, np.zeros(shape[0], np.int64))
        high = self.high.setdefault(post, np.zeros(shape[0], np.int64))
        fmt = chip.synapse.acc
        while True:
            drive = (weights << scale) * times
            below = low + np.minimum(drive, 0).sum(axis=1)
            above = high + np.maximum(drive, 0).sum(axis=1)
            over = (below < fmt.min) | (above > fmt.max)
            if not over.any():
                break
            if scale and rng.random() < 0.5:
                scale -= 1
            else:
                weights = np.where(over[:, None] & (rng.random(shape) < 0.5), 0, weights)
        self.low[post], self.high[post] = below, above
        return weights, scale
