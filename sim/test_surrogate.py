"""`rtl.surrogate` against `emulator.surrogate`: blocks of neurons and both passes of readouts."""

from dataclasses import replace

import cocotb
import numpy as np

from datapath import Format, Readout
from datapath.catalog import TINY_LEARN
from emulator.surrogate import surrogate
from rtl.memory import learn_of
from rtl.surrogate import SurrogateStage
from sim.rack import Ports, Rack, load, look, pack, start, unpack
from sim.runner import simulate
from sim.stimulus import corners, grid, noise

LEARN = learn_of(TINY_LEARN)
CHIPS = {
    "tiny": TINY_LEARN,
    "one_lane": replace(TINY_LEARN, lanes=1, readout=Readout(score=Format(20), classes=1)),
    "four_lanes": replace(
        TINY_LEARN,
        lanes=4,
        readout=Readout(score=Format(20), classes=11),
        learn=replace(LEARN, lookup=Format(9, signed=False), entries=64),
    ),
    "narrow": replace(
        TINY_LEARN,
        readout=Readout(score=Format(20), classes=7),
        learn=replace(LEARN, lookup=Format(1, signed=False), entries=2, steps=8),
    ),
}
RECORDINGS = 16


class Bench:
    """One stage, its tables, and what the emulator says was looked up."""

    def __init__(self, edge, ports, chip) -> None:
        self.edge, self.ports, self.chip, self.p = edge, ports, chip, chip.learn
        self.rng = rng = np.random.default_rng(0)
        self.derivatives, self.levels, _ = surrogate(chip.learn)
        fmt = chip.lif.v
        near = grid(corners(fmt), corners(fmt, self.p.entries, fmt.max // 2))
        rng.shuffle(near)
        self.near = near
        self.t = 0

    async def load(self) -> None:
        """Write tables: falling from their largest number, or anything."""
        rng, p = self.rng, self.p
        self.tables = noise(rng, p.lookup, (2, p.entries))
        if rng.random() < 0.5:
            self.tables = np.sort(self.tables)[:, ::-1].copy()
            self.tables[:, 0] = p.lookup.max
        for lane in range(self.chip.lanes):
            words = self.tables.ravel().tolist()
            await load(self.edge, self.ports, f"lookup_{lane}", words)
            assert await look(self.edge, self.ports, f"lookup_{lane}", len(words)) == words

    def distances(self, size: int):
        """Draw pairs of membranes, int64[2, size]: corners, and a power of two or less apart."""
        rng, fmt = self.rng, self.chip.lif.v
        pairs = self.near[rng.integers(len(self.near), size=size)].T.copy()
        close = rng.random(size) < 0.5
        reach = 1 << int(rng.integers(fmt.width))
        inside = rng.integers(-reach, reach + 1, size)
        moved = pairs[0] + np.where(rng.random(size) < 0.5, inside, np.sign(inside) * reach)
        pairs[1] = np.where(close, np.clip(moved, fmt.min, fmt.max), pairs[1])
        return pairs

    async def give(self, blocks) -> None:
        """Give blocks clock after clock, with gaps."""
        for block in blocks:
            while self.rng.random() < 0.1:
                self.ports.valid.value = 0
                await self.edge
            self.ports.valid.value = 1
            for name, value in block.items():
                getattr(self.ports, name).value = int(value)
            await self.edge
        self.ports.valid.value = 0

    def hidden(self, first: int, blocks: int, shift: int):
        """Return blocks of neurons to give, and the words that they leave by block."""
        lanes, fmt = self.chip.lanes, self.chip.lif.v
        a, b = self.distances(blocks * lanes)
        out = np.zeros_like(a)
        self.derivatives(self.tables[0], shift, a, b, out)
        given = [
            {
                "block": first + n,
                "level": 0,
                "shift": shift,
                "a": pack(a[n * lanes : (n + 1) * lanes], fmt),
                "b": pack(b[n * lanes : (n + 1) * lanes], fmt),
            }
            for n in range(blocks)
        ]
        return given, {first + n: out[n * lanes : (n + 1) * lanes].tolist() for n in range(blocks)}

    def readout(self, first: int, shift: int):
        """Return blocks of a readout of any size to give, the words they leave, and their sum."""
        lanes, fmt = self.chip.lanes, self.chip.lif.v
        room = (self.chip.neuron_blocks - first) * lanes
        size = int(self.rng.integers(1, min(self.chip.readout.classes, room) + 1))
        y, out = self.distances(size)[1], np.zeros(size, np.int64)
        total = self.levels(self.tables[1], shift, y, out)
        blocks = -(-size // lanes)
        # Anything in the lanes past the last readout.
        padded = noise(self.rng, fmt, blocks * lanes)
        padded[:size] = y
        left = np.zeros(blocks * lanes, np.int64)
        left[:size] = out
        given = [
            {
                "block": first + n,
                "level": 1,
                "shift": shift,
                "first": n == 0,
                "last": n == blocks - 1,
                "size": size,
                "a": pack([y.max()] * lanes, fmt),
                "b": pack(padded[n * lanes : (n + 1) * lanes], fmt),
            }
            for n in range(blocks)
        ]
        words = {first + n: left[n * lanes : (n + 1) * lanes].tolist() for n in range(blocks)}
        return given, words, total

    async def tick(self, shifts) -> None:
        """Look up a tick: neurons, a readout in two passes, neurons again."""
        rng, ports = self.rng, self.ports
        ports.t.value = self.t
        middle = int(rng.integers(1, self.chip.neuron_blocks))
        before, words = self.hidden(0, middle, shifts[0])
        levels, of_readout, total = self.readout(middle, shifts[1])
        end = middle + len(levels)
        behind, of_others = self.hidden(end, self.chip.neuron_blocks - end, shifts[0])
        await self.give(before)
        ports.final.value = 0
        await self.give(levels)
        for _ in range(SurrogateStage.PASS - 1):
            await self.edge
        ports.final.value = 1
        await self.give([*levels, *behind])
        # The next tick may begin right away.
        ports.t.value = (self.t + 1) % self.p.steps
        for _ in range(SurrogateStage.LATENCY + 3):
            await self.edge
        await self.look(words | of_readout | of_others, total)
        self.t = (self.t + 1) % self.p.steps

    async def look(self, words, total: int) -> None:
        """Compare the history of this tick, and the sum of the levels."""
        ports = self.ports
        for block, want in words.items():
            ports.look.value, ports.look_at.value, ports.look_t.value = 1, block, self.t
            await self.edge
            ports.look.value = 0
            await self.edge
            await self.edge
            got = unpack(int(ports.o_values.value), self.p.lookup, self.chip.lanes)
            assert got == want, f"tick {self.t}, block {block}: {got}, emulator {want}"
            added = int(ports.o_sum.value)
            assert added == total, f"tick {self.t}: sum {added}, emulator {total}"


async def _agrees(edge, ports, chip):
    for name in ("valid", "look", "final", "first", "last", "size"):
        getattr(ports, name).value = 0
    for lane in range(chip.lanes):
        getattr(ports, f"lookup_{lane}__read").value = 0
    bench = Bench(edge, ports, chip)
    for _ in range(RECORDINGS):
        await bench.load()
        shifts = bench.rng.integers(0, chip.lif.v.width + 1, 2).tolist()
        for _ in range(chip.learn.steps // 2):
            await bench.tick(shifts)


@cocotb.test()
async def agrees_with_the_emulator(dut):
    edge = await start(dut)
    tasks = [
        cocotb.start_soon(_agrees(edge, Ports(dut, name), chip)) for name, chip in CHIPS.items()
    ]
    for task in tasks:
        await task


def test_surrogate(tmp_path):
    places = {name: SurrogateStage(chip) for name, chip in CHIPS.items()}
    simulate(Rack(places), __name__, tmp_path)
