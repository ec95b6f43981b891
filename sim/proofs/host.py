"""What the host has written it reads back, followed through one address that the solver marks."""

from dataclasses import replace

from amaranth.hdl import Assert, Assume, Const, Cover, Module, ResetSignal, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, connect, flipped

from datapath import Chip, Format
from datapath.memory import BUS, addresses, control
from datapath.timing import READ
from rtl.memory import HostBus, HostPort, after, index, loaded
from sim.proofs.ring import small


def two_beats() -> Chip:
    """Return a chip of few words, some of them of two beats."""
    chip = small()
    axon = replace(chip.axon, delays=0)
    wide = Format(BUS - 2)
    lif, readout = replace(chip.lif, v=wide), replace(chip.readout, score=wide)
    return replace(chip, populations=2, projections=3, axon=axon, lif=lif, readout=readout)


class HostProof(wiring.Component):
    """Let a host write and read the memories of a chip that runs now and then.

    Members
    -------
    host : as HostBus; what is an input there is any
    idle : In(any)
    reads, reads_at : In(any)
        The chip itself reads its memories, not in the clock after one with `idle`.
    mark : In(any)
        The address that is followed, always the same.
    """

    def __init__(self) -> None:
        self.chip = two_beats()
        self.bus = HostBus(self.chip)
        members = HostPort(self.chip).members
        most = max(spec.words for spec in self.bus.specs)
        super().__init__(
            {
                "host": In(HostPort(self.chip)),
                "idle": In(1),
                "reads": In(1),
                "reads_at": In(index(most)),
                "mark": In(members["address"].shape),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.bus = bus = self.bus
        connect(m, flipped(self.host), bus.host)
        was_idle, was = after(m, self.idle, "was_idle"), after(m, self.mark, "was")
        began = after(m, Const(1), "began")
        m.d.comb += [
            Assume(~ResetSignal()),
            Assume(~began | (self.mark == was)),
            bus.idle.eq(self.idle),
        ]
        enable = self.reads & ~self.idle & ~was_idle
        for spec in bus.specs:
            loaded(m, spec, getattr(bus, spec.name), self.reads_at, enable)
        mask, first = self._place(m)
        known, value, refused = self._model(m, first)
        host = self.host
        read = host.read & self.idle
        asked = after(m, read & (host.address == self.mark), "asked", READ)
        sure = after(m, known | (mask == 0), "sure", READ)
        right = after(m, value & mask, "right", READ)
        m.d.comb += [
            Assert(~(asked & sure) | (host.result == right)),
            Assert(after(m, read, "read", READ) | (host.result == 0)),
            Cover(asked & sure & first & refused & (host.result != 0)),
        ]
        return m

    def _place(self, m: Module):
        """Return which bits there are at the mark, and whether it is the first of two beats."""
        mask, first = Signal(BUS), Signal()
        base = addresses(self.chip)
        with m.Switch(self.mark):
            for n, field in enumerate(control(self.chip)):
                with m.Case(n):
                    m.d.comb += mask.eq((1 << field.fmt.width) - 1)
            for spec in self.bus.specs:
                assert spec.beats <= 2
                for beat in range(spec.beats):
                    width = min(spec.width - beat * BUS, BUS)
                    places = range(spec.words)
                    with m.Case(*(base[spec.name] + n * spec.stride + beat for n in places)):
                        m.d.comb += [mask.eq((1 << width) - 1), first.eq(beat < spec.beats - 1)]
        return mask, first

    def _model(self, m: Module, first):
        """Return whether it is known what is at the mark, what it is, and whether it was attacked.

        first : the mark is the first of two beats, which are written with the second, if that
        comes next.
        """
        host = self.host
        known, value, refused = Signal(), Signal(BUS), Signal()
        last_at, last = Signal.like(host.address), Signal(BUS)
        written, here = host.write & self.idle, host.address == self.mark
        with m.If(written):
            m.d.sync += [last_at.eq(host.address), last.eq(host.data)]
        with m.If(written & first & (host.address == self.mark + 1)):
            m.d.sync += [known.eq(last_at == self.mark), value.eq(last)]
        with m.Elif(written & ~first & here):
            m.d.sync += [known.eq(1), value.eq(host.data)]
        with m.If(known & host.write & ~self.idle & (host.address == self.mark + 1)):
            m.d.sync += refused.eq(1)
        return known, value, refused
