"""The arithmetic words, held against inequalities instead of another implementation."""

from amaranth.hdl import Assert, Assume, Module, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from datapath import Format, Rounding
from datapath.memory_formats import RANDOM
from rtl.fixed import fits, next_random, saturate, shape, shift_round, wrap

SMALL = (Format(5), Format(5, signed=False), Format(1, signed=False))


class SaturationProof(wiring.Component):
    """Clamp, wrap and fit a number that is wider than every format.

    Members
    -------
    x : In(any)
    """

    def __init__(self) -> None:
        super().__init__({"x": In(signed(max(fmt.width for fmt in SMALL) + 3))})

    def elaborate(self, platform):
        m = Module()
        for fmt in SMALL:
            inside = (self.x >= fmt.min) & (self.x <= fmt.max)
            clamped, wrapped = saturate(self.x, fmt), wrap(self.x, fmt)
            m.d.comb += [
                Assert(fits(self.x, fmt) == inside),
                Assert((clamped >= fmt.min) & (clamped <= fmt.max)),
                Assert(~inside | (clamped == self.x)),
                Assert((self.x <= fmt.max) | (clamped == fmt.max)),
                Assert((self.x >= fmt.min) | (clamped == fmt.min)),
                Assert((wrapped >= fmt.min) & (wrapped <= fmt.max)),
                Assert((self.x - wrapped)[: fmt.width] == 0),
            ]
        return m


class RoundingProof(wiring.Component):
    """Divide a number by a power of two.

    Members
    -------
    x : In(any)
    k : In(any)
    """

    def __init__(self) -> None:
        x = Format(8)
        super().__init__({"x": In(shape(x)), "k": In(range(x.width))})

    def elaborate(self, platform):
        m = Module()
        one = Signal(range(1 << 8))
        m.d.comb += one.eq(1 << self.k)
        floor, zero, nearest = (
            shift_round(self.x, self.k, rounding)
            for rounding in (Rounding.FLOOR, Rounding.ZERO, Rounding.NEAREST)
        )
        # What was cut off, in units of what was divided.
        left, cut, off = (self.x - quotient * one for quotient in (floor, zero, nearest))
        m.d.comb += [
            Assert((left >= 0) & (left < one)),
            Assert((cut > -one) & (cut < one)),
            Assert((cut == 0) | ((cut < 0) == (self.x < 0))),
            Assert((2 * off >= -one) & (2 * off < one)),
        ]
        return m


class RandomProof(wiring.Component):
    """Advance two generators.

    Members
    -------
    a, b : In(any)
    """

    def __init__(self) -> None:
        super().__init__({"a": In(shape(RANDOM)), "b": In(shape(RANDOM))})

    def elaborate(self, platform):
        m = Module()
        a, b = next_random(self.a), next_random(self.b)
        m.d.comb += [
            Assume(self.a != self.b),
            Assert(a != b),
            Assert((a == 0) == (self.a == 0)),
        ]
        return m
