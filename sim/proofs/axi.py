"""Every AXI transfer is held, under way or answered, and answered once."""

from amaranth.hdl import Assert, Assume, Cat, Cover, Module, Mux, ResetSignal, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import Out, connect, flipped
from amaranth.utils import exact_log2

from datapath import ports
from datapath.timing import READ
from rtl.axi import BYTES, OKAY, SLVERR, AxiChip
from sim.proofs.mailbox import holds
from sim.proofs.ring import small

SLOWEST = 2 * (READ + 4)
"""Clocks in which a request is answered, whatever of the other kind goes before it."""


class AxiProof(wiring.Component):
    """Let an AxiChip serve any masters, with any Mailbox that answers as is claimed of it.

    Members
    -------
    bus : as AxiChip; what is an input there is any
    """

    def __init__(self) -> None:
        self.axi = AxiChip(small())
        super().__init__({"bus": Out(self.axi.signature)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.axi = self.axi
        connect(m, flipped(self.bus), self.axi)
        m.d.comb += Assume(~ResetSignal())
        writing, reading = self._mailbox(m)
        address, word = self._once(m, "aw", "b", writing), self._once(m, "w", "b", writing)
        self._answered(m, "b", address & word)
        self._answered(m, "r", self._once(m, "ar", "r", reading))
        self._stable(m, "b", self.bus.s_axi_bresp)
        self._stable(m, "r", Cat(self.bus.s_axi_rdata, self.bus.s_axi_rresp))
        self._requests(m)
        self._results(m)
        return m

    def _mailbox(self, m: Module):
        """Assume what is claimed of the Mailbox; return whether a write or a read is under way."""
        requests, answers = self.axi.mailbox.requests, self.axi.mailbox.answers
        asked, write = Signal(), Signal()
        clocks = Signal(range(READ + 3))
        given = answers.valid & answers.ready
        with m.If(requests.valid & requests.ready):
            m.d.sync += [asked.eq(1), write.eq(requests.payload.write), clocks.eq(0)]
        with m.Elif(given):
            m.d.sync += asked.eq(0)
        with m.Else():
            m.d.sync += clocks.eq(clocks + 1)
        m.d.comb += [
            Assume(requests.ready == ~asked),
            Assume(~answers.valid | asked),
            Assume(~asked | answers.valid | (clocks <= READ)),
            # The bus asks for nothing else before it has taken the answer.
            Assert(answers.ready == asked),
        ]
        # What the Mailbox said is the response in the next clock.
        said = Signal()
        wrote = Signal()
        kept = Signal.like(answers.payload)
        m.d.sync += [said.eq(given), wrote.eq(write), kept.eq(answers.payload)]
        bus = self.bus
        response = Mux(kept.refused, SLVERR, OKAY)
        m.d.comb += [
            Assert(~(said & wrote) | (bus.s_axi_bvalid & (bus.s_axi_bresp == response))),
            Assert(~(said & ~wrote) | (bus.s_axi_rvalid & (bus.s_axi_rresp == response))),
            Assert(~(said & ~wrote) | (bus.s_axi_rdata == kept.data)),
        ]
        return asked & write, asked & ~write

    def _taken(self, channel: str):
        """Whether a transfer of a channel happens."""
        return getattr(self.bus, f"s_axi_{channel}valid") & getattr(
            self.bus, f"s_axi_{channel}ready"
        )

    def _once(self, m: Module, channel: str, response: str, under_way):
        """Count transfers of a channel without response, and find each; return if there is one."""
        waiting = Signal(range(4), name=f"{channel}_waiting")
        shown = getattr(self.bus, f"s_axi_{response}valid")
        held = ~getattr(self.bus, f"s_axi_{channel}ready")
        m.d.sync += waiting.eq(waiting + self._taken(channel) - self._taken(response))
        m.d.comb += Assert(waiting == held + under_way + shown)
        return waiting.any()

    def _answered(self, m: Module, response: str, waits) -> None:
        """Claim that a response comes in time, whether anybody is ready for it or not."""
        clocks = Signal(range(SLOWEST + 2), name=f"{response}_clocks")
        with m.If(waits & ~getattr(self.bus, f"s_axi_{response}valid")):
            m.d.sync += clocks.eq(clocks + 1)
        with m.Else():
            m.d.sync += clocks.eq(0)
        m.d.comb += Assert(clocks <= SLOWEST)

    def _stable(self, m: Module, channel: str, payload) -> None:
        """Claim that a response stays until it is taken."""
        waited = Signal(name=f"{channel}_waited")
        shown = Signal.like(payload, name=f"{channel}_shown")
        valid = getattr(self.bus, f"s_axi_{channel}valid")
        m.d.sync += [
            waited.eq(valid & ~getattr(self.bus, f"s_axi_{channel}ready")),
            shown.eq(payload),
        ]
        m.d.comb += Assert(~waited | (valid & (payload == shown)))

    def _requests(self, m: Module) -> None:
        """Claim that the Mailbox is asked for the oldest transfer, and that writes are whole."""
        bus, requests = self.bus, self.axi.mailbox.requests
        asks = requests.valid & requests.ready
        for channel, given, write in (
            ("aw", bus.s_axi_awaddr, 1),
            ("w", Cat(bus.s_axi_wdata, bus.s_axi_wstrb), 1),
            ("ar", bus.s_axi_araddr, 0),
        ):
            kept = Signal.like(given, name=f"{channel}_oldest")
            held = ~getattr(bus, f"s_axi_{channel}ready")
            with m.If(self._taken(channel)):
                m.d.sync += kept.eq(given)
            mine = asks & (requests.payload.write == write)
            m.d.comb += Assert(~mine | held)
            if channel == "w":
                whole = kept[len(bus.s_axi_wdata) :].all()
                same = (requests.payload.data == kept[: len(bus.s_axi_wdata)]) & whole
            else:
                same = requests.payload.address == kept[exact_log2(BYTES) :]
            m.d.comb += Assert(~mine | same)
        m.d.comb += Cover(asks & requests.payload.write & bus.s_axi_rvalid)

    def _results(self, m: Module) -> None:
        """Claim that a result stays, and that the END of a command ends a packet."""
        bus, o = self.bus, self.axi.mailbox.o
        waited = Signal()
        shown = Signal.like(bus.m_axis_tdata)
        m.d.sync += [waited.eq(bus.m_axis_tvalid & ~bus.m_axis_tready), shown.eq(bus.m_axis_tdata)]
        m.d.comb += [
            Assume(holds(m, "o", o)),
            Assert(~waited | (bus.m_axis_tvalid & (bus.m_axis_tdata == shown))),
            Assert(bus.m_axis_tlast == (o.payload.op == ports.Result.END)),
        ]
