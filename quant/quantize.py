"""From a float network to the integers of a chip, and back."""

from __future__ import annotations

import numpy as np

import datapath
import model
from datapath import Chip, Compare, Image, Kind
from model import Lif, Network
from model.network import Population
from quant.account import account
from quant.calibrate import Counts, bounded, observed
from quant.fit import chip_for, narrowed
from quant.leak import alphas
from quant.loss import Loss
from quant.options import Options, check_fits
from quant.plan import Integrating, Plan, integrating, plan
from quant.problem import integers


def quantize(
    network: Network, *, chip: Chip | None, options: Options, calibration: Counts | None
) -> tuple[Image, Loss]:
    """Map `network` onto integers.

    Every population gets scales s (membrane LSBs per float unit) that its weights, thresholds and
    biases share; each of these is rounded once, half to even.  Numbers that already lie on an
    integer grid are kept exactly.

    Parameters
    ----------
    chip : where the network has to fit; None builds a chip that fits it.
    calibration : integers[recordings, steps, channels], events of typical recordings.  The
        membranes they cause decide the scales.  Without them scales fill the weight words, and
        guard bits are added only where no input could make a membrane overflow.

    Returns
    -------
    The image, and what it changed.  `network` is left as it was.

    Raises
    ------
    ValueError
        The options ask for more than the chip has, the network does not fit the chip, a leak would
        clear the state every tick, or no scale fits the formats.
    """
    names = [p.name for p in integrating(network)]
    for name in options.emit:
        if name not in names:
            raise ValueError(f"emit names {name!r}, and the network has {', '.join(names)}")
    if chip is None:
        # It has no more than the network needs, say no delay words at all.
        built = chip_for(network, options)
    else:
        check_fits(options, chip)
        built = chip
    if calibration is None:
        ranges = bounded(network, built.axon.count.max)
    else:
        ranges = observed(network, calibration, options.saturation)
    decided = plan(network, options, built, ranges)
    image = image_of(decided)
    if chip is None:
        image = narrowed(image)
    return image, account(decided, image, calibration)


def image_of(plan: Plan) -> Image:
    """Write down the integers of `plan`."""
    network = plan.network
    return Image(
        chip=plan.chip,
        input_name=network.input.name,
        channels=network.input.size,
        units=network.input.units,
        dt_us=max(1, round(network.dt_ms * 1000)),
        steps=network.steps,
        populations=tuple(_population(plan, p) for p in integrating(network)),
        projections=tuple(_projection(plan, p) for p in network.projections),
        labels=network.labels,
        provenance={
            name: value if isinstance(value, str | int) else str(float(value))
            for name, value in network.provenance.items()
        },
    )


def _population(plan: Plan, population: Integrating) -> datapath.Population:
    scale = plan.scales[population.name].scale
    threshold = np.zeros(population.size, np.int64)
    reset = datapath.Reset.SUBTRACT
    if isinstance(population, Lif):
        reset = datapath.Reset(population.reset)
        threshold = np.rint(population.threshold * scale).astype(np.int64)
        if _fires_above(plan.chip, reset):
            # u > T - 1 is u >= T, and nothing else reads the threshold.
            threshold -= 1
    return datapath.Population(
        name=population.name,
        kind=Kind.LIF if isinstance(population, Lif) else Kind.READOUT,
        size=population.size,
        threshold=threshold,
        bias=np.rint(population.bias * scale).astype(np.int64),
        coefficient=plan.coefficients[population.name],
        reset=reset,
        emit=population.name in plan.options.emit,
    )


def _fires_above(chip: Chip, reset: datapath.Reset) -> bool:
    return chip.lif.compare is Compare.GT and reset is datapath.Reset.ZERO


def _projection(plan: Plan, projection: model.Projection) -> datapath.Projection:
    words, shift = plan.words[projection.name], plan.shifts[projection.name]
    fmt = datapath.Format(plan.options.weight_bits)
    weights, _ = integers(projection.weights, plan.scale_of(projection), shift, fmt)
    return datapath.Projection(
        name=projection.name,
        pre=projection.pre,
        post=projection.post,
        weights=weights,
        scale=shift,
        delay=words.mode,
        delays=words.words,
        resolution=words.resolution,
    )


def dequantize(image: Image) -> Network:
    """Return the float twin of `image`: the same integers, in membrane LSBs, as float numbers.

    Simulated in float, it does what the chip does wherever no leak drops bits (alpha 0 or 1) and
    nothing saturates.  `quantize(dequantize(image))` gives the same integers if the options are
    those of the image and its shifts are as small as its weights allow, which those of `quantize`
    are.

    Raises
    ------
    ValueError
        The chip fires above the threshold and subtracts it, or a leak amplifies: no float network
        does that.
    """
    given = model.Input(image.input_name, image.channels, image.units)
    return Network(
        dt_ms=image.dt_us / 1000,
        steps=image.steps,
        populations=(given, *(_float_population(p, image.chip) for p in image.populations)),
        projections=tuple(_float_projection(p, image) for p in image.projections),
        labels=image.labels,
        provenance=dict(image.provenance),
    )


def _float_population(population: datapath.Population, chip: Chip) -> Population:
    alpha = alphas(population.coefficient, chip.lif)
    bias = population.bias.astype(np.float64)
    if population.kind is Kind.READOUT:
        return model.Readout(population.name, population.size, alpha, bias)
    threshold = population.threshold.astype(np.float64)
    if chip.lif.compare is Compare.GT:
        if not _fires_above(chip, population.reset):
            raise ValueError(
                f"{population.name}: fires above its threshold and subtracts it, which no float "
                "network does"
            )
        threshold += 1
    reset = model.Reset(population.reset)
    return model.Lif(population.name, population.size, alpha, threshold, bias, reset)


def _float_projection(projection: datapath.Projection, image: Image) -> model.Projection:
    ticks = image.age(projection) + (projection.delays << projection.resolution)
    return model.Projection(
        name=projection.name,
        pre=projection.pre,
        post=projection.post,
        weights=(projection.weights << projection.scale).astype(np.float64),
        delay=model.Delay(projection.delay),
        delays=ticks.astype(np.float64),
        max_delay=int(ticks.max()),
    )
