"""A chip just large enough for a network or an image."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from datapath import (
    Axon,
    Chip,
    Current,
    Delay,
    Format,
    Image,
    Leak,
    Lif,
    Order,
    Overflow,
    Population,
    Readout,
    Synapse,
)
from datapath.chip import PRODUCT
from model import Input, Network, Projection
from quant.delays import DelayWords, delay_words, image_mode
from quant.options import Options, widths

Exact = NDArray[np.object_]

WIDEST = 48
"""Bits of the widest format."""


def chip_for(network: Network, options: Options) -> Chip:
    """Return a chip that fits `network`, built with the formats of `options`.

    Histories and accumulator rings are as deep as the delays in use, rounded up to a power of two;
    delay memories are built for the delay modes in use alone.  Accumulators hold the sum of the
    largest weights at the largest shift (`narrowed` fits them to an image), scores the sum of the
    largest membranes over a recording.
    """
    lanes = options.lanes
    blocks = {p.name: -(-p.size // lanes) for p in network.populations}
    neurons = sum(blocks[p.name] for p in network.populations if not isinstance(p, Input))
    sources = {p.name: p.size for p in network.populations}
    score = options.membrane_bits + (network.steps - 1).bit_length()
    return Chip(
        channels=blocks[network.input.name] * lanes,
        neurons=neurons * lanes,
        populations=len(network.populations) - 1,
        projections=max(1, len(network.projections)),
        synapses=max(1, sum(sources[p.pre] * blocks[p.post] for p in network.projections)),
        lanes=lanes,
        axon=_axon(network, options),
        synapse=_synapse(network, options, blocks),
        current=_current(network, options),
        lif=Lif(
            v=Format(options.membrane_bits),
            bias=Format(options.bias_bits),
            leak=options.leak,
            coefficient=_coefficient(options),
            rounding=options.rounding,
            compare=options.compare,
            overflow=Overflow.SATURATE,
        ),
        readout=Readout(score=Format(min(WIDEST, score)), classes=network.readout.size),
        learn=None,
    )


def _current(network: Network, options: Options) -> Current | None:
    """Currents of the widest format that a leak takes, if the network has any."""
    if not network.has_currents:
        return None
    return Current(
        i=Format(min(WIDEST, PRODUCT - options.coefficient_bits)),
        leak=options.leak,
        coefficient=_coefficient(options),
        rounding=options.rounding,
        order=Order.LEAK_FIRST,
        overflow=Overflow.SATURATE,
    )


def _coefficient(options: Options) -> Format:
    """One bit before the point where a leak is a product, so that it holds the number 1."""
    frac = options.coefficient_bits - 1 if options.leak is Leak.MULTIPLY else 0
    return Format(options.coefficient_bits, frac, signed=False)


def _words(network: Network, options: Options) -> list[tuple[Projection, DelayWords]]:
    """Every projection with its delay words."""
    return [
        (
            p,
            delay_words(
                network, p, options.delay_bits_of(p.name), None, options.resolution_of(p.name)
            ),
        )
        for p in network.projections
    ]


def _axon(network: Network, options: Options) -> Axon:
    # A history has two slots at least, so that recurrent projections can look one tick back.
    reach = {True: 1, False: 1}
    delays, bits = 0, 1
    for projection, words in _words(network, options):
        if words.mode is Delay.AXONAL:
            from_input = projection.pre == network.input.name
            delays += words.words.size
            bits = max(bits, options.delay_bits_of(projection.name))
            reach[from_input] = max(reach[from_input], int(words.applied.max()))
    return Axon(
        count=Format(options.count_bits, signed=False),
        channel_steps=deeper_than(reach[True]),
        neuron_steps=deeper_than(reach[False]),
        delay=Format(bits, signed=False),
        delays=delays,
    )


def _synapse(network: Network, options: Options, blocks: dict[str, int]) -> Synapse:
    reach, bits, ring = 0, 1, (Delay.DENDRITIC, Delay.SYNAPTIC)
    for projection, words in _words(network, options):
        if words.mode in ring:
            bits = max(bits, options.delay_bits_of(projection.name))
            reach = max(reach, 1, int(words.words.max()) << words.resolution)
    modes = {p.name: image_mode(network, p) for p in network.projections}
    dendritic = [p for p in network.projections if modes[p.name] is Delay.DENDRITIC]
    return Synapse(
        weight=Format(widths(options, network)[0]),
        scale=Format(options.scale_bits, signed=False),
        acc=Format(min(WIDEST, _largest_sum(network, options).bit_length() + 1)),
        slots=deeper_than(reach) if reach else 1,
        delay=Format(bits, signed=False),
        dendritic=sum(blocks[p.post] for p in dendritic),
        synaptic=Delay.SYNAPTIC in modes.values(),
    )


def _largest_sum(network: Network, options: Options) -> int:
    sums = [0]
    for population in network.populations:
        into = [p for p in network.projections if p.post == population.name]
        total = 0
        for projection in into:
            from_input = projection.pre == network.input.name
            count = (1 << options.count_bits) - 1 if from_input else 1
            most = 1 << (options.weight_bits_of(projection.name) - 1)
            total += count * projection.weights.shape[1] * most
        sums.append(total << options.largest_shift)
    return max(sums)


def deeper_than(reach: int) -> int:
    """Smallest power of two above `reach`."""
    return 1 << reach.bit_length()


def narrowed(image: Image) -> Image:
    """Return `image` on the same chip with sums and currents as narrow as its weights allow.

    Every weight of the same sign at once, and the largest event count, still fit; a current holds
    them in every tick of a recording.
    """
    chip = image.chip
    low, high = sums(image)
    width = max(1 + max(-low - 1, high).bit_length(), chip.synapse.weight.width)
    chip = replace(chip, synapse=replace(chip.synapse, acc=Format(width)))
    if chip.current is not None:
        most = max(_largest_current(image, p, chip.current) for p in image.populations)
        i = Format(min(chip.current.i.width, max(2, 1 + most.bit_length())))
        chip = replace(chip, current=replace(chip.current, i=i))
    return replace(image, chip=chip)


def _largest_current(image: Image, population: Population, current: Current) -> int:
    """Return what no current of `population` can exceed in a recording."""
    assert population.current_coefficient is not None
    low, high = _bounds(image, population)
    largest = 0
    for c, a in zip(population.current_coefficient.tolist(), np.maximum(-low, high), strict=True):
        # A leak may round up by less than one, or take nothing of what is below 1 << c.
        if c == current.one:
            bound = int(a) * image.steps
        elif current.leak is Leak.MULTIPLY:
            bound = (int(a) + 1) * current.one // max(1, current.one - c) + 1
        else:
            bound = (int(a) + 1) << c
        largest = max(largest, bound)
    return largest


def _bounds(image: Image, population: Population) -> tuple[Exact, Exact]:
    """Return the smallest and the largest sum of every neuron, as Python integers."""
    down = np.zeros(population.size, object)
    up = np.zeros(population.size, object)
    for projection in image.projections:
        if projection.post == population.name:
            count = image.chip.axon.count.max if projection.pre == image.input_name else 1
            times = count << projection.scale
            # As Python integers: wide weights and counts together leave 64 bits.
            down += projection.weights.clip(max=0).sum(axis=1).astype(object) * times
            up += projection.weights.clip(min=0).sum(axis=1).astype(object) * times
    return down, up


def sums(image: Image) -> tuple[int, int]:
    """Return the smallest and the largest sum that an accumulator of `image` can hold."""
    low = high = 0
    for population in image.populations:
        down, up = _bounds(image, population)
        low, high = min(low, int(np.min(down))), max(high, int(np.max(up)))
    return low, high
