"""Random chips, random networks that fit them, and random input: everything at its extremes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from datapath import (
    Axon,
    Chip,
    Compare,
    Delay,
    Format,
    Image,
    Kind,
    Leak,
    Lif,
    Population,
    Projection,
    Readout,
    Reset,
    Rounding,
    Synapse,
)
from sim.stimulus import noise

Integers = NDArray[np.int64]
Rng = np.random.Generator


def _between(rng: Rng, least: int, most: int) -> int:
    return int(rng.integers(least, most, endpoint=True))


def random_chip(rng: Rng, lanes: int) -> Chip:
    """Draw a small chip with `lanes` lanes and formats of any width."""
    v = Format(_between(rng, 4, 16), _between(rng, -2, 8))
    leak = Leak(rng.choice(list(Leak)))
    if leak is Leak.SHIFT:
        coefficient = Format(_between(rng, 1, (2 * v.width - 1).bit_length() - 1), signed=False)
    else:
        width = _between(rng, 2, 10)
        coefficient = Format(width, _between(rng, 1, width - 1), signed=False)
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
        lif=Lif(
            v=v,
            bias=Format(_between(rng, 2, 14)),
            leak=leak,
            coefficient=coefficient,
            rounding=Rounding(rng.choice(list(Rounding))),
            compare=Compare(rng.choice(list(Compare))),
        ),
        readout=Readout(
            score=Format(v.width + _between(rng, 0, 6)), classes=_between(rng, 1, neurons)
        ),
        learn=None,
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
    strong = rng.integers(lif.one * 3 // 4, lif.one + 1, size) if lif.one else np.full(size, 2)
    coefficient = np.where(
        rng.random(size) < 0.4,
        noise(rng, lif.coefficient, size),
        np.minimum(strong, lif.coefficient.max),
    )
    return Population(
        name=name,
        kind=kind,
        size=size,
        threshold=np.where(rng.random(size) < 0.2, corner, within_reach),
        bias=bias,
        coefficient=coefficient,
        reset=Reset.ZERO if rng.random() < 0.4 else Reset.SUBTRACT,
        emit=bool(rng.integers(2)),
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
