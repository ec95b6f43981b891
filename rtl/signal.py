"""Learning signals: errors, fed back and filtered against time."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from datapath import Chip, Rounding
from datapath.memory import level_sum, memories, population_fields, population_rule_fields
from rtl.credit import dot_shape
from rtl.fixed import fits, lift, saturate, shape, shift_round
from rtl.memory import after, below, build, index, learn_of, word


class SignalStage(wiring.Component):
    """Drive and filter the learning signals of a block of `lanes` neurons.

    Holds `filtered`, and the drives of one block, which are 0 unless they are given. An array has
    one element per lane, lane 0 least significant.

    Members
    -------
    fed, lane, value, activity, error : In(1), In(index), In(lookup), In(activity), In(dot_shape)
        Give the drive of a neuron: its surrogate derivative, its spikes and its fed-back error.
        `activity` is looked at two clocks before; `lane` and `value` stand still for three clocks
        more.
    drive_shift, strength, target : In(of the table of population rules)

    filter, block : In(1), In(index of a block)
        Filter a block by the drives that were given until now; later ones are for the next block.
    level, values, sum : In(1), In(array of learn.lookup), In(level_sum)
        With `filter`: the drives are those of readouts, `values` being their errors, `sum` all of
        them. Such blocks are at least LEVEL clocks apart.
    number, size, label : In(index of a neuron), In(number of neurons), In(index of a neuron)
        Number of the first readout of the block, number of all, and that of the label.
    coefficient, signal_shift : In(of the table of population rules)
    o_valid, o_block, o_signals : Out(1), Out(index of a block), Out(array of learn.signal)
        In clock n + LATENCY of a `filter` in clock n; `filtered` has its word then.
    o_saturated : Out(1)
        In that clock: a filtered signal or a signal was out of range.
    clear, clear_at : In(1), In(index of a word)
        Empty word `clear_at` of `filtered`.
    """

    LATENCY = 9
    LEVEL = 4

    def __init__(self, chip: Chip) -> None:
        self.chip = chip
        self.p = learn_of(chip)
        self.specs = {spec.name: spec for spec in memories(chip)}
        rule = {field.name: shape(field.fmt) for field in population_rule_fields(chip, self.p)}
        sizes = {field.name: shape(field.fmt) for field in population_fields(chip)}
        super().__init__(
            {
                "fed": In(1),
                "lane": In(exact_log2(chip.lanes)),
                "value": In(shape(self.p.lookup)),
                "activity": In(shape(self.p.activity)),
                "error": In(dot_shape(chip)),
                **{name: In(rule[name]) for name in ("drive_shift", "strength", "target")},
                "filter": In(1),
                "block": In(index(chip.neuron_blocks)),
                "level": In(1),
                "values": In(word(self.specs["lookup_history"])),
                "sum": In(shape(level_sum(chip))),
                "number": In(index(chip.neurons)),
                "size": In(sizes["size"]),
                "label": In(index(chip.readout.classes)),
                **{name: In(rule[name]) for name in ("coefficient", "signal_shift")},
                "o_valid": Out(1),
                "o_block": Out(index(chip.neuron_blocks)),
                "o_signals": Out(data.ArrayLayout(shape(self.p.signal), chip.lanes)),
                "o_saturated": Out(1),
                "clear": In(1),
                "clear_at": In(index(chip.neuron_blocks)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        # A number behind a name counts the clocks from the one that feeds or filters.
        drive_3 = self._drive(m)
        fed_3 = after(m, self.fed, "fed", 3)
        width = max(len(drive_3), len(self.sum) + 1)
        drives = [Signal(signed(width), name=f"drive_{n}") for n in range(self.chip.lanes)]
        valid_4 = after(m, self.filter, "valid", 4)
        for lane, drive in enumerate(drives):
            readout = Cat(Const(lane, len(self.lane)), self.number[len(self.lane) :])
            wanted = Mux(readout == self.label, self.sum, 0)
            with m.If(self.filter & self.level):
                error = self.values[lane].value - wanted
                m.d.sync += drive.eq(Mux(readout < self.size, error, 0))
            with m.Elif(fed_3 & (self.lane == lane)):
                m.d.sync += drive.eq(drive_3)
            with m.Elif(valid_4):
                m.d.sync += drive.eq(0)
        self._filter(m, drives, valid_4)
        return m

    def _drive(self, m: Module):
        """Return the drive of the neuron that was fed three clocks ago."""
        beyond = after(m, self.activity - self.target, "beyond")
        strength = after(m, self.strength, "strength")
        excess_0 = after(m, Mux(strength == 0, 0, (beyond << strength) >> 1), "excess")
        error_1 = after(m, self.error + excess_0, "fed_error")
        product_2 = after(m, error_1 * self.value, "product")
        lifted_3 = after(m, lift(product_2, self.drive_shift, Rounding.ZERO), "lifted")
        return lifted_3 >> self.drive_shift

    def _filter(self, m: Module, drives, valid_4) -> None:
        """Filter the block that was given four clocks ago, and what it will be read as."""
        p, spec = self.p, self.specs["filtered"]
        filtered = build(m, spec)
        read = filtered.read_port()
        write = filtered.write_port()
        block_6 = after(m, self.block, "block", 6)
        valid_6 = after(m, valid_4, "filtering", 2)
        new_6 = Signal(word(spec))
        old_2 = after(m, read.data, "old")
        beyond_9 = []
        for lane, drive in enumerate(drives):
            product_3 = after(m, old_2[lane].filtered * self.coefficient, f"decaying_{lane}")
            rounded = shift_round(product_3, p.coefficient.frac, Rounding.ZERO)
            total_5 = after(m, after(m, rounded, f"decayed_{lane}") + drive, f"total_{lane}")
            m.d.sync += new_6[lane].filtered.eq(saturate(total_5, p.filtered))
            wide_9 = after(m, ~fits(total_5, p.filtered), f"wide_{lane}", 4)
            lifted = lift(new_6[lane].filtered, self.signal_shift, Rounding.ZERO)
            lifted_7 = after(m, lifted, f"narrowing_{lane}")
            narrowed_8 = after(m, lifted_7 >> self.signal_shift, f"narrowed_{lane}")
            m.d.sync += self.o_signals[lane].eq(saturate(narrowed_8, p.signal))
            beyond_9 += [wide_9, after(m, ~fits(narrowed_8, p.signal), f"narrow_{lane}")]
        m.d.comb += [
            read.en.eq(self.filter),
            read.addr.eq(self.block),
            write.en.eq(valid_6 | (self.clear & below(self.clear_at, spec.words))),
            write.addr.eq(Mux(self.clear, self.clear_at, block_6)),
            write.data.eq(Mux(self.clear, 0, new_6)),
            self.o_valid.eq(after(m, valid_6, "filtered", 3)),
            self.o_block.eq(after(m, block_6, "filtered_block", 3)),
            self.o_saturated.eq(self.o_valid & Cat(beyond_9).any()),
        ]
