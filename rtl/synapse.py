"""Weighted delivery into the ring of accumulators."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from datapath import Chip
from datapath.memory import memories, population_fields, projection_fields
from datapath.timing import ROW
from rtl.credit import tag_layout
from rtl.fixed import shape
from rtl.memory import LoadPort, UpdatePort, after, below, build, index, learned, loaded, word


class SynapseStage(wiring.Component):
    """Add rows of weights into accumulators, `lanes` synapses per clock.

    Holds the loaded memories `weights`, and where the chip has them `synaptic_delays` and
    `dendritic_delays`, and one bank of accumulators per lane, `accumulators_<lane>`, whose word
    `block * slots + slot` is the sum of tick `slot` modulo the slots.

    Only one of delivering, collecting and clearing goes on at a time.

    Members
    -------
    t : In(tick modulo the slots)
        Stands still while rows are delivered or blocks collected.

    start : In(1)
        Deliver a row: `blocks` words of weights from address `row` on, into the blocks of neurons
        from `block` on. What a row needs is looked at in this clock only; not at all while `busy`.
    row, block, blocks : In(address of `weights`), In(index of a block), In(number of blocks)
        `blocks` is at least 1. Rows for other blocks begin after the sums have been collected.
    count, scale : In(axon.count), In(synapse.scale)
        Spikes, and left shift of their products.
    resolution, synaptic, dendritic, delays : In(of the projection table), In(1), In(1), In(address)
        A synapse adds into slot `t + (k << resolution)`, `k` being the word beside its weight, or
        the word of its block in `dendritic_delays` from address `delays` on, or 0.
    busy : Out(1)
        For max(blocks, ROW) clocks after `start`. The last sum can be collected from DRAIN clocks
        after the last of them on.

    collect, collect_block : In(1), In(index of a block)
        Take the sums of a block at tick `t`, and empty them; another block on every clock.
    i : Out(array of synapse.acc)
        In clock n + COLLECT of a `collect` in clock n, its sums. The same sums can be collected, or
        added to by a row started, from clock n + 4 on.

    clear, clear_at : In(1), In(index of a word)
        Empty word `clear_at` of every bank; it can be collected from clock n + 4 on.

    weights, synaptic_delays, dendritic_delays : In(LoadPort)
        As far as the chip has them.

    On a chip that learns:

    adjoint : In(1)
        Rows and sums are read, and nothing is written. Stands still while rows are delivered.
    tag : In(of the chip)
        Goes with a row, looked at with its `start`.
    o_valid, o_last : Out(1), Out(1)
        A block was issued ADJOINT clocks ago; it was the last one of its row.
    o_row, o_count, o_tag : Out(address of `weights`), Out(axon.count), Out(of the chip)
        Where the weights of that block are; `count << scale`, as far as it fits, and, beside the
        last block, `tag` of its row.
    o_weights : Out(word of `weights`)
        Its weights; the words of the ring at their slots are in `i`.
    ring_write, ring_slot, ring_block, ring : In(1), In(slot), In(index of a block), In(array)
        Write a word of every bank, while nothing else is written.
    weights_update, synaptic_delays_update : In(UpdatePort)
    """

    COLLECT = 2
    DRAIN = 7
    ADJOINT = 5

    def __init__(self, chip: Chip) -> None:
        self.chip = chip
        self.specs = {spec.name: spec for spec in memories(chip)}
        population = {field.name: shape(field.fmt) for field in population_fields(chip)}
        projection = {field.name: shape(field.fmt) for field in projection_fields(chip)}
        members = {
            "t": In(index(chip.synapse.slots)),
            "start": In(1),
            "row": In(projection["weights"]),
            "block": In(index(chip.neuron_blocks)),
            "blocks": In(population["blocks"]),
            "count": In(shape(chip.axon.count)),
            "scale": In(projection["scale"]),
            "resolution": In(projection["resolution"]),
            "synaptic": In(1),
            "dendritic": In(1),
            "delays": In(index(max(1, chip.synapse.dendritic))),
            "busy": Out(1),
            "collect": In(1),
            "collect_block": In(index(chip.neuron_blocks)),
            "i": Out(data.ArrayLayout(shape(chip.synapse.acc), chip.lanes)),
            "clear": In(1),
            "clear_at": In(index(self.specs["accumulators_0"].words)),
        }
        for name in ("weights", "synaptic_delays", "dendritic_delays"):
            if name in self.specs:
                members[name] = In(LoadPort(self.specs[name]))
        if chip.learn is not None:
            members |= self._adjoint_members(tag_layout(chip))
        super().__init__(members)

    def _adjoint_members(self, tag):
        chip = self.chip
        members = {
            "adjoint": In(1),
            "tag": In(tag),
            "o_valid": Out(1),
            "o_last": Out(1),
            "o_row": Out(index(chip.synapses)),
            "o_count": Out(shape(chip.axon.count)),
            "o_tag": Out(tag),
            "o_weights": Out(word(self.specs["weights"])),
            "ring_write": In(1),
            "ring_slot": In(index(chip.synapse.slots)),
            "ring_block": In(index(chip.neuron_blocks)),
            "ring": In(data.ArrayLayout(shape(chip.synapse.acc), chip.lanes)),
        }
        for name in ("weights", "synaptic_delays"):
            if name in self.specs:
                members[f"{name}_update"] = In(UpdatePort(self.specs[name]))
        return members

    def elaborate(self, platform):
        m = Module()
        # A number behind a name counts the clocks from the one that issues a block: its words are
        # out of the memories in clock 1 and in registers in 2, the slots are known in 3, when the
        # accumulators are read; they are in registers in 5 and written in 6.
        issue_0, at_0, row_0 = self._row(m)
        read_1 = self._loaded(m, "weights", at_0.synapse, issue_0)
        weight_4 = after(m, read_1, "weight", 3)
        row_2 = after(m, row_0, "row", 2)
        delays_2 = self._delays(m, issue_0, at_0, row_0)
        block_3 = after(m, at_0.block, "block", 3)
        factor_4 = after(m, row_2.factor, "factor", 2)

        issue_3 = after(m, issue_0, "issue", 3)
        clear = self.clear & below(self.clear_at, self.specs["accumulators_0"].words)
        empty_5 = after(m, self.collect | clear, "empty", 2)
        changes = issue_3 | self.collect
        if self.chip.learn is not None:
            changes &= ~self.adjoint
            self._show(m, issue_0, issue_3, at_0, row_0, weight_4)
        write_6 = after(m, changes | clear, "write", 3)
        for lane in range(self.chip.lanes):
            slot_bits = exact_log2(self.chip.synapse.slots)
            slot_3 = Signal(slot_bits, name=f"slot_{lane}")
            m.d.sync += slot_3.eq(self.t + (delays_2[lane] << row_2.resolution))
            product_5 = after(m, weight_4[lane].weight * factor_4, f"product_{lane}")
            address_3 = Signal.like(self.clear_at, name=f"address_{lane}")
            m.d.comb += address_3.eq(Cat(slot_3, block_3))
            with m.If(self.collect):
                m.d.comb += address_3.eq(Cat(self.t[:slot_bits], self.collect_block))
            with m.Elif(self.clear):
                m.d.comb += address_3.eq(self.clear_at)
            read = issue_3 | self.collect
            self._bank(m, lane, read, address_3, product_5, empty_5, write_6)
        return m

    def _row(self, m: Module):
        """Count the blocks of a row; return whether a block is issued, where it is, and its row."""
        chip = self.chip
        at = Signal(
            data.StructLayout(
                {
                    "synapse": self.row.shape(),
                    "delays": self.delays.shape(),
                    "block": self.block.shape(),
                }
            )
        )
        row = Signal(
            data.StructLayout(
                {
                    "factor": index((chip.axon.count.max << chip.synapse.scale.max) + 1),
                    "resolution": self.resolution.shape(),
                    "synaptic": 1,
                    "dendritic": 1,
                }
            )
        )
        issue = Signal()
        issues = Signal.like(self.blocks)
        clocks = Signal(range(max(chip.neuron_blocks, ROW) + 1))
        with m.If(self.start & ~self.busy):
            m.d.sync += [
                at.synapse.eq(self.row),
                at.delays.eq(self.delays),
                at.block.eq(self.block),
                # One shifter for all lanes: (w * count) << scale is w * (count << scale).
                row.factor.eq(self.count << self.scale),
                row.resolution.eq(self.resolution),
                row.synaptic.eq(self.synaptic),
                row.dendritic.eq(self.dendritic),
                issue.eq(1),
                issues.eq(self.blocks),
                clocks.eq(Mux(self.blocks > ROW, self.blocks, ROW)),
                self.busy.eq(1),
            ]
        with m.Elif(self.busy):
            m.d.sync += [
                at.synapse.eq(at.synapse + 1),
                at.delays.eq(at.delays + 1),
                at.block.eq(at.block + 1),
                issue.eq(issue & (issues != 1)),
                issues.eq(issues - 1),
                clocks.eq(clocks - 1),
                self.busy.eq(clocks != 1),
            ]
        return issue, at, row

    def _loaded(self, m: Module, name: str, address, enable):
        """Build the loaded memory `name`; return the word that was read in the last clock."""
        spec, port = self.specs[name], getattr(self, name)
        if f"{name}_update" not in self.signature.members:
            return loaded(m, spec, port, address, enable)
        return learned(m, spec, port, getattr(self, f"{name}_update"), address, enable)

    def _show(self, m: Module, issue_0, issue_3, at_0, row_0, weight_4) -> None:
        """Show the blocks of a row to what learns."""
        tag_0 = Signal(self.tag.shape(), reset_less=True)
        with m.If(self.start & ~self.busy):
            m.d.sync += tag_0.eq(self.tag)
        # Its last block is shown before that of the next row has been issued.
        with m.If(~issue_0):
            m.d.sync += self.o_tag.eq(tag_0)
        issue_4 = after(m, issue_3, "shown")
        m.d.sync += self.o_valid.eq(issue_4 & self.adjoint)
        # A row is followed by at least one clock without a block.
        m.d.sync += self.o_last.eq(~issue_3)
        m.d.sync += self.o_row.eq(after(m, at_0.synapse, "shown_row", self.ADJOINT - 1))
        m.d.sync += self.o_count.eq(after(m, row_0.factor, "shown_factor", self.ADJOINT - 1))
        m.d.sync += self.o_weights.eq(weight_4)

    def _delays(self, m: Module, issue, at, row):
        """Read the delay words of a block; return one per lane, two clocks after `issue`."""
        delays = [0] * self.chip.lanes
        mode = after(m, row, "mode")
        for kind, address in (("synaptic", at.synapse), ("dendritic", at.delays)):
            name = f"{kind}_delays"
            if name in self.specs:
                read = self._loaded(m, name, address, issue & row[kind])
                for lane in range(self.chip.lanes):
                    delays[lane] = Mux(mode[kind], read[lane].delay, delays[lane])
        layout = data.ArrayLayout(shape(self.chip.synapse.delay), self.chip.lanes)
        delay = Signal(layout)
        for lane in range(self.chip.lanes):
            m.d.sync += delay[lane].eq(delays[lane])
        return delay

    def _bank(self, m: Module, lane: int, read, address, product, empty, write):
        """Build the accumulators of one lane: add `product`, or empty."""
        ram = build(m, self.specs[f"accumulators_{lane}"])
        old = ram.read_port()
        new = ram.write_port()
        m.d.comb += old.en.eq(read)
        m.d.comb += old.addr.eq(address)
        acc = after(m, old.data[0].acc, f"acc_{lane}")
        m.d.comb += self.i[lane].eq(acc)
        total = Signal(shape(self.chip.synapse.acc), name=f"total_{lane}")
        m.d.sync += total.eq(Mux(empty, 0, acc + product))
        address_6 = after(m, address, f"address_{lane}", 3)
        if self.chip.learn is None:
            m.d.comb += new.en.eq(write)
            m.d.comb += new.addr.eq(address_6)
            m.d.comb += new.data.eq(total)
        else:
            at = Cat(self.ring_slot, self.ring_block)
            m.d.comb += new.en.eq(write | self.ring_write)
            m.d.comb += new.addr.eq(Mux(self.ring_write, at, address_6))
            m.d.comb += new.data.eq(Mux(self.ring_write, self.ring[lane], total))
