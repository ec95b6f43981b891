"""`rtl.axi` against the emulator, driven by the bus models of cocotbext-axi.

An image is loaded and read back over AXI4-Lite, recordings go through AXI4-Stream, then through
registers alone; chips that infer and chips that learn, without and with random stalls.  Every
result, every clock, and every word that learning leaves is compared.
"""

import itertools
import logging
import random
from dataclasses import replace
from typing import Any

import cocotb
import numpy as np
import pytest
from cocotb.triggers import RisingEdge
from cocotbext.axi import (
    AxiLiteBus,
    AxiLiteMaster,
    AxiResp,
    AxiStreamBus,
    AxiStreamSink,
    AxiStreamSource,
)

from datapath import Format, Readout, mailbox, ports
from datapath.catalog import TINY, TINY_LEARN
from datapath.mailbox import DEPTH, MAGIC
from datapath.memory import addresses, control, memories, numbers
from datapath.ports import Command
from datapath.timing import EVENT, clear_cycles
from emulator.chip import run
from emulator.learn import learn
from rtl.axi import BYTES, AxiChip
from rtl.memory import learn_of
from sim.compare import RECORDED
from sim.images import random_counts, random_image, random_labels, random_learning
from sim.rack import start
from sim.results import expected_payloads
from sim.runner import simulate
from sim.trace import beats, program

CHIPS = {
    "tiny": TINY,
    # A result takes two words.
    "wide": replace(TINY, readout=Readout(score=Format(40), classes=3)),
    # Small, because its memories are read and written again and again.
    "learns": replace(
        TINY_LEARN,
        channels=4,
        neurons=8,
        populations=3,
        projections=4,
        synapses=32,
        axon=replace(TINY_LEARN.axon, channel_steps=8, neuron_steps=8, delays=4),
        synapse=replace(TINY_LEARN.synapse, slots=8, dendritic=0),
        learn=replace(learn_of(TINY_LEARN), steps=8, taps=1, entries=4),
        readout=Readout(score=Format(20), classes=3),
    ),
}
RECORDINGS = 2
PATIENCE = 50
"""Clocks between two looks whether the chip is done."""


class Host:
    """Masters and sinks of one AxiChip."""

    def __init__(self, dut) -> None:
        # They would tell of every single transfer.
        for name in ("s_axi", "s_axis", "m_axis"):
            logging.getLogger(f"cocotb.{dut._name}.{name}").setLevel(logging.WARNING)
        bus = AxiLiteBus.from_prefix(dut, "s_axi")
        self.lite = AxiLiteMaster(bus, dut.clk, dut.rst)
        self.source = AxiStreamSource(AxiStreamBus.from_prefix(dut, "s_axis"), dut.clk, dut.rst)
        self.sink = AxiStreamSink(AxiStreamBus.from_prefix(dut, "m_axis"), dut.clk, dut.rst)
        self.dut = dut
        self.accepted: list[int] = []
        self.strange: list[str] = []

    def stall(self, seed: int) -> None:
        """Let every channel pause at random."""
        write, read = self.lite.write_if, self.lite.read_if
        channels = [self.source, self.sink, read.ar_channel, read.r_channel]
        channels += [write.aw_channel, write.w_channel, write.b_channel]
        for n, channel in enumerate(channels):
            coin = random.Random(f"{seed} {n}")
            channel.set_pause_generator(coin.random() < 0.5 for _ in itertools.count())

    async def read(self, address: int) -> int | None:
        """Return a word; None if the chip refuses."""
        got = await self.lite.read(int(address) * BYTES, BYTES)
        return int.from_bytes(got.data, "little") if got.resp == AxiResp.OKAY else None

    async def write(self, address: int, word: int) -> bool:
        """Write a word; return whether the chip takes it."""
        got = await self.lite.write(int(address) * BYTES, int(word).to_bytes(BYTES, "little"))
        return bool(got.resp == AxiResp.OKAY)

    async def watch(self) -> None:
        """Note the clock of every command that is accepted, and answers that do not wait."""
        edge, dut = RisingEdge(self.dut.clk), self.dut
        held: dict[str, int | None] = {}
        answers = {
            "s_axi_b": (dut.s_axi_bvalid, dut.s_axi_bready, dut.s_axi_bresp),
            "s_axi_r": (dut.s_axi_rvalid, dut.s_axi_rready, dut.s_axi_rdata),
            "m_axis_t": (dut.m_axis_tvalid, dut.m_axis_tready, dut.m_axis_tdata),
        }
        for clock in itertools.count():
            await edge
            if dut.s_axis_tvalid.value and dut.s_axis_tready.value:
                self.accepted.append(clock)
            for name, (valid, ready, payload) in answers.items():
                shown = int(payload.value) if valid.value else None
                if name in held and shown != held[name]:
                    self.strange.append(f"{name} changes before it is taken")
                held.pop(name, None)
                if shown is not None and not ready.value:
                    held[name] = shown


