"""Surrogate derivatives and error levels, looked up while a recording runs."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from datapath import Chip, Rounding
from datapath.memory import level_sum, memories, population_fields
from datapath.memory_formats import SHIFT
from rtl.fixed import shape, shift_round
from rtl.memory import LoadPort, add_up, after, build, index, learn_of, loaded, word


class SurrogateStage(wiring.Component):
    """Look up what a tick leaves for learning, `lanes` neurons per clock, and remember it.

    Holds the loaded memories `lookup_<lane>`, and `lookup_history` and `level_sums`. A block may go
    in on every clock; its word is in the history from LATENCY clocks later on, and the sum of the
    levels three clocks after the last of theirs. An array has one element per lane, lane 0 least
    significant.

    Members
    -------
    t : In(tick modulo the steps)
        The tick of the blocks that go in; it may change right after the last one.
    valid, block : In(1), In(index of a block)
        Look up a block.
    level : In(1)
        Look up error levels of readouts, otherwise surrogate derivatives.
    a, b : In(arrays of lif.v)
        Sum and threshold, or largest membrane and membrane: the distance is abs(a - b).
    shift : In(SHIFT)
        Of the distance.
    first, last, final : In(1)
        Of a block of levels: it is the first or the last one of a pass. In the first pass they are
        added up, in the `final` one they are divided by the power of two next to their sum and
        written. The final pass begins at least PASS clocks after the last block of the first one.
    size : In(of the population table)
        Readouts: levels of lanes past them are 0.

    look, look_at, look_t : In(1), In(index of a block), In(tick)
        Read the history of a block, and the sum of the levels; not while blocks are looked up.
    o_values, o_sum : Out(array of learn.lookup), Out(level_sum)
        From clock n + 2 of a `look` in clock n on, until two clocks after the next one.
    lookup_<lane> : In(LoadPort)
    """

    LATENCY = 8
    PASS = 6

    def __init__(self, chip: Chip) -> None:
        self.chip = chip
        self.p = learn_of(chip)
        self.specs = {spec.name: spec for spec in memories(chip)}
        sizes = {field.name: shape(field.fmt) for field in population_fields(chip)}
        membranes = data.ArrayLayout(shape(chip.lif.v), chip.lanes)
        super().__init__(
            {
                "t": In(index(self.p.steps)),
                "valid": In(1),
                "block": In(index(chip.neuron_blocks)),
                "level": In(1),
                "a": In(membranes),
                "b": In(membranes),
                "shift": In(shape(SHIFT)),
                "first": In(1),
                "last": In(1),
                "final": In(1),
                "size": In(sizes["size"]),
                "look": In(1),
                "look_at": In(index(chip.neuron_blocks)),
                "look_t": In(index(self.p.steps)),
                "o_values": Out(word(self.specs["lookup_history"])),
                "o_sum": Out(shape(level_sum(chip))),
                **{
                    f"lookup_{lane}": In(LoadPort(self.specs[f"lookup_{lane}"]))
                    for lane in range(chip.lanes)
                },
            }
        )

    def elaborate(self, platform):
        m = Module()
        # A number behind a name counts the clocks from the one in which a block goes in.
        layout = dict.fromkeys(("valid", "level", "first", "last", "final"), 1)
        given = Signal(data.StructLayout({"block": self.block.shape(), **layout}))
        for name in given.shape().members:
            m.d.comb += given[name].eq(getattr(self, name))
        slot, left, here = Signal.like(self.t), Signal.like(self.size), Signal.like(self.size)
        m.d.comb += here.eq(Mux(self.first, self.size, left))
        with m.If(self.valid):
            m.d.sync += slot.eq(self.t)
            m.d.sync += left.eq(here - self.chip.lanes)
        of_4 = after(m, given, "given", 4)
        of_6 = after(m, of_4, "looked_up", 2)
        of_7 = after(m, of_6, "divided")
        power = Signal(range(len(self._limits()) + 1))
        shift_2 = after(m, self.shift, "shift", 2)
        divisor = Mux(of_6.level & of_6.final, power, 0)
        values_7 = Signal(self.o_values.shape())
        for lane in range(self.chip.lanes):
            inside = ~self.level | (lane < here)
            value_5 = self._look_up(m, lane, shift_2, of_4)
            value = Mux(after(m, inside, f"inside_{lane}", 5), value_5, 0)
            value_6 = after(m, value, f"value_{lane}")
            m.d.sync += values_7[lane].value.eq(shift_round(value_6, divisor, Rounding.NEAREST))
        self._sum(m, values_7, of_7, slot, power)
        self._remember(m, values_7, of_7, slot)
        return m

    def _limits(self) -> list[int]:
        """Return the sums from which on errors are halved once more."""
        one = 3 * self.p.lookup.max
        most = 2 * self.p.lookup.max * self.chip.readout.classes
        powers = range(most.bit_length())
        return [-(-(one << n) // 2) for n in powers if one << n <= most]

    def _look_up(self, m: Module, lane: int, shift_2, of_4):
        """Read the entry for the distance of one lane; it is there in clock 5."""
        port = getattr(self, f"lookup_{lane}")
        difference = after(m, self.a[lane] - self.b[lane], f"difference_{lane}")
        distance = after(m, abs(difference), f"distance_{lane}")
        shifted = after(m, distance >> shift_2, f"shifted_{lane}")
        most = self.p.entries - 1
        entry = after(m, Mux(shifted > most, most, shifted), f"entry_{lane}")
        address = Cat(entry[: exact_log2(self.p.entries)], of_4.level)
        return loaded(m, self.specs[f"lookup_{lane}"], port, address, of_4.valid)[0].value

    def _sum(self, m: Module, values_7, of_7, slot, power) -> None:
        """Add up a pass of levels: the power of two next to the sum, or the sum itself."""
        lanes = [values_7[lane].value for lane in range(self.chip.lanes)]
        sum_9 = add_up(m, lanes, "level")
        of_9 = after(m, of_7, "added", 2)
        total_10 = Signal(shape(level_sum(self.chip)))
        with m.If(of_9.valid & of_9.level):
            m.d.sync += total_10.eq(Mux(of_9.first, 0, total_10) + sum_9)
        done_10 = after(m, of_9.valid & of_9.level & of_9.last, "done")
        final_10 = after(m, of_9.final, "final")
        reached = Signal(len(self._limits()))
        with m.If(done_10 & ~final_10):
            m.d.sync += reached.eq(Cat(total_10 >= limit for limit in self._limits()))
        m.d.sync += power.eq(sum(reached[1:], reached[0]) if len(reached) else 0)

        sums = build(m, self.specs["level_sums"])
        write = sums.write_port()
        read = sums.read_port()
        m.d.comb += [
            write.en.eq(done_10 & final_10),
            write.addr.eq(slot),
            write.data.eq(total_10),
            read.en.eq(self.look),
            read.addr.eq(self.look_t),
            self.o_sum.eq(after(m, read.data[0].sum, "sum")),
        ]

    def _remember(self, m: Module, values_7, of_7, slot) -> None:
        """Write the values of a block into the history, and read it back."""
        history = build(m, self.specs["lookup_history"])
        write = history.write_port()
        read = history.read_port()
        m.d.comb += [
            write.en.eq(of_7.valid & (~of_7.level | of_7.final)),
            write.addr.eq(Cat(slot, of_7.block)),
            write.data.eq(values_7),
            read.en.eq(self.look),
            read.addr.eq(Cat(self.look_t, self.look_at)),
            self.o_values.eq(after(m, read.data, "values")),
        ]
