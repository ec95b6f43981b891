"""The Mailbox answers every request once, and keeps to the rules of streams on every side."""

from amaranth.hdl import Assert, Assume, Cover, Module, ResetSignal, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import Out, connect, flipped

from datapath.timing import READ
from rtl.mailbox import Mailbox
from sim.proofs.ring import small


def holds(m: Module, name: str, stream):
    """Return whether `stream` still shows what it showed in the last clock and nobody took."""
    waited = Signal(name=f"{name}_waited")
    shown = Signal.like(stream.payload.as_value(), name=f"{name}_shown")
    m.d.sync += [
        waited.eq(stream.valid & ~stream.ready),
        shown.eq(stream.payload.as_value()),
    ]
    return ~waited | (stream.valid & (stream.payload.as_value() == shown))


class MailboxProof(wiring.Component):
    """Let a Mailbox answer any requests, with any chip behind it that keeps to its streams.

    Members
    -------
    ports : as Mailbox; what is an input there is any
    """

    def __init__(self) -> None:
        self.mailbox = Mailbox(small())
        super().__init__({"ports": Out(self.mailbox.signature)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.mailbox = mailbox = self.mailbox
        ports, core = self.ports, mailbox.core
        connect(m, flipped(ports), mailbox)
        requests, answers = ports.requests, ports.answers
        asked = Signal()
        # Clocks from a request to its answer, whether somebody waits for that or not.
        clocks = Signal(range(READ + 3))
        with m.If(requests.valid & requests.ready):
            m.d.sync += [asked.eq(1), clocks.eq(0)]
        with m.Elif(answers.valid & answers.ready):
            m.d.sync += asked.eq(0)
        with m.Elif(~answers.valid):
            m.d.sync += clocks.eq(clocks + 1)
        m.d.comb += [
            Assume(~ResetSignal()),
            Assume(holds(m, "i", ports.i) & holds(m, "core_o", core.o)),
            # A command is taken when the END of the last one has been.
            Assume(~core.i.ready | ~core.o.valid),
            Assert(holds(m, "answers", answers) & holds(m, "o", ports.o)),
            Assert(requests.ready == ~asked),
            Assert(~answers.valid | asked),
            Assert(~asked | answers.valid | (clocks <= READ)),
            Cover(answers.valid & answers.ready & ~answers.payload.refused & (clocks == READ)),
        ]
        return m
