"""The ring of accumulators, followed through one sum that the solver marks."""

from dataclasses import replace

from amaranth.hdl import Array, Assert, Assume, Cat, Cover, Module, Mux, ResetSignal, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from datapath import Chip, Format
from datapath.catalog import TINY
from datapath.timing import ROW
from rtl.fixed import shape
from rtl.memory import index
from rtl.synapse import SynapseStage

SLOTS = 2
BLOCKS = 2
WORDS = 2
OF_ROW = ("row", "blocks", "count", "scale", "resolution", "synaptic")


def small() -> Chip:
    """Return a chip of two neurons, one lane, and synaptic delays over a ring of two slots."""
    return replace(
        TINY,
        channels=2,
        neurons=BLOCKS,
        lanes=1,
        synapses=WORDS,
        axon=replace(TINY.axon, count=Format(1, signed=False)),
        synapse=replace(
            TINY.synapse,
            weight=Format(2),
            scale=Format(1, signed=False),
            acc=Format(5),
            slots=SLOTS,
            delay=Format(1, signed=False),
            dendritic=0,
        ),
    )


class RingProof(wiring.Component):
    """Deliver rows and collect sums in any order that a SynapseStage allows.

    Of one block and slot, which `mark` chooses when it is collected, all that is delivered is added
    up at once; when it is collected again, that must be its sum.

    Members
    -------
    load, at, weight, delay : In(any)
        Write a weight and the delay beside it.
    start, row, blocks, count, scale, resolution, synaptic : In(any)
        Deliver a row.
    collect, block, mark : In(any)
        Collect a block.
    tick : In(any)
        Go on to the next slot.
    """

    def __init__(self) -> None:
        self.chip = chip = small()
        self.synapse = SynapseStage(chip)
        super().__init__(
            {
                **dict.fromkeys(("load", "start", "collect", "tick", "mark"), In(1)),
                **{name: In(self.synapse.signature.members[name].shape) for name in OF_ROW},
                "at": In(index(WORDS)),
                "weight": In(shape(chip.synapse.weight)),
                "delay": In(shape(chip.synapse.delay)),
                "block": In(index(BLOCKS)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.synapse = synapse = self.synapse
        m.d.comb += Assume(~ResetSignal())
        t = Signal(range(SLOTS))
        with m.If(self.tick):
            m.d.sync += t.eq(t + 1)
        resting = self._pace(m)
        weights, delays, loaded = self._words(m, resting)
        m.d.comb += [
            synapse.t.eq(t),
            *(getattr(synapse, name).eq(getattr(self, name)) for name in ("start", *OF_ROW)),
            synapse.collect.eq(self.collect),
            synapse.collect_block.eq(self.block),
        ]
        self._follow(m, t, weights, delays, loaded)
        return m

    def _pace(self, m: Module):
        """Assume what the stage asks for; return whether nothing is under way."""
        busy = Signal(range(max(BLOCKS, ROW) + 1))
        # Clocks until the last sum, or the last emptied one, can be collected or added to.
        draining = Signal(range(SynapseStage.DRAIN + 1))
        emptying = Signal(range(4))
        with m.If(self.start):
            m.d.sync += busy.eq(Mux(self.blocks > ROW, self.blocks, ROW))
            m.d.sync += draining.eq(SynapseStage.DRAIN)
        with m.Elif(busy.any()):
            m.d.sync += busy.eq(busy - 1)
        with m.Elif(draining.any()):
            m.d.sync += draining.eq(draining - 1)
        with m.If(self.collect):
            m.d.sync += emptying.eq(3)
        with m.Elif(emptying.any()):
            m.d.sync += emptying.eq(emptying - 1)
        resting = ~busy.any() & ~draining.any() & ~emptying.any()
        alone = self.start + self.collect + self.tick + self.load <= 1
        m.d.comb += [
            Assume(alone),
            Assume(~self.start | (~busy.any() & ~emptying.any())),
            Assume(~(self.collect | self.tick | self.load) | resting),
            Assert(self.synapse.busy == busy.any()),
        ]
        return resting

    def _words(self, m: Module, resting):
        """Load weights and delays while nothing moves; return them, and which are known."""
        weights = Array(Signal.like(self.weight, name=f"weight_{n}") for n in range(WORDS))
        delays = Array(Signal.like(self.delay, name=f"delay_{n}") for n in range(WORDS))
        loaded = Array(Signal(name=f"loaded_{n}") for n in range(WORDS))
        for port in (self.synapse.weights, self.synapse.synaptic_delays):
            m.d.comb += [port.write.eq(self.load), port.address.eq(self.at)]
        m.d.comb += [
            self.synapse.weights.data[0].weight.eq(self.weight),
            self.synapse.synaptic_delays.data[0].delay.eq(self.delay),
        ]
        with m.If(self.load):
            m.d.sync += [
                weights[self.at].eq(self.weight),
                delays[self.at].eq(self.delay),
                loaded[self.at].eq(1),
            ]
        return weights, delays, loaded

    def _follow(self, m: Module, t, weights, delays, loaded) -> None:
        """Add what goes to the marked block and slot, and compare when it is collected."""
        acc = shape(self.chip.synapse.acc)
        marked, block, slot, total = Signal(), Signal.like(self.block), Signal.like(t), Signal(acc)
        word, late = Signal(range(BLOCKS + WORDS)), Signal(range(4 * SLOTS))
        here = self.collect & (self.block == block) & (t == slot)
        m.d.comb += [
            # The word of the marked block, if the row reaches it.
            word.eq(self.row + block),
            late.eq(Mux(self.synaptic, delays[word[: len(self.at)]] << self.resolution, 0)),
            Assume(~self.start | ((self.blocks > 0) & (self.row + self.blocks <= WORDS))),
            Assume(~self.start | Cat(loaded).all()),
            # An image with a longer delay than the ring is refused.
            Assume(self.resolution < 2),
            Assume(~self.start | (late < SLOTS)),
        ]
        with m.If(~marked & self.collect & self.mark):
            m.d.sync += [marked.eq(1), block.eq(self.block), slot.eq(t), total.eq(0)]
        with m.Elif(self.start & (self.blocks > block) & ((t + late)[: len(slot)] == slot)):
            product = (weights[word[: len(self.at)]] * self.count) << self.scale
            m.d.sync += total.eq(total + product)
        with m.Elif(marked & here):
            m.d.sync += total.eq(0)
        certain, value = marked & here, total
        for clock in range(SynapseStage.COLLECT):
            certain_then = Signal(name=f"certain_{clock}")
            value_then = Signal(acc, name=f"value_{clock}")
            m.d.sync += [certain_then.eq(certain), value_then.eq(value)]
            certain, value = certain_then, value_then
        m.d.comb += [
            Assert(~certain | (self.synapse.i[0] == value)),
            Cover(certain & (self.synapse.i[0] == 2 * self.chip.synapse.weight.min)),
        ]