async def _write(host, given):
    """Write an image in bursts, as many as there are gaps between its addresses."""
    for address, data in _bursts(given):
        got = await host.lite.write(address * BYTES, data.tobytes())
        assert got.resp == AxiResp.OKAY, f"{len(data)} words at {address}: a write is refused"


async def _read(host, given):
    """Read an image back."""
    words = []
    for address, data in _bursts(given):
        got = await host.lite.read(address * BYTES, len(data) * BYTES)
        assert got.resp == AxiResp.OKAY, f"{len(data)} words at {address}: a read is refused"
        words.append(np.frombuffer(got.data, "<u4"))
    return np.concatenate(words)


def _bursts(given):
    address, data = given["address"], given["data"]
    starts = [0, *np.flatnonzero(np.diff(address) != 1) + 1, len(address)]
    return [(int(address[n]), data[n:end].astype("<u4")) for n, end in itertools.pairwise(starts)]


async def _done(host, at):
    """Whether every command has been run."""
    for _ in range(PATIENCE):
        await RisingEdge(host.dut.clk)
    # In this order, as reading takes time.
    sent = host.source.idle()
    return await host.read(at["idle"]) and sent


async def _stream(host, given, at):
    """Send all commands as one packet; return the words of all results."""
    host.accepted.clear()
    host.source.send_nowait(given["commands"].tobytes())
    while not await _done(host, at):
        pass
    return _results(host)


async def _stream_and_meddle(host, given, at):
    """Read and rewrite memories meanwhile, which happens between two commands or not at all."""
    host.source.send_nowait(given["commands"].tobytes())
    coin, refused = random.Random(1), 0
    while not (host.source.idle() and await host.read(at["idle"])):
        address, data = given["fixed"][coin.randrange(len(given["fixed"]))].tolist()
        got = await host.read(address)
        assert got in (None, data), f"address {address} reads {got}, not {data}"
        refused += (got is None) + (not await host.write(address, data))
    assert refused, "no access to a memory is refused although commands run"
    return _results(host)


