"""Gradients of weights and delays: what every spike gets when the signals are known."""

from amaranth.hdl import Cat, Module, Mux, Shape, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from datapath import Chip, Rounding
from datapath.memory import memories, projection_rule_fields
from rtl.fixed import fits, lift, saturate, shape, times
from rtl.memory import (
    LoadPort,
    UpdatePort,
    Write,
    add_up,
    after,
    index,
    learn_of,
    learned,
    word,
)
from rtl.slope import signal_and_slope


def tag_layout(chip: Chip) -> data.UnionLayout:
    """Return what goes with a row of weights: its axon, or the neuron that it feeds back to."""
    p = learn_of(chip)
    neuron = data.StructLayout(
        {
            "lane": exact_log2(chip.lanes),
            "value": shape(p.lookup),
            "activity": shape(p.activity),
        }
    )
    return data.UnionLayout({"axon": index(max(1, chip.axon.delays)), "neuron": neuron})


def dot_shape(chip: Chip) -> Shape:
    """Shape of the largest sum of a row of weights times signals or slopes."""
    p = learn_of(chip)
    widest = max(p.signal.width, p.slope.width)
    return signed(chip.synapse.weight.width + widest + (chip.neurons - 1).bit_length())


class CreditStage(wiring.Component):
    """Add what a spike gets to gradients, `lanes` synapses per clock.

    Holds the loaded memories `weight_gradients`, and where the chip has such delays
    `synaptic_gradients` and `axonal_gradients`. A block of a row may go in on every clock; the same
    synapse or axon may again after SETTLE clocks. An array has one element per lane, lane 0 least
    significant.

    Members
    -------
    valid, last : In(1), In(1)
        A block goes in; it is the last one of its row. Last ones are more than ROW clocks apart,
        and none goes in in the clock after one.
    feedback : In(1)
        Only sum its weights times signals. Stands still until the sums are out, like the next ones.
    weights_learn, synaptic_learn, axonal_learn, delay_scale : In(1), In(1), In(1), In(of the rule)
        Which gradients the spikes of the row add to, and right shift of an axon's sum.
    row, count, weights, words : In(address), In(axon.count), In(word), In(array of synapse.acc)
        Where its weights are, spikes, weights, and words of the ring.
    tag : In(tag_layout)
        With a `last` block: of its row.
    o_valid, o_dot, o_tag : Out(1), Out(dot_shape), Out(tag_layout)
        In clock n + DOT of a `last` with `feedback` in clock n: the sum of the row, and its tag,
        which stands still for ROW clocks more.
    o_early : Out(tag_layout)
        The tag from clock n + 1 until clock n + DOT - 1.
    o_saturated : Out(1)
        A gradient was out of range, in clock n + SETTLE or earlier.
    weight_gradients, synaptic_gradients, axonal_gradients : In(LoadPort)
    <name>_update : In(UpdatePort)
    """

    DOT = 5
    SETTLE = 11

    def __init__(self, chip: Chip) -> None:
        self.chip = chip
        self.p = learn_of(chip)
        self.specs = {spec.name: spec for spec in memories(chip)}
        rule = {field.name: shape(field.fmt) for field in projection_rule_fields(chip, self.p)}
        members = {
            "valid": In(1),
            "last": In(1),
            "feedback": In(1),
            "weights_learn": In(1),
            "synaptic_learn": In(1),
            "axonal_learn": In(1),
            "delay_scale": In(rule["delay_scale"]),
            "row": In(index(chip.synapses)),
            "count": In(shape(chip.axon.count)),
            "weights": In(word(self.specs["weights"])),
            "words": In(data.ArrayLayout(shape(chip.synapse.acc), chip.lanes)),
            "tag": In(tag_layout(chip)),
            "o_valid": Out(1),
            "o_dot": Out(dot_shape(chip)),
            "o_tag": Out(tag_layout(chip)),
            "o_early": Out(tag_layout(chip)),
            "o_saturated": Out(1),
        }
        for name in ("weight_gradients", "synaptic_gradients", "axonal_gradients"):
            if name in self.specs:
                members[name] = In(LoadPort(self.specs[name]))
                members[f"{name}_update"] = In(UpdatePort(self.specs[name]))
        super().__init__(members)

    def elaborate(self, platform):
        m = Module()
        credits = self.valid & ~self.feedback
        words = signal_and_slope(self.chip, self.words)
        signals, slopes = [one.signal for one in words], [one.slope for one in words]
        learns = credits & self.weights_learn
        beyond = [self._synapses(m, "weight_gradients", learns, signals)]
        if "synaptic_gradients" in self.specs:
            learns = credits & self.synaptic_learn
            beyond.append(self._synapses(m, "synaptic_gradients", learns, slopes))
        last_5, count_5 = self._dot(m, words)
        if "axonal_gradients" in self.specs:
            beyond.append(self._axon(m, last_5 & ~self.feedback & self.axonal_learn, count_5))
        m.d.comb += self.o_valid.eq(last_5 & self.feedback)
        m.d.comb += self.o_saturated.eq(Cat(beyond).any())
        return m

    def _synapses(self, m: Module, name: str, valid, factors):
        """Add count times `factors` to a word of gradients; whether one was out of range."""
        fmt = self.specs[name].fields[0].fmt
        valid_4 = after(m, valid, f"{name}_valid", 4)
        row_4 = after(m, self.row, f"{name}_row", 4)
        new_4 = Signal(word(self.specs[name]), name=f"{name}_new")
        write = Write(valid_4, row_4, new_4)
        update = getattr(self, f"{name}_update")
        read_1 = learned(m, self.specs[name], getattr(self, name), update, self.row, valid, write)
        old_2 = after(m, read_1, f"{name}_old")
        beyond = []
        for lane, factor in enumerate(factors):
            product_1 = after(m, times(factor, self.count), f"{name}_product_{lane}")
            product_2 = after(m, product_1, f"{name}_product_{lane}")
            total_3 = after(m, old_2[lane].gradient + product_2, f"{name}_total_{lane}")
            m.d.sync += new_4[lane].gradient.eq(saturate(total_3, fmt))
            beyond.append(~fits(total_3, fmt))
        return valid_4 & after(m, Cat(beyond).any(), f"{name}_beyond")

    def _dot(self, m: Module, words):
        """Add up weights times signals or slopes; return `last` and `count` when it is done."""
        products = []
        for lane, ring in enumerate(words):
            factor = after(m, Mux(self.feedback, ring.signal, ring.slope), f"factor_{lane}")
            weight = after(m, self.weights[lane].weight, f"weight_{lane}")
            products.append(after(m, weight * factor, f"dot_product_{lane}"))
        sum_4 = add_up(m, products, "dot")
        valid_4 = after(m, self.valid, "dot_valid", 4)
        last_4 = after(m, self.valid & self.last, "dot_last", 4)
        last_5 = after(m, last_4, "dot_last")
        with m.If(last_5):
            m.d.sync += self.o_dot.eq(0)
        with m.Elif(valid_4):
            m.d.sync += self.o_dot.eq(self.o_dot + sum_4)
        # Rows are so far apart that two registers hold all the tags under way.
        with m.If(self.valid & self.last):
            m.d.sync += self.o_early.eq(self.tag)
        with m.If(last_4):
            m.d.sync += self.o_tag.eq(self.o_early)
        return last_5, after(m, self.count, "dot_count", 5)

    def _axon(self, m: Module, valid_5, count_5):
        """Add what the axon of a row gets to its gradient; whether it was out of range."""
        spec, fmt = self.specs["axonal_gradients"], self.p.delay_gradient
        valid_6 = after(m, valid_5, "axon_valid")
        axon_6 = self.o_tag.axon
        valid_10 = after(m, valid_6, "axon_adding", 4)
        new_10 = Signal(word(spec), name="axon_new")
        write = Write(valid_10, after(m, axon_6, "axon", advance=valid_6), new_10)
        port, update = self.axonal_gradients, self.axonal_gradients_update
        read_7 = learned(m, spec, port, update, axon_6, valid_6, write)
        lifted_6 = after(m, lift(self.o_dot, self.delay_scale, Rounding.NEAREST), "axon_lifted")
        scaled_7 = after(m, lifted_6 >> self.delay_scale, "axon_scaled")
        product_8 = after(m, times(scaled_7, after(m, count_5, "axon_count", 2)), "axon_product")
        total_9 = after(m, after(m, read_7[0].gradient, "axon_old") + product_8, "axon_total")
        m.d.sync += new_10[0].gradient.eq(saturate(total_9, fmt))
        return valid_10 & after(m, ~fits(total_9, fmt), "axon_beyond")
