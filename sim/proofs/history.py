"""The histories of sources, followed through what one source emits in one tick."""

from dataclasses import replace

from amaranth.hdl import Array, Assert, Assume, Cat, Const, Cover, Module, Mux, ResetSignal, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from datapath import Chip, Format
from datapath.timing import EVENT
from rtl.axon import AxonStage
from rtl.fixed import shape
from rtl.memory import after, index
from sim.proofs.ring import small

STEPS, SOURCES, LANES, WORDS = 2, 2, 2, 2
MOVES = ("start", "channel", "count", "write", "block", "spikes", "wipe", "wipe_block")
READS = ("advance", "read", "source", "delay", "neuron", "age", "axonal", "resolution")


def remembering() -> Chip:
    """Return a chip of few sources, and axonal delays over histories of two slots."""
    chip = small()
    axon = replace(
        chip.axon,
        count=Format(2, signed=False),
        channel_steps=STEPS,
        neuron_steps=STEPS,
        delay=Format(1, signed=False),
        delays=WORDS,
    )
    return replace(chip, channels=SOURCES, neurons=SOURCES, lanes=LANES, axon=axon)


class HistoryProof(wiring.Component):
    """Receive, write, read and wipe in any order that an AxonStage allows.

    Members
    -------
    load, at, delayed : In(any)
        Write an axonal delay.
    tick : In(any)
        Go on to the next tick.
    marked, mark : In(any)
        Follow what a source, always the same, emits in the tick that begins.
    The others are those of AxonStage, and any.
    """

    def __init__(self, *, neuron: bool) -> None:
        self.mark_neuron = int(neuron)
        self.chip = chip = remembering()
        self.axon = AxonStage(chip)
        members = self.axon.signature.members
        super().__init__(
            {
                **dict.fromkeys(("load", "tick", "marked"), In(1)),
                **{name: In(members[name].shape) for name in (*MOVES, *READS)},
                "at": In(index(WORDS)),
                "delayed": In(shape(chip.axon.delay)),
                "mark": In(index(SOURCES)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.axon = axon = self.axon
        t = Signal(range(STEPS))
        with m.If(self.tick):
            m.d.sync += t.eq(t + 1)
        m.d.comb += [
            Assume(~ResetSignal()),
            axon.t.eq(t),
            *(getattr(axon, name).eq(getattr(self, name)) for name in (*MOVES, *READS)),
        ]
        self._pace(m)
        ago = self._ago(m)
        self._follow(m, ago)
        return m

    def _pace(self, m: Module) -> None:
        """Assume what the stage asks for, and that every block is written and wiped in a tick."""
        receiving, reading = Signal(range(EVENT + 1)), Signal(range(AxonStage.LATENCY + 1))
        blocks = SOURCES // LANES
        wiped, wrote = (Signal(blocks, name=name) for name in ("wiped", "wrote"))
        with m.If(self.start):
            m.d.sync += receiving.eq(EVENT)
        with m.Elif(receiving.any()):
            m.d.sync += receiving.eq(receiving - 1)
        with m.If(self.advance & self.read):
            m.d.sync += reading.eq(AxonStage.LATENCY)
        with m.Elif(self.advance & reading.any()):
            m.d.sync += reading.eq(reading - 1)
        with m.If(self.wipe):
            m.d.sync += wiped.bit_select(self.wipe_block, 1).eq(1)
        with m.If(self.write):
            m.d.sync += wrote.bit_select(self.block, 1).eq(1)
        with m.If(self.tick):
            m.d.sync += [wiped.eq(0), wrote.eq(0)]
        written = wrote.bit_select(self.block, 1)
        still = Cat(self.neuron, self.age, self.axonal, self.resolution)
        m.d.comb += [
            Assume((self.block < blocks) & (self.wipe_block < blocks)),
            Assume(self.start + self.read + self.wipe + self.tick + self.load <= 1),
            Assume(~(self.read | self.wipe | self.tick | self.load) | ~receiving.any()),
            Assume(~(self.start | self.wipe | self.tick | self.load | self.write) | ~reading.any()),
            Assume(~(self.start | self.read) | ~wiped.any()),
            Assume(~self.tick | (wiped.all() & wrote.all() & ~self.write)),
            Assume(~self.write | (~written & ~self.read)),
            # What is read of this tick has been written in it.
            Assume(~(self.read & self.neuron & ~self.age) | wrote.all()),
            Assume(~reading.any() | (still == after(m, still, "still"))),
            Assert(~self.axon.busy | receiving.any()),
        ]

    def _ago(self, m: Module):
        """Load delays while nothing moves; return how many ticks ago a read looks."""
        delays = Array(Signal.like(self.delayed, name=f"delay_{n}") for n in range(WORDS))
        loaded = Array(Signal(name=f"loaded_{n}") for n in range(WORDS))
        port = self.axon.axonal_delays
        m.d.comb += [
            port.write.eq(self.load),
            port.address.eq(self.at),
            port.data[0].delay.eq(self.delayed),
        ]
        with m.If(self.load):
            m.d.sync += [delays[self.at].eq(self.delayed), loaded[self.at].eq(1)]
        ago = Signal(range(4 * STEPS))
        m.d.comb += [
            ago.eq(self.age + Mux(self.axonal, delays[self.delay] << self.resolution, 0)),
            Assume(~(self.read & self.axonal) | loaded[self.delay]),
            # An image with a longer delay than the histories is refused.
            Assume(self.resolution < 2),
            Assume(~self.read | (ago < STEPS)),
        ]
        return ago

    def _follow(self, m: Module, ago) -> None:
        """Add up what the source emits in the marked tick, and compare where that is read."""
        count = self.chip.axon.count
        following, since, total = Signal(), Signal(range(STEPS + 1)), Signal(shape(count))
        began = after(m, Const(1), "began")
        m.d.comb += Assume(~began | (self.mark == after(m, self.mark, "kept")))
        now = following & (since == 0)
        with m.If(self.tick & following & (since < STEPS)):
            m.d.sync += since.eq(since + 1)
        with m.If(self.tick & self.marked):
            m.d.sync += following.eq(1)
        more, most = total + self.count, 1 if self.mark_neuron else count.max
        if self.mark_neuron:
            with m.If(now & self.write & (self.block == self.mark // LANES)):
                m.d.sync += total.eq(self.spikes.bit_select(self.mark % LANES, 1))
        else:
            with m.If(now & self.start & ~self.axon.busy & (self.channel == self.mark)):
                m.d.sync += total.eq(Mux(more > count.max, count.max, more))
        here = (self.source == self.mark) & (self.neuron == self.mark_neuron)
        reads = self.read & following & here & (ago == since)
        clocks = AxonStage.LATENCY
        certain = after(m, reads, "certain", clocks, self.advance)
        value = after(m, total, "value", clocks, self.advance)
        far = after(m, since == STEPS - 1, "far", clocks, self.advance)
        m.d.comb += [
            Assert(~certain | (self.axon.o_valid & (self.axon.o_count == value))),
            Cover(certain & far & (value == most)),
        ]
