"""How a model gets onto the chip, what is lost on the way, and what it costs there."""

from quant.fit import chip_for
from quant.loss import Loss, PopulationLoss, ProjectionLoss
from quant.options import Granularity, Options, Scale, options_for
from quant.quantize import dequantize, quantize

__all__ = [
    "Granularity",
    "Loss",
    "Options",
    "PopulationLoss",
    "ProjectionLoss",
    "Scale",
    "chip_for",
    "dequantize",
    "options_for",
    "quantize",
]
