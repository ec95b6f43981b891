"""Synaptic current between accumulators and membrane."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from datapath import Chip, Current, Order
from rtl.fixed import bound, holds, shape
from rtl.lif import leaked
from rtl.memory import after


def current_of(chip: Chip) -> Current:
    """Return the parameters of the currents of a chip that has them."""
    assert chip.current is not None
    return chip.current


class CurrentStage(wiring.Component):
    """Leak and add the currents of `lanes` neurons per clock.

    What goes in in clock n comes out in clock n + LATENCY; a block may go in on every clock.
    An array has one element per lane, lane 0 least significant.

    Members
    -------
    valid : In(1)
        The other inputs hold a block.
    i : In(array of current.i)
        Currents of the last tick.
    received : In(array of synapse.acc)
        Sums of this tick.
    coefficient : In(array of current.coefficient)
    o_valid : Out(1)
        The other outputs hold a block.
    o_i : Out(array of current.i)
        Currents of this tick.
    o_saturated : Out(lanes)
        Whether the current did not fit, one bit per lane.
    """

    LATENCY = 4

    def __init__(self, chip: Chip) -> None:
        self.p = current_of(chip)
        self.lanes = chip.lanes

        def array(fmt):
            return data.ArrayLayout(shape(fmt), chip.lanes)

        super().__init__(
            {
                "valid": In(1),
                "i": In(array(self.p.i)),
                "received": In(array(chip.synapse.acc)),
                "coefficient": In(array(self.p.coefficient)),
                "o_valid": Out(1),
                "o_i": Out(array(self.p.i)),
                "o_saturated": Out(chip.lanes),
            }
        )

    def elaborate(self, platform):
        m, p = Module(), self.p
        valid = Signal(self.LATENCY)
        m.d.sync += valid.eq(Cat(self.valid, valid))
        m.d.comb += self.o_valid.eq(valid[-1])
        for lane in range(self.lanes):
            i, received, coefficient = self.i[lane], self.received[lane], self.coefficient[lane]
            if p.order is Order.LEAK_FIRST:
                left = leaked(m, i, coefficient, p, f"{lane}")
                total = after(m, left + after(m, received, f"received_{lane}", 2), f"total_{lane}")
            else:
                entered = after(m, i + received, f"entered_{lane}")
                late = after(m, coefficient, f"coefficient_{lane}")
                total = leaked(m, entered, late, p, f"{lane}")
            m.d.sync += self.o_i[lane].eq(bound(total, p.i, p.overflow))
            m.d.sync += self.o_saturated[lane].eq(~holds(total, p.i, p.overflow))
        return m
