"""An image to learn from: a float network on a scale that leaves its weights room to grow."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from datapath import Image
from model import Network
from quant.calibrate import bounded
from quant.fit import chip_for
from quant.image import image_of
from quant.leak import coefficients
from quant.options import Options
from quant.plan import Plan, delay_words_of, integrating
from quant.problem import Scales

LARGEST = 0.5
"""The largest weight in float units, where nothing else is said."""


def start_image(
    network: Network, options: Options, *, largest: Mapping[str, float] | None = None
) -> Image:
    """Map `network` onto a chip of its own, the same scale for all weights into a population.

    largest : by population, the float weight that becomes the largest one of the chip; by default
    0.5, or the largest there is, if that is larger.  Weights beyond it are clipped, which only
    somebody who asks for it gets.

    Raises
    ------
    ValueError
        As `quantize`.
    """
    if network.has_currents:
        raise ValueError(
            "a chip that learns has no synaptic currents: alpha_syn must be 0 in every population"
        )
    chip = chip_for(network, options)
    wanted = {} if largest is None else dict(largest)
    scales, leaks, shifts = {}, {}, {}
    for population in integrating(network):
        into = [p for p in network.projections if p.post == population.name]
        heaviest = max((float(np.abs(p.weights).max(initial=0)) for p in into), default=0.0)
        most = wanted.get(population.name, max(LARGEST, heaviest))
        if not most > 0:
            raise ValueError(f"largest weight of {population.name} must be positive, not {most}")
        scale = np.full(population.size, chip.synapse.weight.max / most)
        shifts.update({p.name: 0 for p in into})
        scales[population.name] = Scales(scale, (0,) * len(into), False)
        leaks[population.name] = coefficients(
            f"{population.name}: alpha", population.alpha, chip.lif, options.coefficient_bits
        )
    words = {p.name: delay_words_of(network, p, options, chip) for p in network.projections}
    ranges = bounded(network, chip.axon.count.max)
    return image_of(Plan(network, options, chip, ranges, words, shifts, leaks, {}, scales))
