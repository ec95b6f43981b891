"""How a model gets onto the chip, what is lost on the way, and what it costs there."""

from quant.fit import chip_for
from quant.loss import Loss, PopulationLoss, ProjectionLoss, Trial
from quant.options import Granularity, Options, Own, Scale, Search, options_for
from quant.quantize import dequantize, quantize

__all__ = [
    "Granularity",
    "Loss",
    "Options",
    "Own",
    "PopulationLoss",
    "ProjectionLoss",
    "Scale",
    "Search",
    "Trial",
    "chip_for",
    "dequantize",
    "options_for",
    "quantize",
]