def _results(host):
    """Return what the sink has taken, a packet for every END."""
    assert host.sink.idle(), "the last packet has no end"
    packets = [host.sink.recv_nowait() for _ in range(host.sink.count())]
    size = host.sink.byte_lanes
    words = [np.frombuffer(bytes(packet.tdata), "<u4") for packet in packets]
    ends = [len(packet) // (size // BYTES) for packet in words]
    return np.concatenate(words).reshape(-1, size // BYTES), np.cumsum(ends) - 1


async def _take(host, at, beats):
    """Take the oldest result."""
    return [await host.read(at["result"] + beat) for beat in range(beats)]


async def _registers(host, given, at, beats, fills):
    """Run all commands over AXI4-Lite alone; take results at the end, or if nothing else goes."""
    await host.write(at["clocks"], 0)
    taken = []
    for command in given["commands"]:
        while not await host.read(at["room"]):
            assert await host.read(at["waiting"]) == DEPTH
            taken.append(await _take(host, at, beats))
        for beat, word in enumerate(command):
            assert await host.write(at["command"] + beat, word)
    while not await _done(host, at):
        if fills and await host.read(at["waiting"]):
            taken.append(await _take(host, at, beats))
    clocks = await host.read(at["clocks"])
    for left in range(await host.read(at["waiting"]), 0, -1):
        assert await host.read(at["waiting"]) == left
        taken.append(await _take(host, at, beats))
    assert await host.read(at["waiting"]) == 0
    assert await host.read(at["result"]) is None, "a result that is not there is not refused"
    return np.array(taken, np.uint32), clocks


async def _takes_turns(host, given):
    """Ask for a read and a write in one clock: the one goes first that did not go last."""
    where, word = given["address"][0], given["data"][0]
    await host.read(where)
    read = cocotb.start_soon(host.read(where))
    await host.write(where, word)
    assert not read.done(), "a read goes before a write after a read"
    await read
    await host.write(where, word)
    write = cocotb.start_soon(host.write(where, word))
    await host.read(where)
    assert not write.done(), "a write goes before a read after a write"
    await write


async def _refusals(host, given, at):
    """Ask for what there is not, and for more than there is room for."""
    assert await host.read(at["magic"]) == MAGIC
    for name in ("magic", "chip", "idle", "room", "waiting", "result"):
        assert not await host.write(at[name], 1), f"{name} can be written"
    for where in (at["command"], at["clocks"] + 1, at["result"] + mailbox.WINDOW):
        assert await host.read(where) is None, f"{where} can be read"
    part = await host.lite.write(int(given["address"][0]) * BYTES, b"\0")
    assert part.resp == AxiResp.SLVERR, "a write of one byte is not refused"
    assert await host.read(given["address"][0]) == given["data"][0]
    # A chip whose END is not taken takes no command, and none is lost.
    host.sink.pause = True
    tick = given["commands"][given["op"] == Command.TICK][0]
    event = given["commands"][given["op"] == Command.EVENT][0]
    host.source.send_nowait(tick.tobytes())
    while not host.dut.m_axis_tvalid.value:
        await RisingEdge(host.dut.clk)
    for n in range(DEPTH + 1):
        for beat, word in enumerate(event):
            done = await host.write(at["command"] + beat, word)
        assert done == (n < DEPTH), f"command {n} of {DEPTH}: taken is {done}"
        room = await host.read(at["room"])
        assert room == max(DEPTH - 1 - n, 0), f"room for {room} behind command {n} of {DEPTH}"
    assert await host.read(at["idle"]) == 0
    assert await host.read(given["address"][0]) is None
    host.sink.pause = False
    while not await _done(host, at):
        pass
    assert await host.read(at["room"]) == DEPTH
    host.sink.clear()
    # Commands of both ways at once: each runs, and runs once.
    await host.write(at["clocks"], 0)
    host.source.send_nowait(event.tobytes() * 40)
    for _ in range(20):
        for beat, word in enumerate(event):
            assert await host.write(at["command"] + beat, word)
    while not await _done(host, at):
        pass
    clocks = await host.read(at["clocks"])
    assert clocks == 60 * EVENT, f"60 events take {clocks} clocks"


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def play(dut):
    """Play what `given.npz` says, and leave what was seen in `seen.npz`."""
    with np.load("given.npz") as file:
        given = dict(file)
    at = {name: int(where) for name, where in zip(given["names"], given["at"], strict=True)}
    host = Host(dut)
    await start(dut)
    cocotb.start_soon(host.watch())
    seen: dict[str, Any] = {"chip": await host.read(at["chip"])}
    await _write(host, given)
    seen["read"] = await _read(host, given)
    await host.write(at["clocks"], 0)
    seen["streamed"], seen["ends"] = await _stream(host, given, at)
    seen["accepted"], seen["clocks"] = [*host.accepted], await host.read(at["clocks"])
    seen["left"] = await _read(host, given)
    await _write(host, given)
    registers = await _registers(host, given, at, seen["streamed"].shape[1], bool(given["fills"]))
    seen["registers"], seen["registers_clocks"] = registers
    await _write(host, given)
    await _takes_turns(host, given)
    await _refusals(host, given, at)
    host.stall(int(given["seed"]))
    writes = cocotb.start_soon(_write(host, given))
    seen["reread"] = await _read(host, given)
    await writes
    seen["stalled"], _ = await _stream_and_meddle(host, given, at)
    seen["left_stalled"] = await _read(host, given)
    assert not host.strange, host.strange[0]
    np.savez("seen.npz", allow_pickle=False, **{name: np.array(got) for name, got in seen.items()})


def _lesson(chip, steps):
    """Return an image whose populations all send, counts, labels."""
    rng = np.random.default_rng(0)
    image = random_image(rng, chip, steps)
    populations = tuple(replace(p, emit=True) for p in image.populations)
    image = replace(image, populations=populations)
    counts = np.minimum(random_counts(rng, image, RECORDINGS), chip.axon.count.max)
    counts[0] = rng.integers(0, 2, counts[0].shape)
    if chip.learn is None:
        return image, counts, None
    return random_learning(rng, image), counts, random_labels(rng, image, RECORDINGS)


def _fixed(image, address, data):
    """Return address and data of every word of one beat that learning does not change."""
    names = {"populations", "projections", "neurons"}
    if image.chip.learn is None:
        names |= {memory.name for memory in memories(image.chip)}
    parts = [np.stack([address, data], 1)[: len(control(image.chip))]]
    for memory in memories(image.chip):
        if not memory.state and memory.beats == 1 and memory.name in names:
            first = addresses(image.chip)[memory.name]
            inside = (address >= first) & (address < first + memory.span)
            parts.append(np.stack([address, data], 1)[inside])
    return np.concatenate(parts)


@pytest.mark.parametrize(("name", "steps"), [("tiny", 20), ("wide", 5), ("learns", 5)])
def test_axi(name, steps, tmp_path):
    chip = CHIPS[name]
    image, counts, labels = _lesson(chip, steps)
    asked = program(image, counts, labels=labels, update=labels is not None)
    expected = run(image, counts, record=RECORDED)
    learned = None if labels is None else learn(image, counts, labels, batch=RECORDINGS)
    want = expected_payloads(image, asked, expected, learned)
    assert (len(want.op) > DEPTH) == (name == "tiny")
    at = mailbox.addresses(chip)
    np.savez(
        tmp_path / "given.npz",
        allow_pickle=False,
        address=asked.address,
        data=asked.data,
        commands=asked.commands,
        op=asked.op,
        fixed=_fixed(image, asked.address, asked.data),
        names=[*at],
        at=[*at.values()],
        fills=len(want.op) > DEPTH,
        seed=1,
    )
    simulate(AxiChip(chip), __name__, tmp_path)
    with np.load(tmp_path / "seen.npz") as file:
        seen = dict(file)
    assert seen["chip"] == mailbox.chip_word(chip)
    assert np.array_equal(seen["read"], asked.data)
    assert np.array_equal(seen["reread"], asked.data)
    for way in ("streamed", "registers", "stalled"):
        shown = numbers(mailbox.payload(ports.result(chip)), seen[way])
        for field, column in shown.items():
            got, right = column[:, 0], getattr(want, field)
            assert np.array_equal(got, right), f"{way}: {field} {got}, emulator {right}"
    assert np.array_equal(seen["ends"], np.flatnonzero(want.op == ports.Result.END))
    cycles = _cycles(asked, expected, learned, chip)
    got = np.diff(seen["accepted"])
    assert np.array_equal(got, cycles[:-1]), f"clocks {got}, emulator {cycles[:-1]}"
    assert seen["clocks"] == cycles.sum()
    if len(want.op) <= DEPTH:
        assert seen["registers_clocks"] == cycles.sum()
    left = asked.data if learned is None else beats(learned.image)[1]
    for way in ("left", "left_stalled"):
        bad = np.flatnonzero(seen[way] != left)
        assert not bad.size, f"{way}: address {asked.address[bad[0]]}"


def _cycles(asked, expected, learned, chip):
    """Return the clocks of every command."""
    cycles = np.where(asked.op == Command.CLEAR, clear_cycles(chip), EVENT)
    tick = asked.op == Command.TICK
    cycles[tick] = expected.cycles[asked.recording[tick], asked.tick[tick]]
    if learned is not None:
        learns = asked.op == Command.LEARN
        cycles[learns] = learned.learn_cycles[asked.recording[learns]]
        cycles[asked.op == Command.UPDATE] = learned.update_cycles
    return cycles
