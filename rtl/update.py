"""Gradients become steps of weights and delays."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from datapath import Chip, Rounding
from datapath.memory import control, memories, projection_rule_fields
from rtl.fixed import lift, next_random, shape, stochastic_lift
from rtl.memory import LoadPort, UpdatePort, after, index, learn_of, learned, struct, word

DELAYS = ("synaptic", "axonal")
CONTROLS = ("keep_weights", "keep_delays", "sign_of_weight", "nearest")


class UpdateStage(wiring.Component):
    """Take a step against the gradients: `lanes` synapses, or one axon, per clock.

    Holds the loaded memories `random`, `weight_fractions`, and where the chip has such delays
    `synaptic_fractions` and `axonal_fractions`; the words themselves and their gradients are
    elsewhere, behind update ports. Every lane has a random number generator.

    Members
    -------
    start, finish : In(1), In(1)
        Take the states of the generators from `random`, READY clocks before the first word or
        earlier, and write them back, SETTLE clocks after the last one or later.
    word, at : In(1), In(address of `weights`)
        Update the synapses of a word; another one on every clock.
    axon, axon_at : In(1), In(address of `axonal_delays`)
        Update an axon, in a clock without `word`.
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

    READY = 1
    SETTLE = 11

    def __init__(self, chip: Chip) -> None:
        self.chip = chip
        self.p = learn_of(chip)
        self.specs = {spec.name: spec for spec in memories(chip)}
        self.delays = [kind for kind in DELAYS if f"{kind}_delays" in self.specs]
        registers = {field.name: shape(field.fmt) for field in control(chip)}
        members = {
            "start": In(1),
            "finish": In(1),
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
        delays_2 = axon_2 | word_2 & self.rule.delays & self.synaptic
        of_weights_3, of_delays_3 = self._draw(m, weights_2, delays_2, axon_2)
        self._step_weights(m, ports, weights_2, of_weights_3)
        if self.delays:
            self._step_delays(m, ports, delays_2, axon_2, of_delays_3)
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

    def _draw(self, m: Module, weights_2, delays_2, axon_2):
        """Draw for weights, then for delays; return both numbers of every lane in clock 3."""
        port = self._own(m, "random")
        state = Signal(word(self.specs["random"]))
        m.d.comb += [
            port.read.eq(self.start),
            port.write.eq(self.finish),
            port.data.eq(state),
        ]
        with m.If(after(m, self.start, "started", 2)):
            m.d.sync += state.eq(port.word)
        first, second = [], []
        for lane in range(self.chip.lanes):
            now = state[lane].state
            first.append(next_random(now))
            second.append(next_random(Mux(weights_2, first[lane], now)))
            with m.If(delays_2 & (~axon_2 if lane else Const(1))):
                m.d.sync += now.eq(second[lane])
            with m.Elif(weights_2):
                m.d.sync += now.eq(first[lane])
        return (
            [after(m, r, f"of_weight_{lane}") for lane, r in enumerate(first)],
            [after(m, r, f"of_delay_{lane}") for lane, r in enumerate(second)],
        )

    def _limit(self, m: Module, x, limit, name: str):
        """Clamp `x` to plus and minus `2**limit - 1`; one clock."""
        most = after(m, (Value.cast(1) << limit) - 1, f"{name}_most")
        clamped = Mux(x > most, most, Mux(x < -most, -most, x))
        return after(m, clamped[: len(x)].as_signed(), f"{name}_limited")

    def _move(self, m: Module, x, rate, shift, r, master, name: str):
        """Take the step of a limited gradient from a master word; four clocks.

        r : what decides the rounding, a clock after `x`.  master : three clocks after `x`.
        """
        product = after(m, x * rate, f"{name}_product")
        lifted = after(m, stochastic_lift(product, shift, r), f"{name}_lifted")
        step = after(m, lifted >> shift, f"{name}_step")
        return after(m, master - step, f"{name}_left")

    def _rounding(self, m: Module, r, shift, clocks: int, name: str):
        """Return what decides a shift by `shift`, `clocks` later: the random `r`, or one half."""
        middle = after(m, (Value.cast(1) << shift) >> 1, f"{name}_middle")
        return after(m, Mux(self.nearest, middle, r), f"{name}_r", clocks)

    def _keep(self, m: Module, gradient, keep, name: str):
        """Return what stays of a gradient, three clocks later."""
        share = after(m, (gradient << keep) - gradient, f"{name}_share")
        lifted = after(m, lift(share, keep, Rounding.ZERO), f"{name}_share_lifted")
        return after(m, (lifted >> keep)[: len(gradient)].as_signed(), f"{name}_kept")

    def _step_weights(self, m: Module, ports, valid_2, r_3) -> None:
        weights, gradients, fractions = ports["weight"]
        rule, bits = self.rule, self.p.weight_fraction.width
        for lane in range(self.chip.lanes):
            name = f"weight_{lane}"
            gradient_2 = gradients.word[lane].gradient
            master_2 = Cat(fractions.word[lane].fraction, weights.word[lane].weight).as_signed()
            x_3 = self._limit(m, gradient_2, rule.weight_limit, name)
            r_4 = self._rounding(m, r_3[lane], rule.weight_shift, 1, name)
            master_6 = after(m, master_2, f"{name}_master", 4)
            left_7 = self._move(m, x_3, rule.weight_rate, rule.weight_shift, r_4, master_6, name)
            new_8 = after(m, self._clamp(left_7, len(master_2)), f"{name}_new")
            kept_5 = self._keep(m, gradient_2, self.keep_weights, name)
            m.d.comb += [
                fractions.data[lane].fraction.eq(new_8),
                weights.data[lane].weight.eq(new_8 >> bits),
                gradients.data[lane].gradient.eq(after(m, kept_5, f"{name}_kept", 3)),
            ]
        valid_8, at_8 = after(m, valid_2, "weights", 6), after(m, self.at, "at", 8)
        for port in ports["weight"]:
            m.d.comb += [port.write.eq(valid_8), port.write_at.eq(at_8)]

    def _clamp(self, x, width: int):
        """Clamp the signed `x` to `width` bits."""
        low = x[:width].as_signed()
        largest = Cat((~x[-1]).replicate(width - 1), x[-1]).as_signed()
        return Mux(x == low, low, largest)

    def _step_delays(self, m: Module, ports, valid_2, axon_2, r_3) -> None:
        top = Cat(Const(0, self.p.delay_fraction.width), self.rule.largest)
        top |= (1 << self.p.delay_fraction.width) - 1
        axon_11 = after(m, axon_2, "axon_moved", 9)
        valid_11 = after(m, valid_2, "delays", 9)
        at_11, axon_at_11 = after(m, self.at, "at_delay", 11), after(m, self.axon_at, "axon_at", 11)
        for kind in self.delays:
            axonal = kind == "axonal"
            for port in ports[kind]:
                m.d.comb += port.write.eq(valid_11 & (axon_11 if axonal else ~axon_11))
                m.d.comb += port.write_at.eq(axon_at_11 if axonal else at_11)
        for lane in range(self.chip.lanes if "synaptic" in self.delays else 1):
            self._step_delay(m, ports, lane, axon_2, r_3[lane], top)

    def _step_delay(self, m: Module, ports, lane: int, axon_2, r_3, top) -> None:
        rule, bits, name = self.rule, self.p.delay_fraction.width, f"delay_{lane}"
        kinds = [kind for kind in self.delays if kind == "synaptic" or lane == 0]
        gradients_2 = {kind: ports[kind][1].word[lane].gradient for kind in kinds}
        masters_2 = {
            kind: Cat(ports[kind][2].word[lane].fraction, ports[kind][0].word[lane].delay)
            for kind in kinds
        }
        master_2, gradient_2 = masters_2[kinds[0]], gradients_2[kinds[0]]
        if len(kinds) > 1:
            master_2 = Mux(axon_2, masters_2["axonal"], master_2)
            gradient_2 = Mux(axon_2, gradients_2["axonal"], gradient_2)
        x_5 = after(m, gradient_2, f"{name}_gradient", 3)
        if "synaptic" in kinds:
            weight_2 = ports["weight"][0].word[lane].weight
            sign = Mux(weight_2 < 0, Const(-1), weight_2 != 0)
            factor = Mux(self.sign_of_weight, sign, weight_2)
            scaled_5 = self._scale(m, factor * gradients_2["synaptic"], name)
            x_5 = Mux(after(m, axon_2, f"{name}_axon", 3), x_5, scaled_5)
        x_6 = self._limit(m, x_5, rule.delay_limit, name)
        r_7 = self._rounding(m, r_3, rule.delay_shift, 4, name)
        master_9 = after(m, master_2, f"{name}_master", 7)
        left_10 = self._move(m, x_6, rule.delay_rate, rule.delay_shift, r_7, master_9, name)
        inside = Mux(left_10 < 0, 0, Mux(left_10 > top, top, left_10))
        new_11 = after(m, inside[: len(top)], f"{name}_new")
        kept_5 = self._keep(m, gradient_2, self.keep_delays, name)
        kept_11 = after(m, kept_5, f"{name}_kept", 6)
        for kind in kinds:
            delays, gradients, fractions = (port.data[lane] for port in ports[kind])
            m.d.comb += [
                fractions.fraction.eq(new_11),
                delays.delay.eq(new_11 >> bits),
                gradients.gradient.eq(kept_11),
            ]

    def _scale(self, m: Module, product, name: str):
        """Return the gradient of a synaptic delay, three clocks after its factors."""
        product_3 = after(m, product, f"{name}_scaling")
        lifted_4 = after(m, lift(product_3, self.rule.delay_scale, Rounding.NEAREST), f"{name}_up")
        return after(m, lifted_4 >> self.rule.delay_scale, f"{name}_scaled")
