"""Every decision of a mapping, before any integer is written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from datapath import Chip, Delay, Format, Order
from datapath.integers import Integers
from model import Input, Lif, Network, Projection, Readout
from model.network import Floats
from quant.calibrate import Ranges
from quant.delays import DelayWords, delay_words, image_mode
from quant.leak import alphas, coefficients
from quant.options import Granularity, Options, Search
from quant.problem import Drive, Formats, Problem, Scales
from quant.scales import scales

Integrating = Lif | Readout

CLIPS = (0.0, 1 / 16, 1 / 8, 1 / 4, 1 / 2, 1.0)
"""Tried parts of the share of weights that may be clipped."""


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """How `network` gets onto `chip`.

    words, shifts : by projection.  coefficients, scales : by population.  currents : by population,
    the coefficients of its current, on a chip that has them.
    """

    network: Network
    options: Options
    chip: Chip
    ranges: Ranges
    words: Mapping[str, DelayWords]
    shifts: Mapping[str, int]
    coefficients: Mapping[str, Integers]
    currents: Mapping[str, Integers]
    scales: Mapping[str, Scales]

    def scale_of(self, projection: Projection) -> Floats:
        """Scales of the neurons that `projection` reaches, float64[post, 1]."""
        return self.scales[projection.post].scale[:, None]


def integrating(network: Network) -> list[Integrating]:
    """Return the populations that have a membrane, in update order."""
    return [p for p in network.populations if not isinstance(p, Input)]


def clips(options: Options) -> tuple[float, ...]:
    """Shares of the weights of a scale that a search tries to clip."""
    if options.search is Search.RANGE or not options.clip:
        return (0.0,)
    return tuple(part * options.clip for part in CLIPS)


def plan(
    network: Network,
    options: Options,
    chip: Chip,
    ranges: Ranges,
    clipped: Mapping[str, tuple[float, ...]],
) -> Plan:
    """Decide delay words, leak coefficients, scales and shifts.

    clipped : by population, the shares of its weights to try to clip, instead of `clips`.
    """
    words = {p.name: delay_words_of(network, p, options, chip) for p in network.projections}
    _check_currents(network, chip)
    leaks: dict[str, Integers] = {}
    currents: dict[str, Integers] = {}
    found: dict[str, Scales] = {}
    shifts: dict[str, int] = {}
    for population in integrating(network):
        name, bits = population.name, options.coefficient_bits
        leak = coefficients(f"{name}: alpha", population.alpha, chip.lif, bits)
        exact = np.array_equal(alphas(leak, chip.lif), population.alpha)
        if chip.current is not None:
            bits = min(bits, chip.current.coefficient.width)
            alpha = population.alpha_syn
            currents[name] = coefficients(f"{name}: alpha_syn", alpha, chip.current, bits)
            exact &= np.array_equal(alphas(currents[name], chip.current), alpha)
        tried = clipped.get(population.name, clips(options))
        best = scales(_problem(network, population, options, chip, ranges, exact, tried))
        leaks[population.name], found[population.name] = leak, best
        into = [p.name for p in network.projections if p.post == population.name]
        shifts.update(zip(into, best.shifts, strict=True))
    return Plan(network, options, chip, ranges, words, shifts, leaks, currents, found)


def _check_currents(network: Network, chip: Chip) -> None:
    """Refuse currents that `chip` does not have, or has in another order."""
    if chip.current is None:
        for population in integrating(network):
            if population.alpha_syn.any():
                raise ValueError(
                    f"{population.name}: alpha_syn must be 0, because the chip is built without "
                    "synaptic currents"
                )
    elif chip.current.order is Order.SUM_FIRST:
        raise ValueError(
            "the currents of the chip leak in the step in which a sum enters, and those of a "
            "network do not: use a chip with current.order = leak-first"
        )


def delay_words_of(
    network: Network, projection: Projection, options: Options, chip: Chip
) -> DelayWords:
    """Choose the delay words of `projection` on `chip`."""
    mode = image_mode(network, projection)
    fmt, depth = chip.synapse.delay, chip.synapse.slots
    if mode is Delay.AXONAL:
        fmt, depth = chip.axon.delay, chip.axon.neuron_steps
        if projection.pre == network.input.name:
            depth = chip.axon.channel_steps
    bits = min(options.delay_bits_of(projection.name), fmt.width)
    resolution = options.resolution_of(projection.name)
    words = delay_words(network, projection, bits, depth, resolution)
    if mode is not Delay(projection.delay) and not chip.axon.delays:
        raise ValueError(
            f"{projection.name}: its constant delay of {words.wanted.max()} steps needs axonal "
            "delays, and the chip is built without them"
        )
    return words


def _problem(
    network: Network,
    population: Integrating,
    options: Options,
    chip: Chip,
    ranges: Ranges,
    exact: bool,
    tried: tuple[float, ...],
) -> Problem:
    lif = isinstance(population, Lif)
    return Problem(
        name=population.name,
        drives=tuple(
            Drive(
                weights=p.weights,
                rates=ranges.rates[p.pre],
                count=chip.axon.count.max if p.pre == network.input.name else 1,
                fmt=Format(options.weight_bits_of(p.name)),
            )
            for p in network.projections
            if p.post == population.name
        ),
        threshold=population.threshold if isinstance(population, Lif) else None,
        bias=population.bias,
        alpha=population.alpha,
        alpha_syn=population.alpha_syn,
        exact=exact,
        steps=network.steps,
        room=_room(population, options, chip, ranges),
        binding=ranges.recordings > 0,
        formats=Formats(
            v=Format(options.membrane_bits),
            acc=chip.synapse.acc,
            drive=chip.drive,
            bias=Format(options.bias_bits),
            largest_shift=options.largest_shift,
            rounding=options.rounding,
            granularity=options.granularity if lif else _of_readout(options),
            scale=options.scale,
            clips=tried,
        ),
    )


def _of_readout(options: Options) -> Granularity:
    """Classes are compared with each other, so readouts share one scale."""
    layer = options.granularity is Granularity.LAYER
    return Granularity.LAYER if layer else Granularity.PROJECTION


def _room(population: Integrating, options: Options, chip: Chip, ranges: Ranges) -> Floats:
    """Largest scales at which membranes and scores fit with headroom, float64[size]."""
    with np.errstate(divide="ignore"):
        room = Format(options.membrane_bits).max / ranges.span[population.name]
        if isinstance(population, Readout):
            room = np.minimum(room, np.float64(chip.readout.score.max) / ranges.score)
    return room / options.headroom
