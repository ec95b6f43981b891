"""The chip behind a bus of words that answers every access: its memories, and its streams."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import fifo, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from datapath import Chip, mailbox, ports
from datapath.mailbox import DEPTH, MAGIC, WINDOW, Register
from datapath.memory import BUS
from datapath.timing import READ
from rtl.memory import index, select, struct
from rtl.pins import ChipCore


class Mailbox(wiring.Component):
    """Answer one access after another; run commands, from the bus first, else those of `i`.

    Results go back the way their command came: into the register RESULT, or to `o`.

    Members
    -------
    requests : In(stream of `datapath.mailbox.request`)
    answers : Out(stream of `datapath.mailbox.answer`)
        One for every request.  Refused are memories while a command waits or runs, a command that
        finds no room, a result that is not there, and whatever is no register.
    i, o : In(stream), Out(stream)
        Those of `ChipTop`.
    """

    def __init__(self, chip: Chip) -> None:
        self.chip = chip
        self.core = ChipCore(chip)
        members = self.core.signature.members
        super().__init__(
            {
                "requests": In(stream.Signature(struct(mailbox.request(chip)))),
                "answers": Out(stream.Signature(struct(mailbox.answer()))),
                "i": members["i"],
                "o": members["o"],
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.core = self.core
        waiting = [
            fifo.SyncFIFOBuffered(width=len(side.payload.as_value()), depth=DEPTH)
            for side in (self.core.i, self.core.o)
        ]
        m.submodules.commands, m.submodules.results = commands, results = waiting
        held = Signal()
        self._run(m, commands, results, held)
        clocks = Signal(BUS)
        with m.If(~self.core.i.ready | self.core.i.valid):
            m.d.sync += clocks.eq(clocks + 1)
        self._answer(m, commands, results, held, clocks)
        return m

    def _run(self, m: Module, commands, results, held) -> None:
        """Give the chip its commands, none while `held`, and its results their way."""
        core = self.core
        # Whose command runs: its results are taken before the next one is accepted.
        external = Signal()
        mine = commands.r_rdy
        others = self.i.valid & (commands.level == 0)
        m.d.comb += [
            core.i.valid.eq(~held & (mine | others)),
            core.i.payload.as_value().eq(Mux(mine, commands.r_data, self.i.payload.as_value())),
            commands.r_en.eq(~held & core.i.ready),
            self.i.ready.eq(~held & core.i.ready & (commands.level == 0)),
            results.w_data.eq(core.o.payload.as_value()),
            results.w_en.eq(core.o.valid & ~external),
            self.o.payload.eq(core.o.payload),
            self.o.valid.eq(core.o.valid & external),
            core.o.ready.eq(Mux(external, self.o.ready, results.w_rdy)),
        ]
        with m.If(core.i.valid & core.i.ready):
            m.d.sync += external.eq(~mine)

    def _answer(self, m: Module, commands, results, held, clocks) -> None:
        request, host = self.requests.payload, self.core.host
        answer = self.answers.payload
        inside = exact_log2(mailbox.base(self.chip))
        free = self.core.i.ready & (commands.level == 0)
        wait = Signal(index(READ))
        m.d.comb += [
            host.address.eq(request.address),
            host.data.eq(request.data),
        ]
        with m.FSM():
            with m.State("REQUEST"):
                m.d.comb += self.requests.ready.eq(1)
                m.d.sync += [answer.refused.eq(1), answer.data.eq(0), wait.eq(READ - 1)]
                with m.If(self.requests.valid):
                    m.next = "ANSWER"
                    with m.If(request.address[inside:].any()):
                        self._registers(m, commands, results, free, clocks)
                    with m.Elif(free):
                        m.d.comb += [
                            held.eq(1),
                            host.write.eq(request.write),
                            host.read.eq(~request.write),
                        ]
                        m.d.sync += answer.refused.eq(0)
                        with m.If(~request.write):
                            m.next = "READ"
            with m.State("READ"):
                m.d.comb += held.eq(1)
                m.d.sync += wait.eq(wait - 1)
                m.d.sync += answer.data.eq(host.result)
                with m.If(wait == 0):
                    m.next = "ANSWER"
            with m.State("ANSWER"):
                m.d.comb += self.answers.valid.eq(1)
                with m.If(self.answers.ready):
                    m.next = "REQUEST"

    def _registers(self, m: Module, commands, results, free, clocks) -> None:
        """Answer an access behind the memories."""
        request, answer = self.requests.payload, self.answers.payload
        low, high = exact_log2(WINDOW), exact_log2(mailbox.base(self.chip))
        at, window = request.address[:low], request.address[low:high]
        shown = {
            Register.MAGIC: Const(MAGIC, BUS),
            Register.CHIP: Const(mailbox.chip_word(self.chip), BUS),
            Register.IDLE: free,
            Register.ROOM: DEPTH - commands.level,
            Register.WAITING: results.level,
            Register.CLOCKS: clocks,
        }
        number = {name: n for n, name in enumerate(("registers", *mailbox.WINDOWS))}
        with m.Switch(window):
            with m.Case(number["registers"]), m.Switch(at):
                for register, value in shown.items():
                    with m.Case(register):
                        m.d.sync += answer.data.eq(value)
                        if register is not Register.CLOCKS:
                            m.d.sync += answer.refused.eq(request.write)
                            continue
                        m.d.sync += answer.refused.eq(0)
                        with m.If(request.write):
                            m.d.sync += clocks.eq(0)
            with m.Case(number["command"]):
                self._command(m, commands, at)
            with m.Case(number["result"]):
                self._result(m, results, at)

    def _command(self, m: Module, commands, at) -> None:
        """Take a beat of a command, which is sent with its last one."""
        request, answer = self.requests.payload, self.answers.payload
        beats = mailbox.payload(ports.command(self.chip)).beats
        lower = Signal((beats - 1) * BUS)
        whole = Cat(lower, request.data)
        last = at == beats - 1
        with m.If(request.write & (at < beats)):
            m.d.sync += answer.refused.eq(last & ~commands.w_rdy)
            m.d.comb += commands.w_en.eq(last)
            with m.If(~last):
                m.d.sync += lower.eq(whole[BUS:])
        m.d.comb += commands.w_data.eq(whole)

    def _result(self, m: Module, results, at) -> None:
        """Show a beat of the oldest result, which goes with its last one."""
        request, answer = self.requests.payload, self.answers.payload
        beats = mailbox.payload(ports.result(self.chip)).beats
        whole = Cat(results.r_data, Const(0, beats * BUS - len(results.r_data)))
        shown = [whole[n * BUS : (n + 1) * BUS] for n in range(beats)]
        with m.If(~request.write & (at < beats) & results.r_rdy):
            m.d.sync += answer.refused.eq(0)
            m.d.sync += answer.data.eq(select(shown, at))
            m.d.comb += results.r_en.eq(at == beats - 1)
