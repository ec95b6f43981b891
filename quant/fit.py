"""A chip just large enough for a network or an image."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from datapath import Axon, Chip, Delay, Format, Image, Leak, Lif, Overflow, Readout, Synapse
from model import Input, Network, Projection
from quant.delays import DelayWords, delay_words, image_mode
from quant.options import Options, widths

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
        current=None,
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
    """Return `image` on the same chip with accumulators as narrow as its weights allow.

    Every weight of the same sign at once, and the largest event count, still fit.
    """
    chip = image.chip
    low, high = sums(image)
    width = max(1 + max(-low - 1, high).bit_length(), chip.synapse.weight.width)
    acc = Format(width)
    return replace(image, chip=replace(chip, synapse=replace(chip.synapse, acc=acc)))


def sums(image: Image) -> tuple[int, int]:
    """Return the smallest and the largest sum that an accumulator of `image` can hold."""
    low = high = 0
    for population in image.populations:
        down = up = 0
        for projection in image.projections:
            if projection.post == population.name:
                count = image.chip.axon.count.max if projection.pre == image.input_name else 1
                times = count << projection.scale
                # As Python integers: wide weights and counts together leave 64 bits.
                down = down + projection.weights.clip(max=0).sum(axis=1).astype(object) * times
                up = up + projection.weights.clip(min=0).sum(axis=1).astype(object) * times
        low, high = min(low, int(np.min(down))), max(high, int(np.max(up)))
    return low, high
