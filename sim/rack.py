"""Several components side by side in one simulation, and numbers on their packed ports.

Starting a simulator takes longer than most benches run, so a bench puts one block of every kind of
chip on a rack.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import Out
from cocotb.clock import Clock
from cocotb.triggers import RisingEdge

from datapath import Format


class Rack(wiring.Component):
    """The components of `places`, each behind ports of its own name: `name__port`."""

    def __init__(self, places: Mapping[str, wiring.Component]) -> None:
        self.places = places
        super().__init__({name: Out(place.signature) for name, place in places.items()})

    def elaborate(self, platform):
        m = Module()
        for name, place in self.places.items():
            m.submodules[name] = place
            wiring.connect(m, wiring.flipped(getattr(self, name)), place)
        return m


class Ports:
    """The ports of one place: `ports.v` is the handle of `name__v`, looked up once."""

    def __init__(self, dut, name: str) -> None:
        self._dut = dut
        self._name = name

    def __getattr__(self, port: str):
        handle = self._dut[f"{self._name}__{port}"]
        setattr(self, port, handle)
        return handle


async def start(dut) -> RisingEdge:
    """Start the clock, reset, and return the edge to wait for.

    What is read right after an edge is what the edge saw; what is written then, the next one sees.
    """
    edge = RisingEdge(dut.clk)
    dut.rst.value = 1
    Clock(dut.clk, 10, unit="ns").start()
    await edge
    await edge
    dut.rst.value = 0
    return edge


def pack(values: Iterable[int], fmt: Format) -> int:
    """Lay integers in `fmt` side by side, the first least significant."""
    word = 0
    for lane, value in enumerate(values):
        word |= (int(value) & ((1 << fmt.width) - 1)) << (lane * fmt.width)
    return word


def unpack(word: int, fmt: Format, lanes: int) -> list[int]:
    """Take `lanes` integers in `fmt` out of a word."""
    values = [(word >> (lane * fmt.width)) & ((1 << fmt.width) - 1) for lane in range(lanes)]
    return [value - (1 << fmt.width) if value > fmt.max else value for value in values]


async def load(
    edge: RisingEdge, ports: Ports, name: str, words: Iterable[int], address: str = "address"
) -> None:
    """Write packed words into a loaded memory from its first word on, as the host does.

    Through an UpdatePort, `address` is "write_at".
    """
    port = {part: getattr(ports, f"{name}__{part}") for part in ("write", address, "data")}
    getattr(ports, f"{name}__read").value = 0
    port["write"].value = 1
    for at, word in enumerate(words):
        port[address].value, port["data"].value = at, word
        await edge
    port["write"].value = 0


async def look(
    edge: RisingEdge, ports: Ports, name: str, count: int, address: str = "address"
) -> list[int]:
    """Read the first `count` packed words of a loaded memory, as the host does.

    Through an UpdatePort, `address` is "read_at", and a word comes a clock later.
    """
    clocks = 1 if address == "address" else 2
    port = {part: getattr(ports, f"{name}__{part}") for part in ("read", address, "word")}
    words = []
    port["read"].value = 1
    for at in range(count + clocks):
        port[address].value = min(at, count - 1)
        await edge
        if at >= clocks:
            words.append(int(port["word"].value))
    port["read"].value = 0
    return words
