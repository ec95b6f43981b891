"""The cocotb side of a whole chip: plays programs clock by clock and notes what the ports show.

Reads and writes `programs.npz` and `traces.npz` in the folder it runs in; `harness.cpp` is the same
bench for CXXRTL.
"""

import random

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import RisingEdge

from datapath.timing import READ


class Ports:
    """The ports of the chip, looked up once."""

    def __init__(self, dut) -> None:
        self.edge = RisingEdge(dut.clk)
        self.rst = dut.rst
        self.i_valid, self.i_ready, self.i_payload = dut.i__valid, dut.i__ready, dut.i__payload
        self.o_valid, self.o_ready, self.o_payload = dut.o__valid, dut.o__ready, dut.o__payload
        self.address, self.data = dut.host__address, dut.host__data
        self.write, self.read, self.result = dut.host__write, dut.host__read, dut.host__result
        self.p_valid, self.p_block = dut.probe__valid, dut.probe__block
        self.p_lanes = dut.probe__lanes


def _words(value, count: int) -> np.ndarray:
    """Cut a port's value into 32-bit words, least significant first."""
    return np.frombuffer(int(value).to_bytes(4 * count, "little"), "<u4")


async def _load(ports: Ports, address: np.ndarray, data: np.ndarray) -> None:
    """Write one beat per clock."""
    ports.write.value = 1
    for where, what in zip(address.tolist(), data.tolist(), strict=True):
        ports.address.value, ports.data.value = where, what
        await ports.edge
    ports.write.value = 0


async def _read(ports: Ports, address: np.ndarray) -> list[int]:
    """Read one beat per clock; it is there `READ` clocks later."""
    read: list[int] = []
    if not len(address):
        return read
    ports.read.value = 1
    for clock in range(len(address) + READ):
        if clock < len(address):
            ports.address.value = int(address[clock])
        await ports.edge
        if clock >= READ:
            read.append(int(ports.result.value))
    ports.read.value = 0
    return read


async def _run(ports: Ports, commands: list[int], sizes, stalls: int, limit: int):
    """Offer the commands, take the results; the same clock by clock as `Bench::run`."""
    coin = random.Random(stalls)
    toss = (lambda: coin.random() < 0.5) if stalls else lambda: True
    results: list[np.ndarray] = []
    probes: list[np.ndarray] = []
    cycles: list[int] = []
    offered = waiting = False
    held = None
    at = waited = 0
    while True:
        if not offered and at < len(commands) and toss():
            offered = True
            ports.i_payload.value = commands[at]
        ports.i_valid.value = int(offered)
        takes = not stalls or (waiting and toss())
        ports.o_ready.value = int(takes)
        await ports.edge
        shown = ports.o_payload.value if bool(ports.o_valid.value) else None
        if waiting and shown != held:
            return results, probes, cycles, "changes a payload before it is taken"
        if shown is not None and takes:
            results.append(np.array([(at - 1) & 0xFFFFFFFF, *_words(shown, sizes[0])]))
        waiting = shown is not None and not takes
        held = shown
        if bool(ports.p_valid.value):
            block = int(ports.p_block.value)
            lanes = _words(ports.p_lanes.value, sizes[1])
            probes.append(np.array([(at - 1) & 0xFFFFFFFF, block, *lanes]))
        ready = bool(ports.i_ready.value)
        finished = ready and at == len(commands) and shown is None
        if at and (finished or (ready and offered)):
            cycles.append(waited)
        if finished:
            return results, probes, cycles, ""
        if ready and offered:
            offered = False
            at += 1
            waited = 0
        waited += 1
        if waited > limit:
            return results, probes, cycles, f"is not done after {limit} clocks"


@cocotb.test()
async def play(dut):
    """Play every program of `programs.npz`, one after the other, without a reset in between."""
    with np.load("programs.npz") as asked:
        given = dict(asked)
    ports = Ports(dut)
    ports.write.value = ports.read.value = ports.address.value = ports.data.value = 0
    ports.i_valid.value = ports.o_ready.value = ports.i_payload.value = 0
    ports.rst.value = 1
    Clock(dut.clk, 10, unit="ns").start()
    for _ in range(2):
        await ports.edge
    ports.rst.value = 0
    noted: dict[str, np.ndarray] = {}
    sizes = given["sizes"].tolist()
    for n in range(int(given["programs"])):
        await _load(ports, given[f"address{n}"], given[f"data{n}"])
        noted[f"read{n}"] = np.array(await _read(ports, given[f"address{n}"]), np.uint32)
        payloads = [int.from_bytes(row.tobytes(), "little") for row in given[f"commands{n}"]]
        results, probes, cycles, stopped = await _run(
            ports, payloads, sizes, int(given["stalls"]), int(given["limit"])
        )
        noted[f"found{n}"] = np.array(await _read(ports, given[f"look{n}"]), np.uint32)
        noted[f"results{n}"] = np.array(results, np.uint32).reshape(-1, 1 + sizes[0])
        noted[f"probes{n}"] = np.array(probes, np.uint32).reshape(-1, 2 + sizes[1])
        noted[f"cycles{n}"] = np.array(cycles, np.uint32)
        noted[f"stopped{n}"] = np.array(stopped)
    np.savez("traces.npz", allow_pickle=False, **noted)
