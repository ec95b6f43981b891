"""From a float network to the integers of a chip, and back."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

import datapath
import model
from datapath import Chip, Compare, Format, Image, Kind, Order
from model import Lif, Network
from model.network import Population
from quant.account import account
from quant.calibrate import Counts, bounded, observed
from quant.choose import Choices
from quant.fit import narrowed
from quant.image import image_of
from quant.leak import alphas
from quant.loss import Loss
from quant.options import Options, check_names
from quant.plan import integrating
from quant.prune import pruned


def quantize(
    network: Network, *, chip: Chip | None, options: Options, calibration: Counts | None
) -> tuple[Image, Loss]:
    """Map `network` onto integers.

    Every population gets scales s (membrane LSBs per float unit) that its weights, thresholds and
    biases share; each of these is rounded once, half to even.  Numbers that already lie on an
    integer grid are kept exactly.  Pruning, where asked for, comes first.

    Parameters
    ----------
    chip : where the network has to fit; None builds a chip that fits it, and that compares with >
        if all neurons of the network do.
    calibration : integers[recordings, steps, channels], events of typical recordings.  The
        membranes they cause decide the scales.  Without them scales fill the weight words, and
        guard bits are added only where no input could make a membrane overflow.

    Returns
    -------
    The image, and what it changed.  `network` is left as it was.

    Raises
    ------
    ValueError
        The options ask for more than the chip has, or for outputs to be compared without
        calibration data; they name a projection that is not there; the network does not fit the
        chip, a leak would clear the state every tick, or no scale fits the formats.
    """
    check_names(options, network)
    if chip is None and _all_strict(network):
        options = replace(options, compare=Compare.GT)
    kept = pruned(network, options)
    largest = Format(options.count_bits, signed=False).max
    if calibration is None:
        ranges = bounded(kept, largest)
    else:
        ranges = observed(kept, calibration, options.saturation)
    choices = Choices(network, kept, chip, ranges, calibration)
    decided, trials = choices.best(options)
    image = image_of(decided)
    if chip is None:
        image = narrowed(image)
    return image, account(decided, image, network, calibration, trials)


def _all_strict(network: Network) -> bool:
    """Whether all neurons that fire do so only above their threshold."""
    firing = [p for p in integrating(network) if isinstance(p, Lif)]
    return bool(firing) and all(p.compare is model.Compare.GT for p in firing)


def dequantize(image: Image) -> Network:
    """Return the float twin of `image`: the same integers, in membrane LSBs, as float numbers.

    Simulated in float, it does what the chip does wherever no leak drops bits (alpha 0 or 1) and
    nothing saturates.  `quantize(dequantize(image))` gives the same integers if the options are
    those of the image and its shifts are as small as its weights allow, which those of `quantize`
    are.

    Raises
    ------
    ValueError
        A leak amplifies, or sums leak in the step in which they enter a current: no float network
        does that.
    """
    if image.chip.current is not None and image.chip.current.order is Order.SUM_FIRST:
        raise ValueError("currents leak in the step in which a sum enters: no float network does")
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
    alpha_syn = np.zeros(population.size)
    if chip.current is not None and population.current_coefficient is not None:
        alpha_syn = alphas(population.current_coefficient, chip.current)
    if population.kind is Kind.READOUT:
        return model.Readout(population.name, population.size, alpha, bias, alpha_syn)
    return model.Lif(
        population.name,
        population.size,
        alpha,
        population.threshold.astype(np.float64),
        bias,
        model.Reset(population.reset),
        model.Compare(chip.lif.compare),
        alpha_syn,
    )


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
