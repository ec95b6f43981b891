"""Leaky integrate-and-fire stage."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from datapath import Chip, Compare, Leak
from rtl.fixed import fits, saturate, shape, shift_round


class LifStage(wiring.Component):
    """Leak, add, saturate, compare and reset `lanes` neurons per clock.

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
    i : In(array of synapse.acc)
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
                "i": In(array(chip.synapse.acc)),
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

        def after(value, name, clocks=1):
            """`value`, `clocks` later."""
            for _ in range(clocks):
                now = Signal(value.shape(), name=f"{name}_{lane}")
                m.d.sync += now.eq(value)
                value = now
            return value

        v = self.v[lane]
        coefficient = self.coefficient[lane]
        if p.leak is Leak.MULTIPLY:
            product = after(v * coefficient, "product")
            left = after(shift_round(product, p.coefficient.frac, p.rounding), "left")
        else:
            fall = Mux(coefficient == 0, 0, shift_round(v, coefficient, p.rounding))
            left = after(after(v, "v") - after(fall, "fall"), "left")
        drive = after(self.i[lane] + self.bias[lane], "drive", 2)
        total = after(left + drive, "total")
        threshold = after(self.threshold[lane], "threshold", 4)
        u = after(saturate(total, p.v), "u")
        fired = after(
            fires & (u >= threshold if p.compare is Compare.GE else u > threshold), "fired"
        )
        u_compared = after(u, "u_compared")
        threshold = after(threshold, "threshold")
        reset = Mux(zero, 0, u_compared - threshold)
        m.d.sync += self.o_v[lane].eq(Mux(fired, reset, u_compared))
        m.d.sync += self.o_u[lane].eq(u_compared)
        if self.learns:
            m.d.sync += self.o_threshold[lane].eq(threshold)
        m.d.sync += self.o_fired[lane].eq(fired)
        m.d.sync += self.o_saturated[lane].eq(after(~fits(total, p.v), "saturated", 2))
