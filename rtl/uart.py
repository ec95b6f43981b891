"""The chip behind a serial line: requests of `datapath.serial`, answered one after the other."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import crc, data, memory, stream, wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out

from datapath import Chip, serial
from datapath.memory import BUS, unsigned
from datapath.serial import BITS, HEADER, WORD, WORDS, Op, Status
from rtl.fixed import shape
from rtl.mailbox import Mailbox
from rtl.memory import index, select

FEWEST = 4
"""Clocks of a bit, at least: what is between its edges and its middle."""


def checker() -> crc.Processor:
    """Return the gates that compute the checksum, a byte per clock."""
    algorithm = crc.Algorithm(
        crc_width=serial.CHECKSUM,
        polynomial=serial.POLYNOMIAL,
        initial_crc=serial.INITIAL,
        reflect_input=False,
        reflect_output=False,
        xor_output=0,
    )
    return algorithm(data_width=BITS).create()


class UartReceiver(wiring.Component):
    """Take bytes off a line, looking at every bit in its middle.

    divisor : clocks of a bit, at least FEWEST.

    Members
    -------
    rx : In(1)
    busy : Out(1)
        The line is low, or a byte is on its way.
    valid, byte : Out(1), Out(a byte)
        A byte has come.
    error : Out(1)
        One has come without its stop bit; the next one begins once the line is high again.
    """

    def __init__(self, divisor: int) -> None:
        if divisor < FEWEST:
            raise ValueError(f"divisor must be at least {FEWEST} clocks per bit, not {divisor}")
        self.divisor = divisor
        super().__init__(
            {"rx": In(1), "busy": Out(1), "valid": Out(1), "byte": Out(BITS), "error": Out(1)}
        )

    def elaborate(self, platform):
        m = Module()
        rx = Signal(init=1)
        m.submodules.synchronizer = FFSynchronizer(self.rx, rx, init=1)
        wait = Signal(index(self.divisor))
        left = Signal(index(BITS))
        m.d.sync += [self.valid.eq(0), self.error.eq(0), wait.eq(wait - 1)]
        with m.FSM() as fsm:
            m.d.comb += self.busy.eq(~fsm.ongoing("IDLE"))
            with m.State("IDLE"), m.If(~rx):
                m.d.sync += wait.eq(self.divisor // 2 - 1)
                m.next = "START"
            with m.State("START"), m.If(wait == 0):
                m.d.sync += [wait.eq(self.divisor - 1), left.eq(BITS - 1)]
                m.next = "BYTE"
                with m.If(rx):
                    m.next = "IDLE"
            with m.State("BYTE"), m.If(wait == 0):
                m.d.sync += [wait.eq(self.divisor - 1), left.eq(left - 1)]
                m.d.sync += self.byte.eq(Cat(self.byte[1:], rx))
                with m.If(left == 0):
                    m.next = "STOP"
            with m.State("STOP"), m.If(wait == 0):
                m.d.sync += [self.valid.eq(rx), self.error.eq(~rx)]
                m.next = "LOW"
                with m.If(rx):
                    m.next = "IDLE"
            with m.State("LOW"), m.If(rx):
                m.next = "IDLE"
        return m


class UartTransmitter(wiring.Component):
    """Put bytes on a line.

    divisor : clocks of a bit.

    Members
    -------
    i : In(stream of bytes)
    tx : Out(1)
    """

    def __init__(self, divisor: int) -> None:
        self.divisor = divisor
        super().__init__({"i": In(stream.Signature(BITS)), "tx": Out(1, init=1)})

    def elaborate(self, platform):
        m = Module()
        wait = Signal(index(self.divisor))
        # The byte and its stop bit; the start bit goes at once.
        left = Signal(index(BITS + 1 + 1))
        behind = Signal(BITS + 1)
        m.d.comb += self.i.ready.eq((left == 0) & (wait == 0))
        with m.If(wait != 0):
            m.d.sync += wait.eq(wait - 1)
        with m.Elif(left != 0):
            m.d.sync += [self.tx.eq(behind[0]), behind.eq(behind[1:])]
            m.d.sync += [left.eq(left - 1), wait.eq(self.divisor - 1)]
        with m.Elif(self.i.valid):
            m.d.sync += [self.tx.eq(0), behind.eq(Cat(self.i.payload, Const(1)))]
            m.d.sync += [left.eq(BITS + 1), wait.eq(self.divisor - 1)]
        return m


class UartBridge(wiring.Component):
    """Turn requests into accesses, and what comes of them into answers.

    A request is done once all of it is there and its checksum is right.  After a mistake the line
    has to be silent for `silence` bits of time; then an answer says what it was.

    divisor, silence : clocks of a bit, and bits.

    Members
    -------
    rx, tx : In(1), Out(1)
    requests, answers : Out(stream), In(stream)
        Those of a Mailbox.
    """

    def __init__(self, mailbox: Mailbox, divisor: int, silence: int) -> None:
        self.divisor = divisor
        self.silence = silence
        members = mailbox.signature.members
        super().__init__(
            {
                "rx": In(1),
                "tx": Out(1, init=1),
                "requests": members["requests"].flip(),
                "answers": members["answers"].flip(),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.receiver = self.receiver = UartReceiver(self.divisor)
        m.submodules.transmitter = self.transmitter = UartTransmitter(self.divisor)
        m.submodules.check = self.check = checker()
        m.submodules.words = words = memory.Memory(shape=BUS, depth=WORDS, init=[])
        self.to, self.back = words.write_port(), words.read_port()
        # The request that is coming in; of the answer only the tag is another.
        bytewise = dict.fromkeys(("op", "tag", "span", "count"), BITS)
        self.head = Signal(data.StructLayout({**bytewise, "address": BUS}))
        self.tag = Signal(BITS)
        self.status = Signal(BITS)
        # Words that are done, and bytes of the header or of a word.
        self.n = Signal(shape(unsigned(WORDS)))
        self.at = Signal(index(HEADER))
        # Where the access is, counted from the first address.
        self.inside = Signal(BITS)
        self.listening = Signal()
        early = Signal()
        receiver = self.receiver
        m.d.comb += [receiver.rx.eq(self.rx), self.tx.eq(self.transmitter.tx)]
        with m.If(~self.listening & (receiver.valid | receiver.error)):
            m.d.sync += early.eq(1)
        silent = self._silent(m)
        with m.FSM():
            self._listen(m, silent)
            self._access(m)
            self._answer(m, early)
            with m.State("SILENCE"):
                m.d.comb += self.listening.eq(1)
                m.d.sync += [self.n.eq(0), self.tag.eq(0), self.at.eq(0), early.eq(0)]
                with m.If(silent):
                    m.next = "STATUS"
        return m

    def _silent(self, m: Module):
        """Return whether nothing has come for `silence` bits of time."""
        most = self.silence * self.divisor
        waited = Signal(index(most + 1))
        with m.If(self.receiver.busy):
            m.d.sync += waited.eq(0)
        with m.Elif(waited != most):
            m.d.sync += waited.eq(waited + 1)
        return waited == most

    def _fail(self, m: Module, status: Status) -> None:
        m.d.sync += self.status.eq(status)
        m.next = "SILENCE"

    def _part(self, m: Module, size: int, silent):
        """Take a part of a request of `size` bytes; return whether this is the clock of the last.

        silent : the line has been silent for too long.
        """
        receiver, check = self.receiver, self.check
        last = receiver.valid & (self.at == size - 1)
        m.d.comb += self.listening.eq(1)
        m.d.comb += [check.valid.eq(receiver.valid), check.data.eq(receiver.byte)]
        with m.If(receiver.valid):
            m.d.sync += self.at.eq(Mux(last, 0, self.at + 1))
        with m.If(receiver.error):
            self._fail(m, Status.FRAMING)
        with m.Elif(silent):
            self._fail(m, Status.BROKEN)
        return last

    def _listen(self, m: Module, silent) -> None:
        """Take a request: header, words, checksum."""
        head, receiver = self.head, self.receiver
        word = Signal((WORD - 1) * BITS)
        m.d.comb += [self.to.addr.eq(self.n), self.to.data.eq(Cat(word, receiver.byte))]
        with m.State("REQUEST"):
            first = self.at == 0
            m.d.comb += self.check.start.eq(first)
            m.d.sync += self.n.eq(0)
            with m.If(receiver.valid):
                m.d.sync += head.as_value().eq(Cat(head.as_value()[BITS:], receiver.byte))
            with m.If(self._part(m, HEADER, silent & ~first)):
                m.next = "HEAD"
        with m.State("HEAD"):
            m.d.comb += self.listening.eq(1)
            writes = head.op == Op.WRITE
            m.next = "CHECKSUM"
            with m.If(writes):
                m.next = "WORDS"
            with m.If((head.count == 0) | (head.count > WORDS) | ~(writes | (head.op == Op.READ))):
                self._fail(m, Status.UNKNOWN)
        with m.State("WORDS"):
            with m.If(receiver.valid):
                m.d.sync += word.eq(Cat(word[BITS:], receiver.byte))
            with m.If(self._part(m, WORD, silent)):
                m.d.comb += self.to.en.eq(1)
                m.d.sync += self.n.eq(self.n + 1)
                with m.If(self.n == head.count - 1):
                    m.next = "CHECKSUM"
        with m.State("CHECKSUM"), m.If(self._part(m, serial.CHECKSUM // BITS, silent)):
            m.next = "CHECKED"
        with m.State("CHECKED"):
            m.d.comb += self.listening.eq(1)
            m.d.sync += [self.n.eq(0), self.inside.eq(0), self.tag.eq(head.tag)]
            m.next = "FETCH"
            with m.If(~self.check.match_detected):
                self._fail(m, Status.CHECKSUM)

    def _access(self, m: Module) -> None:
        """Do one access after the other, up to the first that is refused."""
        head, request, answer = self.head, self.requests.payload, self.answers.payload
        inside = self.inside
        address = Signal(BUS + 1)
        reads = head.op == Op.READ
        m.d.comb += [
            address.eq(head.address + inside),
            request.write.eq(~reads),
            request.address.eq(address),
            request.data.eq(self.back.data),
        ]
        with m.State("FETCH"):
            # A word that was written in the last clock is in the memory now.
            m.next = "ACCESS"
            with m.If(address[len(request.address) :].any()):
                m.d.sync += self.status.eq(Status.REFUSED)
                m.next = "STATUS"
        with m.State("ACCESS"):
            m.d.comb += self.requests.valid.eq(1)
            with m.If(self.requests.ready):
                m.next = "DONE"
        with m.State("DONE"):
            m.d.comb += [self.answers.ready.eq(1), self.to.data.eq(answer.data)]
            with m.If(self.answers.valid & answer.refused):
                m.d.sync += self.status.eq(Status.REFUSED)
                m.next = "STATUS"
            with m.Elif(self.answers.valid):
                m.d.comb += self.to.en.eq(reads)
                m.d.sync += self.n.eq(self.n + 1)
                m.d.sync += inside.eq(Mux(inside + 1 == head.span, 0, inside + 1))
                m.d.sync += self.status.eq(Status.DONE)
                m.next = "FETCH"
                with m.If(self.n == head.count - 1):
                    m.next = "STATUS"

    def _answer(self, m: Module, early) -> None:
        """Send an answer: status, tag, count, words, checksum."""
        sent = Signal.like(self.n)
        m.d.comb += self.back.addr.eq(self.n)
        parts = [self.back.data[n * BITS : (n + 1) * BITS] for n in range(WORD)]
        has_words = (self.head.op == Op.READ) & (self.n != 0)
        with m.State("STATUS"):
            m.d.sync += sent.eq(0)
            m.d.comb += self.check.start.eq(1)
            with m.If(self._send(m, self.status)):
                m.next = "TAG"
        with m.State("TAG"), m.If(self._send(m, self.tag)):
            m.next = "COUNT"
        with m.State("COUNT"):
            m.d.comb += self.back.addr.eq(sent)
            with m.If(self._send(m, self.n)):
                m.next = "HIGH"
                with m.If(has_words):
                    m.next = "DATA"
        with m.State("DATA"):
            m.d.comb += self.back.addr.eq(sent)
            with m.If(self._send(m, select(parts, self.at))):
                m.d.sync += self.at.eq(self.at + 1)
                with m.If(self.at == WORD - 1):
                    m.d.sync += [self.at.eq(0), sent.eq(sent + 1)]
                    with m.If(sent == self.n - 1):
                        m.next = "HIGH"
        # The checksum goes out as it is: what follows does not change it.
        value = self.check.crc
        with m.State("HIGH"), m.If(self._send(m, value[BITS:], summed=False)):
            m.next = "LOW"
        with m.State("LOW"), m.If(self._send(m, value[:BITS], summed=False)):
            m.next = "REQUEST"
            with m.If(early):
                self._fail(m, Status.EARLY)

    def _send(self, m: Module, byte, *, summed: bool = True):
        """Offer a byte; return whether it is taken."""
        i = self.transmitter.i
        m.d.comb += [i.valid.eq(1), i.payload.eq(byte)]
        m.d.comb += [self.check.data.eq(byte), self.check.valid.eq(i.ready & int(summed))]
        return i.ready


class UartChip(wiring.Component):
    """The chip behind a serial line.

    divisor, silence : as of UartBridge.

    Members
    -------
    rx, tx : In(1), Out(1)
    """

    def __init__(self, chip: Chip, divisor: int, silence: int) -> None:
        self.mailbox = Mailbox(chip)
        self.bridge = UartBridge(self.mailbox, divisor, silence)
        super().__init__({"rx": In(1), "tx": Out(1, init=1)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.mailbox = box = self.mailbox
        m.submodules.bridge = bridge = self.bridge
        wiring.connect(m, bridge.requests, box.requests)
        wiring.connect(m, box.answers, bridge.answers)
        m.d.comb += [bridge.rx.eq(self.rx), self.tx.eq(bridge.tx)]
        m.d.comb += [box.i.valid.eq(0), box.o.ready.eq(1)]
        return m
