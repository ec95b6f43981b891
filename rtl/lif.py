"""Leaky integrate-and-fire stage."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from datapath import Chip, Compare, Leak
from rtl.fixed import bound, holds, shape, shift_round
from rtl.memory import after


def leaked(m: Module, v, coefficient, p, name: str):
    """Return the state `v` after its leak, two clocks later.

    p : `datapath.Lif`, or another block that leaks.
    """
    if p.leak is Leak.MULTIPLY:
        product = after(m, v * coefficient, f"product_{name}")
        return after(m, shift_round(product, p.coefficient.frac, p.rounding), f"left_{name}")
    fall = shift_round(v, coefficient, p.rounding)
    if p.leak is Leak.SETTLE:
        fall = Mux(fall == 0, Mux(v < 0, -1, v != 0), fall)
    fall = after(m, Mux(coefficient == 0, 0, fall), f"fall_{name}")
    return after(m, after(m, v, f"v_{name}") - fall, f"left_{name}")


class LifStage(wiring.Component):
    """Leak, add, bound, compare and reset `lanes` neurons per clock.

    What goes in in clock n comes out in clock n + LATENCY; a block may go in on every clock.
    An array has one element per lane, lane 0 least significant.

    Members
    -------
    valid : In(1)
        The other inputs hold a block.
    readout : In(1)
        Its neurons do not fire.
    zero : In(1)
        A spike sets its membrane to 0; otherwise it takes the threshold off.
    v, threshold : In(array of lif.v)
    i : In(array of `Chip.drive`)
    bias : In(array of lif.bias)
    coefficient : In(array of lif.coefficient)
    o_valid : Out(1)
        The other outputs hold a block.
    o_v : Out(array of lif.v)
        Membrane after the reset.
    o_u : Out(array of lif.v)
        Membrane before the reset.
    o_fired : Out(lanes)
        Whether the neuron fired, one bit per lane.
    o_saturated : Out(lanes)
        Whether the sum did not fit the membrane, one bit per lane.
    o_threshold : Out(array of lif.v)
        On a chip that learns: its threshold.
    """

    LATENCY = 6

    def __init__(self, chip: Chip) -> None:
        self.p = chip.lif
        self.lanes = chip.lanes
        self.learns = chip.learn is not None

        def array(fmt):
            return data.ArrayLayout(shape(fmt), chip.lanes)

        super().__init__(
            {
                "valid": In(1),
                "readout": In(1),
                "zero": In(1),
                "v": In(array(self.p.v)),
                "i": In(array(chip.drive)),
                "threshold": In(array(self.p.v)),
                "bias": In(array(self.p.bias)),
                "coefficient": In(array(self.p.coefficient)),
                "o_valid": Out(1),
                "o_v": Out(array(self.p.v)),
                "o_u": Out(array(self.p.v)),
                "o_fired": Out(chip.lanes),
                "o_saturated": Out(chip.lanes),
                **({"o_threshold": Out(array(self.p.v))} if self.learns else {}),
            }
        )

    def elaborate(self, platform):
        m = Module()
        valid = Signal(self.LATENCY)
        readout = Signal(self.LATENCY)
        zero = Signal(self.LATENCY)
        m.d.sync += valid.eq(Cat(self.valid, valid))
        m.d.sync += readout.eq(Cat(self.readout, readout))
        m.d.sync += zero.eq(Cat(self.zero, zero))
        m.d.comb += self.o_valid.eq(valid[-1])
        for lane in range(self.lanes):
            # The comparison takes the fifth clock, the reset the sixth.
            self._neuron(m, lane, ~readout[3], zero[4])
        return m

    def _neuron(self, m: Module, lane: int, fires, zero):
        p = self.p

        def held(value, name, clocks=1):
            """`value`, `clocks` later."""
            return after(m, value, f"{name}_{lane}", clocks)

        left = leaked(m, self.v[lane], self.coefficient[lane], p, f"{lane}")
        drive = held(self.i[lane] + self.bias[lane], "drive", 2)
        total = held(left + drive, "total")
        threshold = held(self.threshold[lane], "threshold", 4)
        u = held(bound(total, p.v, p.overflow), "u")
        fired = held(
            fires & (u >= threshold if p.compare is Compare.GE else u > threshold), "fired"
        )
        u_compared = held(u, "u_compared")
        threshold = held(threshold, "threshold")
        reset = Mux(zero, 0, u_compared - threshold)
        m.d.sync += self.o_v[lane].eq(Mux(fired, reset, u_compared))
        m.d.sync += self.o_u[lane].eq(u_compared)
        if self.learns:
            m.d.sync += self.o_threshold[lane].eq(threshold)
        m.d.sync += self.o_fired[lane].eq(fired)
        m.d.sync += self.o_saturated[lane].eq(held(~holds(total, p.v, p.overflow), "saturated", 2))
