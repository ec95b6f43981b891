"""The mapping a user gets who asks for nothing."""

from datapath import Compare, Leak, Rounding
from quant import Options

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
