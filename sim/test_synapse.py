"""`rtl.synapse` against `emulator.synapse`: rows back to back, every delay mode."""

from dataclasses import replace

import cocotb
import numpy as np

from datapath.catalog import DIGITS_SYNAPTIC, TINY, TINY_SHIFT
from datapath.timing import ROW
from emulator.synapse import synapse
from rtl.synapse import SynapseStage
from sim.rack import Ports, Rack, load, look, pack, start, unpack
from sim.runner import simulate
from sim.stimulus import noise

CHIPS = {
    "tiny": TINY,
    "tiny_shift": TINY_SHIFT,
    "dendritic": replace(TINY, lanes=4, synapse=replace(TINY.synapse, synaptic=False)),
    "digits": replace(DIGITS_SYNAPTIC, neurons=64, synapses=100),
}
RECORDINGS, TICKS = 2, 40
COLLECTED = 4
"""Clocks from taking a sum to the next use of its word."""


class Bench:
    """One stage, what is loaded into it, and the accumulators of the emulator beside it."""

    def __init__(self, edge, ports, chip) -> None:
        self.edge, self.ports, self.chip = edge, ports, chip
        self.rng = rng = np.random.default_rng(0)
        self.deliver, self.collect = synapse(chip.synapse)
        p, lanes = chip.synapse, chip.lanes
        self.formats = {"weights": p.weight}
        self.words = {"weights": noise(rng, p.weight, (chip.synapses, lanes))}
        if p.synaptic:
            self.formats["synaptic_delays"] = p.delay
            self.words["synaptic_delays"] = noise(rng, p.delay, (chip.synapses, lanes))
        if p.dendritic:
            self.formats["dendritic_delays"] = p.delay
            self.words["dendritic_delays"] = noise(rng, p.delay, (p.dendritic, lanes))
        self.acc = np.zeros((p.slots, chip.neurons), np.int64)
        self.t = 0

    async def load(self) -> None:
        """Write weights and delays, and read them back, as the host does."""
        for name, words in self.words.items():
            packed = [pack(word, self.formats[name]) for word in words]
            await load(self.edge, self.ports, name, packed)
            assert await look(self.edge, self.ports, name, len(packed)) == packed, name

    async def clear(self) -> None:
        """Empty every word of every bank."""
        self.ports.clear.value = 1
        for at in range(self.chip.neuron_blocks * self.chip.synapse.slots):
            self.ports.clear_at.value = at
            await self.edge
        self.ports.clear.value = 0
        self.acc[:], self.t = 0, 0
        await self.pause(COLLECTED - 1)

    async def pause(self, clocks: int) -> None:
        for _ in range(clocks):
            await self.edge

    async def row(self, block: int, blocks: int) -> None:
        """Deliver one row, and wait until the next may start."""
        ports, rng, chip = self.ports, self.rng, self.chip
        lanes, p = chip.lanes, chip.synapse
        row = int(rng.integers(chip.synapses - blocks + 1))
        modes = ["none", *(name for name in self.words if name != "weights")]
        if blocks > p.dendritic and "dendritic_delays" in modes:
            modes.remove("dendritic_delays")
        mode = str(rng.choice(modes))
        delays, at = np.zeros(blocks * lanes, np.int64), 0
        if mode == "synaptic_delays":
            delays = self.words[mode][row : row + blocks].ravel()
        if mode == "dendritic_delays":
            at = int(rng.integers(p.dendritic - blocks + 1))
            delays = self.words[mode][at : at + blocks].ravel()
        count, scale = int(rng.integers(1, chip.axon.count.max + 1)), int(rng.integers(2))
        scale, resolution = scale * p.scale.max, int(rng.integers(3))
        given = {
            "start": 1,
            "row": row,
            "block": block,
            "blocks": blocks,
            "count": count,
            "scale": scale,
            "resolution": resolution,
            "synaptic": mode == "synaptic_delays",
            "dendritic": mode == "dendritic_delays",
            "delays": at,
        }
        for name, value in given.items():
            getattr(ports, name).value = int(value)
        await self.edge
        for clock in range(1, max(blocks, ROW) + 1):
            # A start while the stage is busy is not looked at.
            ports.start.value = int(rng.integers(2))
            ports.count.value = int(rng.integers(1, chip.axon.count.max + 1))
            await self.edge
            assert bool(ports.busy.value), f"clock {clock} of a row of {blocks} blocks"
        ports.start.value = 0
        weights = self.words["weights"][row : row + blocks].ravel()
        acc = self.acc[:, block * lanes : (block + blocks) * lanes]
        self.deliver(acc, self.t, weights, delays, count, scale, resolution)
        assert np.abs(acc).max() <= p.acc.max, "no image drives a sum that far"

    async def sums(self, block: int, blocks: int) -> None:
        """Take the sums of some blocks, one block per clock."""
        ports, lanes, fmt = self.ports, self.chip.lanes, self.chip.synapse.acc
        inside: list[list[int] | None] = [None] * SynapseStage.COLLECT
        for n in range(blocks + SynapseStage.COLLECT):
            ports.collect.value = int(n < blocks)
            if n < blocks:
                ports.collect_block.value = block + n
                want = np.zeros(lanes, np.int64)
                first = (block + n) * lanes
                self.collect(self.acc[:, first : first + lanes], self.t, want)
                inside.append(want.tolist())
            await self.edge
            expected = inside.pop(0)
            if expected is not None:
                said = f"tick {self.t}, block {block + n - SynapseStage.COLLECT}"
                assert ports.i.value.is_resolvable, f"{said}: sums {ports.i.value}"
                got = unpack(int(ports.i.value), fmt, lanes)
                assert got == expected, f"{said}: sums {got}, emulator {expected}"
        await self.pause(max(0, COLLECTED - 1 - SynapseStage.COLLECT))


async def _agrees(edge, ports, chip):
    for port in ("start", "collect", "clear"):
        getattr(ports, port).value = 0
    bench = Bench(edge, ports, chip)
    await bench.load()
    rng = bench.rng
    for _ in range(RECORDINGS):
        await bench.clear()
        for _ in range(TICKS):
            ports.t.value = bench.t % chip.synapse.slots
            middle = int(rng.integers(1, chip.neuron_blocks))
            for block, blocks in ((0, middle), (middle, chip.neuron_blocks - middle)):
                for _ in range(int(rng.integers(4))):
                    await bench.row(block, blocks)
                    await bench.pause(int(rng.integers(6)) // 4)
                await bench.pause(SynapseStage.DRAIN - 1)
                await bench.sums(block, blocks)
            bench.t += 1


@cocotb.test()
async def agrees_with_the_emulator(dut):
    edge = await start(dut)
    tasks = [
        cocotb.start_soon(_agrees(edge, Ports(dut, name), chip)) for name, chip in CHIPS.items()
    ]
    for task in tasks:
        await task


def test_synapse(tmp_path):
    places = {name: SynapseStage(chip) for name, chip in CHIPS.items()}
    simulate(Rack(places), __name__, tmp_path)
