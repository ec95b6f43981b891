"""`rtl.uart`: bytes at other speeds, damaged requests, and an image loaded and run over a line.

Of every damaged request the chip has to say that it was damaged, and do nothing.
"""

import gc
import itertools

import cocotb
import numpy as np
import pytest
from cocotb.triggers import FallingEdge, First, RisingEdge, Timer

from datapath import mailbox, ports, serial
from datapath.catalog import TINY_SHIFT
from datapath.mailbox import MAGIC
from datapath.memory import addresses, numbers
from datapath.serial import ANSWER, BITS, WORDS, Op, Status
from emulator.chip import run
from rtl.uart import FEWEST, UartChip, UartReceiver
from sim.compare import RECORDED
from sim.images import random_counts, random_image
from sim.rack import Ports, Rack, start
from sim.results import expected_payloads
from sim.runner import simulate
from sim.trace import program

CHIP = TINY_SHIFT
CLOCK_NS = 10
SLOW = 16
"""Clocks of a bit of the receiver whose tolerance is measured."""

SILENCE = 24
PATIENCE = 5000
"""Bits of time after which there is no answer: the longest request takes half of them."""


class Line:
    """The host's end of a line, bit by bit."""

    def __init__(self, ports, divisor: int) -> None:
        self.rx = ports.rx
        self.ports = ports
        self.rx.value = 1
        self.bit = divisor * CLOCK_NS
        self.tag = 0

    async def start(self, dut) -> RisingEdge:
        """Reset the chip, and leave the edges of the clock: they are none of the line."""
        edge = await start(dut)
        await Timer(CLOCK_NS // 3, "ns")
        return edge

    async def send(self, data: bytes, *, speed: int = 100, stop: int = 1) -> None:
        """Send bytes; speed : percent of a bit's time that a bit takes.  stop : its stop bit."""
        time = Timer(self.bit * speed // 100, "ns")
        for byte in data:
            for bit in (0, *((byte >> n) & 1 for n in range(BITS)), stop):
                self.rx.value = bit
                await time
            self.rx.value = 1

    async def receive(self) -> int:
        """Return the next byte, -1 if none comes for long."""
        await First(FallingEdge(self.ports.tx), Timer(self.bit * PATIENCE, "ns"))
        if self.ports.tx.value:
            return -1
        byte = 0
        await Timer(self.bit * 3 // 2, "ns")
        for n in range(BITS):
            byte |= int(self.ports.tx.value) << n
            await Timer(self.bit, "ns")
        assert self.ports.tx.value == 1, "a byte has no stop bit"
        return byte

    async def answer(self, op: Op) -> serial.Answer:
        """Return an answer to a request of `op`."""
        head = [await self.receive() for _ in range(ANSWER)]
        assert -1 not in head, f"no answer: {head}"
        tail = [await self.receive() for _ in range(serial.rest(bytes(head), op))]
        assert -1 not in tail, f"half an answer: {head} {tail}"
        return serial.answer(bytes(head + tail))

    def request(self, op, address, count, *, span=0, words=()) -> bytes:
        """Make a request with the next tag."""
        self.tag = self.tag % 255 + 1
        return serial.request(op, address, count, span=span, tag=self.tag, words=words)

    async def ask(self, op, address, count, *, span=0, words=()):
        """Send a request, and return status, words done, words read of the answer."""
        task = cocotb.start_soon(self.answer(op))
        await self.send(self.request(op, address, count, span=span, words=words))
        got = await task
        assert got.tag == self.tag, f"the answer has tag {got.tag}, not {self.tag}"
        return got.status, got.done, list(got.words)

    async def read(self, address, count, *, span=0):
        status, done, words = await self.ask(Op.READ, address, count, span=span)
        return status, words[:done]

    async def write(self, address, words, *, span=0):
        status, done, _ = await self.ask(Op.WRITE, address, len(words), span=span, words=words)
        return status, done


@cocotb.test()
async def takes_bytes_of_other_speeds(dut):
    ports = Ports(dut, "receiver")
    line, came = Line(ports, SLOW), []
    edge = await line.start(dut)

    async def watch():
        while True:
            await edge
            if ports.valid.value or ports.error.value:
                came.append(-1 if ports.error.value else int(ports.byte.value))

    cocotb.start_soon(watch())
    rng = np.random.default_rng(0)
    data = bytes([0, 255, 0x55, 0xAA, 1, 0x80, *rng.integers(0, 256, 20)])
    for speed in (98, 99, 100, 102, 105):
        came.clear()
        await line.send(data, speed=speed)
        await Timer(line.bit * 2, "ns")
        assert came == [*data], f"{speed} %: {came}"
        assert not ports.busy.value
    # The line is high all the time behind the start bit.
    sending = cocotb.start_soon(line.send(b"\xff"))
    await Timer(line.bit * 5, "ns")
    assert ports.busy.value
    await sending
    await Timer(line.bit * 2, "ns")
    came.clear()
    # Less than half a bit is no byte.
    line.rx.value = 0
    await Timer(line.bit // 3, "ns")
    line.rx.value = 1
    await Timer(line.bit * 12, "ns")
    assert came == []
    await line.send(b"\x41", stop=0)
    await Timer(line.bit, "ns")
    await line.send(b"\x42")
    # A broken line is one mistake, however long.
    line.rx.value = 0
    await Timer(line.bit * 40, "ns")
    assert ports.busy.value
    line.rx.value = 1
    await Timer(line.bit * 2, "ns")
    await line.send(b"\x43")
    await Timer(line.bit * 2, "ns")
    assert came == [-1, 0x42, -1, 0x43], came


@cocotb.test()
async def answers_what_it_is_asked(dut):
    line, at, first = Line(Ports(dut, "chip"), FEWEST), mailbox.addresses(CHIP), mailbox.base(CHIP)
    await line.start(dut)
    head = [MAGIC, mailbox.chip_word(CHIP), 1]
    assert await line.read(at["magic"], 3) == (Status.DONE, head)
    # Every so many words the first address again; at the last words of a request, too.
    assert await line.read(at["magic"], 5, span=2) == (Status.DONE, [*head[:2], *head[:2], MAGIC])
    many = [MAGIC] * WORDS
    assert await line.read(at["magic"], WORDS, span=1) == (Status.DONE, many)
    weights = addresses(CHIP)["weights"]
    assert await line.write(weights, range(1, WORDS + 1)) == (Status.DONE, WORDS)
    assert await line.read(weights, WORDS) == (Status.DONE, [*range(1, WORDS + 1)])
    # A refused word ends a request; what came before it is done.
    assert await line.write(first - 1, [7, 8, 9]) == (Status.REFUSED, 1)
    assert await line.read(at["clocks"], 2) == (Status.REFUSED, [0])
    assert await line.read(at["result"], 1) == (Status.REFUSED, [])
    # An address is that of a word, or it is refused, and no other one in its place.
    for beyond in (first * 2, first * 4 + weights, (1 << 31) + weights, (1 << 32) - 1):
        assert await line.read(beyond, 1) == (Status.REFUSED, []), hex(beyond)
        assert await line.write(beyond, [5]) == (Status.REFUSED, 0), hex(beyond)
    assert await line.read(weights, 1) == (Status.DONE, [1])


@cocotb.test()
async def does_nothing_that_arrives_damaged(dut):
    line, weights = Line(Ports(dut, "chip"), FEWEST), addresses(CHIP)["weights"]
    await line.start(dut)
    assert await line.write(weights, [1]) == (Status.DONE, 1)

    async def refuses(data, *status):
        task = cocotb.start_soon(line.answer(Op.WRITE))
        await line.send(data)
        got = await task
        assert got.status in status, f"{data.hex()}: {got}"
        assert (got.tag, got.done) == (0, 0), f"{data.hex()}: {got}"

    good = line.request(Op.WRITE, weights, 1, words=[2])
    wrong = Status.CHECKSUM, Status.UNKNOWN, Status.BROKEN
    for bit in range(8 * len(good)):
        damaged = int.from_bytes(good, "little") ^ (1 << bit)
        await refuses(damaged.to_bytes(len(good), "little"), *wrong)
    for size in range(1, len(good)):
        await refuses(good[:size], Status.BROKEN)
    for op, count in ((Op.READ, 0), (Op.READ, WORDS + 1), (Op.READ, 255), (Op.READ ^ 1, 1), (0, 1)):
        head = bytes([op, 1, 0, count, 0, 0, 0, 0])
        await refuses(head + serial.checksum(head), Status.UNKNOWN)
    # A byte without a stop bit, at every place.
    for place in range(len(good)):
        task = cocotb.start_soon(line.answer(Op.WRITE))
        await line.send(good[:place])
        await line.send(good[place : place + 1], stop=0)
        await Timer(line.bit, "ns")
        await line.send(good[place + 1 :])
        got = await task
        assert (got.status, got.tag, got.done) == (Status.FRAMING, 0, 0), f"byte {place}: {got}"
    # Bytes that nobody waits for: the request before them is done, and the mistake told.
    task = cocotb.start_soon(line.answer(Op.READ))
    await line.send(line.request(Op.READ, weights, 1) + b"\x55\x55")
    assert (await task) == (Status.DONE, line.tag, 1, (1,))
    assert (await line.answer(Op.READ)).status is Status.EARLY
    assert await line.read(weights, 1) == (Status.DONE, [1])


@cocotb.test()
async def runs_a_recording(dut):
    with np.load("given.npz") as file:
        given = dict(file)
    line, at = Line(Ports(dut, "chip"), FEWEST), mailbox.addresses(CHIP)
    await line.start(dut)
    address, data = given["address"], given["data"]
    starts = [0, *np.flatnonzero(np.diff(address) != 1) + 1, len(address)]
    for low, high in itertools.pairwise(starts):
        for n in range(low, high, WORDS):
            words = data[n : min(n + WORDS, high)].tolist()
            assert await line.write(int(address[n]), words) == (Status.DONE, len(words))
            assert await line.read(int(address[n]), len(words)) == (Status.DONE, words)
    for n in range(0, len(given["commands"]), WORDS):
        words = given["commands"][n : n + WORDS, 0].tolist()
        assert await line.write(at["command"], words, span=1) == (Status.DONE, len(words))
    results = []
    while (await line.read(at["idle"], 1))[1] == [0]:
        pass
    while part := (await line.read(at["result"], WORDS, span=1))[1]:
        results += part
    clocks = (await line.read(at["clocks"], 1))[1]
    np.savez("seen.npz", results=np.array(results, np.uint32), clocks=clocks)


@pytest.mark.filterwarnings("ignore::amaranth.hdl.UnusedElaboratable")
def test_a_bit_has_clocks_enough():
    with pytest.raises(ValueError, match=r"^divisor must be at least 4 clocks per bit, not 3$"):
        UartReceiver(FEWEST - 1)
    # Amaranth misses what was begun and not used: here, and not in the middle of another test.
    gc.collect()


def test_uart(tmp_path):
    rng = np.random.default_rng(1)
    image = random_image(rng, CHIP, 6)
    counts = np.minimum(random_counts(rng, image, 2), CHIP.axon.count.max)
    counts[0] = rng.integers(0, 2, counts[0].shape)
    asked, expected = program(image, counts), run(image, counts, record=RECORDED)
    given = {"address": asked.address, "data": asked.data, "commands": asked.commands}
    np.savez(tmp_path / "given.npz", allow_pickle=False, **given)
    places = {"chip": UartChip(CHIP, FEWEST, SILENCE), "receiver": UartReceiver(SLOW)}
    simulate(Rack(places), __name__, tmp_path)
    with np.load(tmp_path / "seen.npz") as file:
        results, clocks = file["results"], file["clocks"]
    want = expected_payloads(image, asked, expected, None)
    layout = mailbox.payload(ports.result(CHIP))
    assert layout.beats == mailbox.payload(ports.command(CHIP)).beats == 1
    for field, column in numbers(layout, results[:, None]).items():
        got, right = column[:, 0], getattr(want, field)
        assert np.array_equal(got, right), f"{field} {got}, emulator {right}"
    assert clocks == expected.total_cycles.sum()
