"""The mapping a user gets who asks for nothing."""

from datapath import Compare, Leak, Rounding
from quant import Options
from quant.learnable import LearnOptions

OPTIONS = Options(
    weight_bits=8,
    delay_bits=6,
    coefficient_bits=9,
    membrane_bits=20,
    bias_bits=16,
    count_bits=5,
    scale_bits=3,
    lanes=8,
    leak=Leak.MULTIPLY,
    rounding=Rounding.NEAREST,
    compare=Compare.GE,
)

LEARN_OPTIONS = LearnOptions(
    lookup_bits=8,
    entries=64,
    coefficient_bits=12,
    filtered_bits=24,
    signal_bits=16,
    slope_bits=16,
    tap_bits=12,
    weight_gradient_bits=28,
    delay_gradient_bits=32,
    weight_fraction_bits=8,
    delay_fraction_bits=8,
    rate_bits=10,
)
"""Widths of a chip that `ranvier learn` makes: with them it learns as well as the float rule."""

LARGEST_WEIGHT = 1.0
"""Float weight that becomes the largest one of such a chip; a threshold is 1."""
