"""Gradients become steps of weights and delays."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from datapath import Chip, Rounding
from datapath.memory import control, memories, projection_rule_fields
from datapath.memory_formats import KEEP
from rtl.fixed import capped, lift, low_bits, next_random, shape, stochastic_lift
from rtl.memory import LoadPort, UpdatePort, after, build, index, learn_of, learned, struct, word

DELAYS = ("synaptic", "axonal")
CONTROLS = ("keep_weights", "keep_delays", "sign_of_weight", "nearest")


class UpdateStage(wiring.Component):
    """Take a step against the gradients: `lanes` synapses, or one axon, per clock.

    Holds the loaded memories `random`, `weight_fractions`, and where the chip has such delays
    `synaptic_fractions` and `axonal_fractions`; the words themselves and their gradients are
    elsewhere, behind update ports. Every lane has a random number generator, whose state is in
    `random`.

    Members
    -------
    word, at : In(1), In(address of `weights`)
        Update the synapses of a word; the next one on every clock. After the last one, no other is
        the first within SETTLE clocks.
    axon, axon_at : In(1), In(address of `axonal_delays`)
        Likewise update axons, in clocks without `word`.
    rule : In(entry of the table of projection rules)
        It stands still from the first word until SETTLE clocks after the last one, like the next
        one.
    synaptic : In(1)
        The delays that the rule speaks of are those of synapses.
    keep_weights, keep_delays, sign_of_weight, nearest : In(of the control registers)
    weights, weight_gradients : Out(UpdatePort)
    synaptic_delays, synaptic_gradients, axonal_delays, axonal_gradients : Out(UpdatePort)
        As far as the chip has them.
    random, weight_fractions, synaptic_fractions, axonal_fractions : In(LoadPort)
    """

    SETTLE = 11

    def __init__(self, chip: Chip) -> None:
        self.chip = chip
        self.p = learn_of(chip)
        self.specs = {spec.name: spec for spec in memories(chip)}
        self.delays = [kind for kind in DELAYS if f"{kind}_delays" in self.specs]
        registers = {field.name: shape(field.fmt) for field in control(chip)}
        members = {
            "word": In(1),
            "at": In(index(chip.synapses)),
            "axon": In(1),
            "axon_at": In(index(max(1, chip.axon.delays))),
            "rule": In(struct(projection_rule_fields(chip, self.p))),
            "synaptic": In(1),
            **{n: In(registers[n]) for n in CONTROLS},
            "random": In(LoadPort(self.specs["random"])),
        }
        for kind, name in self._kinds():
            members[name] = Out(UpdatePort(self.specs[name]))
            members[f"{kind}_gradients"] = Out(UpdatePort(self.specs[f"{kind}_gradients"]))
            members[f"{kind}_fractions"] = In(LoadPort(self.specs[f"{kind}_fractions"]))
        super().__init__(members)

    def _kinds(self) -> list[tuple[str, str]]:
        """Return what may learn, and the names of its words."""
        return [("weight", "weights"), *((kind, f"{kind}_delays") for kind in self.delays)]

    def elaborate(self, platform):
        m = Module()
        # A number behind a name counts the clocks from the one in which a word or an axon goes in.
        ports = self._ports(m)
        word_2, axon_2 = after(m, self.word, "word", 2), after(m, self.axon, "axon", 2)
        weights_2 = word_2 & self.rule.weights
        synapses_2 = word_2 & self.rule.delays & self.synaptic
        drawn_4 = self._draw(m, weights_2, synapses_2, axon_2)
        self._step_weights(m, ports, weights_2, axon_2, drawn_4["weight"])
        if "synaptic" in ports:
            self._step_synapses(m, ports, synapses_2, drawn_4["synaptic"])
        return m

    def _ports(self, m: Module):
        """Return an update port for everything that may change, reading what goes in."""
        ports = {}
        for kind, name in self._kinds():
            fractions = self._own(m, f"{kind}_fractions")
            ports[kind] = getattr(self, name), getattr(self, f"{kind}_gradients"), fractions
            for port in ports[kind]:
                axonal = kind == "axonal"
                m.d.comb += port.read.eq(self.axon if axonal else self.word)
                m.d.comb += port.read_at.eq(self.axon_at if axonal else self.at)
        return ports

    def _own(self, m: Module, name: str):
        """Build the loaded memory `name`; return an update port for it."""
        spec = self.specs[name]
        port = UpdatePort(spec).create(path=(name,))
        learned(m, spec, getattr(self, name), port, port.read_at, Const(0))
        return port

    def _draw(self, m: Module, weights_2, synapses_2, axon_2):
        """Draw for weights, then for delays; return the numbers of every lane in clock 4."""
        spec, port = self.specs["random"], self.random
        ram = build(m, spec)
        # A single word is no macro: it is read in no time, and a draw takes one clock.
        state = ram.read_port(domain="comb").data
        write = ram.write_port(granularity=1)
        new = Signal(word(spec))
        draws = Signal(self.chip.lanes)
        m.d.comb += [
            write.en.eq(draws | port.write.replicate(self.chip.lanes)),
            write.data.eq(Mux(port.write, port.data, new)),
            port.word.eq(state),
        ]
        weights_3, synapses_3 = after(m, weights_2, "draws"), after(m, synapses_2, "draws_twice")
        axon_3 = after(m, axon_2, "draws_for_axon")
        weight_4, synapse_4 = [], []
        for lane in range(self.chip.lanes):
            now = state[lane].state
            first = next_random(now)
            weight_4.append(now)
            m.d.comb += draws[lane].eq(weights_3 | synapses_3 | (Const(0) if lane else axon_3))
            m.d.comb += new[lane].state.eq(first)
            if "synaptic" in self.delays:
                # Both numbers are drawn in one clock.
                weight_4[lane] = after(m, first, f"of_weight_{lane}")
                synapse_4.append(now)
                with m.If(synapses_3):
                    m.d.comb += new[lane].state.eq(next_random(Mux(weights_3, first, now)))
        return {"weight": weight_4, "synaptic": synapse_4}

    def _limit(self, m: Module, x, limit, name: str):
        """Clamp `x` to plus and minus `2**limit - 1`; one clock."""
        most, negative = low_bits(limit, len(x)), x[-1]
        beyond = ((x ^ negative.replicate(len(x))) & ~most).any()
        beyond |= negative & ~(x & most).any()
        clamped = Mux(negative, Mux(most[0], ~most | 1, 0), most)
        return after(m, Mux(beyond, clamped, x)[: len(x)].as_signed(), f"{name}_limited")

    def _move(self, m: Module, x, rate, shifts, r, master, name: str):
        """Take the step of a limited gradient from a master word; four clocks.

        rate, shifts : of the rule, in the clock of `x`, and in the next two.  r : what is drawn, a
        clock after `x`.  master : three clocks after `x`.
        """
        product = after(m, x * rate, f"{name}_product")
        rounding = Mux(self.nearest, ~(low_bits(shifts[0], len(r)) >> 1), r)
        lifted = after(m, stochastic_lift(product, shifts[0], rounding), f"{name}_lifted")
        step = after(m, lifted >> capped(shifts[1], product), f"{name}_step")
        return after(m, master - step, f"{name}_left")

    def _keep(self, m: Module, gradient, keep, name: str):
        """Return what stays of a gradient, two clocks later."""
        # What stays is rounded towards zero, so what goes is rounded away from it.
        lifted = gradient + Mux(gradient < 0, 0, low_bits(keep, KEEP.max))
        gone = after(m, lifted >> keep, f"{name}_gone")
        left = after(m, gradient, f"{name}_gradient") - gone
        return after(m, left[: len(gradient)].as_signed(), f"{name}_kept")

    def _clamp(self, x, width: int):
        """Clamp the signed `x` to `width` bits."""
        low = x[:width].as_signed()
        largest = Cat((~x[-1]).replicate(width - 1), x[-1]).as_signed()
        return Mux(x == low, low, largest)

    def _inside(self, x):
        """Clamp the master word of a delay to what the rule allows."""
        top = Cat(Const(0, self.p.delay_fraction.width), self.rule.largest)
        top |= (1 << self.p.delay_fraction.width) - 1
        return Mux(x < 0, 0, Mux(x > top, top, x))[: len(top)]

    def _step_weights(self, m: Module, ports, weights_2, axon_2, drawn_4) -> None:
        """Step weights, and an axon in the place of the weight of lane 0."""
        axon = {2: axon_2}
        for clock in range(3, 9):
            axon[clock] = after(m, axon[clock - 1], f"axon_{clock}")
        for lane in range(self.chip.lanes):
            alone = lane or "axonal" not in ports
            self._step_weight(m, ports, lane, None if alone else axon, drawn_4[lane])
        weights_4 = after(m, weights_2, "weights", 2)
        weights_8 = after(m, weights_4, "weights_late", 4)
        self._write(m, ports["weight"], weights_4, weights_8)
        if "axonal" in ports:
            self._write(m, ports["axonal"], axon[4], axon[8])

    def _write(self, m: Module, ports, early, late) -> None:
        """Write gradients when they are `early`, and words when they are `late`."""
        words, gradients, fractions = ports
        begins = words.read & ~after(m, words.read, "goes_on")
        for valid, written in ((early, (gradients,)), (late, (words, fractions))):
            at = Signal.like(words.read_at, name="written_at")
            with m.If(begins):
                m.d.sync += at.eq(words.read_at)
            with m.If(valid):
                m.d.sync += at.eq(at + 1)
            for port in written:
                m.d.comb += [port.write.eq(valid), port.write_at.eq(at)]

    def _step_weight(self, m: Module, ports, lane: int, axon, drawn_4) -> None:
        """Step one lane; axon : by clock, whether it is an axon that goes through, None if never.

        A number behind a name counts as in `elaborate`.
        """
        weights, gradients, fractions = (port.word[lane] for port in ports["weight"])
        gradient_2, name = gradients.gradient, f"weight_{lane}"
        weight_2 = Cat(fractions.fraction, weights.weight).as_signed()
        master_2 = weight_2

        def rule(clock: int, of_weight, of_axon):
            return of_weight if axon is None else Mux(axon[clock], of_axon, of_weight)

        if axon is not None:
            delays, sums, below = (port.word[0] for port in ports["axonal"])
            gradient_2 = Mux(axon[2], sums.gradient, gradient_2)
            master_2 = Mux(axon[2], Cat(below.fraction, delays.delay), weight_2)
        given = self.rule
        x_3 = self._limit(m, gradient_2, rule(2, given.weight_limit, given.delay_limit), name)
        rate_3 = rule(3, given.weight_rate, given.delay_rate)
        shifts = [rule(clock, given.weight_shift, given.delay_shift) for clock in (4, 5)]
        master_6 = after(m, master_2, f"{name}_master", 4)
        left_7 = self._move(m, x_3, rate_3, shifts, drawn_4, master_6, name)
        new_7 = self._clamp(left_7, len(weight_2))
        if axon is not None:
            new_7 = Mux(axon[7], self._inside(left_7), new_7)
        new_8 = after(m, new_7, f"{name}_new")
        keep = rule(2, self.keep_weights, self.keep_delays)
        kept_4 = self._keep(m, gradient_2, keep, name)
        self._show(m, ports["weight"], lane, new_8, kept_4)
        if axon is not None:
            self._show(m, ports["axonal"], 0, new_8, kept_4)

    def _show(self, m: Module, ports, lane: int, new, kept) -> None:
        """Give a lane its master word and its gradient to write."""
        words, gradients, fractions = (port.data[lane] for port in ports)
        (name,) = words.shape().members
        m.d.comb += [
            fractions.fraction.eq(new),
            words[name].eq(new >> len(fractions.fraction)),
            gradients.gradient.eq(kept),
        ]

    def _step_synapses(self, m: Module, ports, synapses_2, drawn_4) -> None:
        """Step the delays of synapses, three clocks behind their weights."""
        rule = self.rule
        for lane in range(self.chip.lanes):
            delays, gradients, fractions = (port.word[lane] for port in ports["synaptic"])
            name, gradient_2 = f"delay_{lane}", gradients.gradient
            weight_2 = ports["weight"][0].word[lane].weight
            sign = Mux(weight_2 < 0, Const(-1), weight_2 != 0)
            factor = Mux(self.sign_of_weight, sign, weight_2)
            x_6 = self._limit(m, self._scale(m, factor * gradient_2, name), rule.delay_limit, name)
            master_2 = Cat(fractions.fraction, delays.delay)
            master_9 = after(m, master_2, f"{name}_master", 7)
            r_7 = after(m, drawn_4[lane], f"{name}_r", 3)
            shifts = [rule.delay_shift] * 2
            left_10 = self._move(m, x_6, rule.delay_rate, shifts, r_7, master_9, name)
            new_11 = after(m, self._inside(left_10), f"{name}_new")
            kept_4 = self._keep(m, gradient_2, self.keep_delays, name)
            self._show(m, ports["synaptic"], lane, new_11, kept_4)
        synapses_4 = after(m, synapses_2, "synapses", 2)
        synapses_11 = after(m, synapses_4, "synapses_late", 7)
        self._write(m, ports["synaptic"], synapses_4, synapses_11)

    def _scale(self, m: Module, product, name: str):
        """Return the gradient of a synaptic delay, three clocks after its factors."""
        product_3 = after(m, product, f"{name}_scaling")
        lifted_4 = after(m, lift(product_3, self.rule.delay_scale, Rounding.NEAREST), f"{name}_up")
        return after(m, lifted_4 >> self.rule.delay_scale, f"{name}_scaled")
