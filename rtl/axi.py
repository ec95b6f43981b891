"""The chip behind AXI: AXI4-Lite for registers and memories, AXI4-Stream for commands and results.

Ports have the names of the specification (ARM IHI 0022 and 0051), so that tools find the buses.
"""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from datapath import Chip, mailbox, ports
from datapath.memory import BUS
from rtl.mailbox import Mailbox

BYTES = BUS // 8
PROT, RESP = 3, 2
"""Widths that the specification fixes."""

OKAY, SLVERR = 0, 2


class AxiChip(wiring.Component):
    """Answer accesses of 32 bits one after the other, reads and writes in turn.

    A byte address is four times that of `datapath.mailbox`.  What the Mailbox refuses, and a write
    that does not write all four bytes, is answered with SLVERR and does not happen.

    Members
    -------
    s_axi_... : AXI4-Lite, a subordinate
    s_axis_... : AXI4-Stream of commands, a transfer each, in as many words as it needs
    m_axis_... : AXI4-Stream of results, likewise; the END of a command is the last of a packet
    """

    def __init__(self, chip: Chip) -> None:
        self.chip = chip
        self.mailbox = Mailbox(chip)
        address = len(self.mailbox.requests.payload.address) + exact_log2(BYTES)
        command, result = (
            mailbox.payload(side(chip)).beats * BUS for side in (ports.command, ports.result)
        )
        lite = {
            "awaddr": In(address),
            "awprot": In(PROT),
            "awvalid": In(1),
            "awready": Out(1),
            "wdata": In(BUS),
            "wstrb": In(BYTES),
            "wvalid": In(1),
            "wready": Out(1),
            "bresp": Out(RESP),
            "bvalid": Out(1),
            "bready": In(1),
            "araddr": In(address),
            "arprot": In(PROT),
            "arvalid": In(1),
            "arready": Out(1),
            "rdata": Out(BUS),
            "rresp": Out(RESP),
            "rvalid": Out(1),
            "rready": In(1),
        }
        super().__init__(
            {
                **{f"s_axi_{name}": member for name, member in lite.items()},
                "s_axis_tdata": In(command),
                "s_axis_tvalid": In(1),
                "s_axis_tready": Out(1),
                "m_axis_tdata": Out(result),
                "m_axis_tlast": Out(1),
                "m_axis_tvalid": Out(1),
                "m_axis_tready": In(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.mailbox = self.mailbox
        self._streams(m)
        self._lite(m)
        return m

    def _streams(self, m: Module) -> None:
        i, o = self.mailbox.i, self.mailbox.o
        m.d.comb += [
            i.payload.as_value().eq(self.s_axis_tdata),
            i.valid.eq(self.s_axis_tvalid),
            self.s_axis_tready.eq(i.ready),
            self.m_axis_tdata.eq(o.payload.as_value()),
            self.m_axis_tlast.eq(o.payload.op == ports.Result.END),
            self.m_axis_tvalid.eq(o.valid),
            o.ready.eq(self.m_axis_tready),
        ]

    def _hold(self, m: Module, channel: str, payload, done):
        """Keep a transfer of a channel until `done`; return it, and whether it is there."""
        there = Signal(name=f"{channel}_there")
        kept = Signal(payload.shape(), name=f"{channel}_kept")
        ready = getattr(self, f"s_axi_{channel}ready")
        m.d.comb += ready.eq(~there)
        with m.If(ready & getattr(self, f"s_axi_{channel}valid")):
            m.d.sync += [there.eq(1), kept.eq(payload)]
        with m.If(done):
            m.d.sync += there.eq(0)
        return kept, there

    def _lite(self, m: Module) -> None:
        """Give the Mailbox one access after the other, and keep an answer until it is taken."""
        requests, answers = self.mailbox.requests, self.mailbox.answers
        done = Signal()
        read_done = Signal()
        to, to_there = self._hold(m, "aw", self.s_axi_awaddr, done)
        word = Cat(self.s_axi_wdata, self.s_axi_wstrb)
        word, word_there = self._hold(m, "w", word, done)
        source, read = self._hold(m, "ar", self.s_axi_araddr, read_done)
        # After a read, a write goes first, and the other way round.
        turn = Signal()
        reads = Signal()
        whole = word[BUS:].all()
        writes = to_there & word_there & ~self.s_axi_bvalid
        m.d.comb += [
            reads.eq(read & ~self.s_axi_rvalid & (turn | ~writes)),
            requests.payload.write.eq(~reads),
            requests.payload.address.eq(Mux(reads, source, to)[exact_log2(BYTES) :]),
            requests.payload.data.eq(word[:BUS]),
        ]
        with m.If(self.s_axi_bready):
            m.d.sync += self.s_axi_bvalid.eq(0)
        with m.If(self.s_axi_rready):
            m.d.sync += self.s_axi_rvalid.eq(0)
        with m.FSM():
            with m.State("REQUEST"):
                with m.If(reads | (writes & whole)):
                    m.d.comb += requests.valid.eq(1)
                    with m.If(requests.ready):
                        m.d.comb += [read_done.eq(reads), done.eq(~reads)]
                        m.d.sync += turn.eq(~reads)
                        m.next = "ANSWER"
                with m.Elif(writes):
                    m.d.comb += done.eq(1)
                    m.d.sync += [self.s_axi_bvalid.eq(1), self.s_axi_bresp.eq(SLVERR)]
            with m.State("ANSWER"):
                m.d.comb += answers.ready.eq(1)
                response = Mux(answers.payload.refused, SLVERR, OKAY)
                with m.If(answers.valid & turn):
                    m.d.sync += [self.s_axi_bvalid.eq(1), self.s_axi_bresp.eq(response)]
                with m.If(answers.valid & ~turn):
                    m.d.sync += [self.s_axi_rvalid.eq(1), self.s_axi_rresp.eq(response)]
                    m.d.sync += self.s_axi_rdata.eq(answers.payload.data)
                with m.If(answers.valid):
                    m.next = "REQUEST"
