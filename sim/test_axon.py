"""`rtl.axon` against `emulator.axon`: events that add up, histories that wrap, reads that stall."""

from dataclasses import replace

import cocotb
import numpy as np

from datapath import Format
from datapath.catalog import DIGITS_AXONAL, TINY, TINY_SHIFT
from datapath.timing import EVENT
from emulator.axon import axon
from rtl.axon import AxonStage
from sim.rack import Ports, Rack, load, look, start
from sim.runner import simulate
from sim.stimulus import noise

CHIPS = {
    "tiny": TINY,
    "tiny_shift": TINY_SHIFT,
    "digits": replace(
        DIGITS_AXONAL,
        channels=16,
        neurons=24,
        axon=replace(DIGITS_AXONAL.axon, channel_steps=32),
    ),
    # One event saturates, and no delay is ever read.
    "plain": replace(
        TINY,
        lanes=4,
        axon=replace(
            TINY.axon, count=Format(1, signed=False), channel_steps=2, neuron_steps=16, delays=0
        ),
    ),
}
RECORDINGS, TICKS, READS = 2, 40, 12


class Bench:
    """One stage and the histories of the emulator beside it."""

    def __init__(self, edge, ports, chip) -> None:
        self.edge, self.ports, self.chip = edge, ports, chip
        self.rng = np.random.default_rng(0)
        self.receive, self.read = axon(chip.axon)
        self.delays = noise(self.rng, chip.axon.delay, chip.axon.delays)
        self.channels = np.zeros((chip.channels, chip.axon.channel_steps), np.int64)
        self.neurons = np.zeros((chip.neurons, chip.axon.neuron_steps), np.int64)
        self.t = 0

    async def load(self) -> None:
        """Write the delay words, and read them back, as the host does."""
        if self.delays.size:
            words = self.delays.tolist()
            await load(self.edge, self.ports, "axonal_delays", words)
            assert await look(self.edge, self.ports, "axonal_delays", len(words)) == words

    async def clear(self) -> None:
        """Empty both histories, past the end of the shorter one as the chip does."""
        axon, ports = self.chip.axon, self.ports
        ports.clear.value = 1
        words = (
            self.chip.channel_blocks * axon.channel_steps,
            self.chip.neuron_blocks * axon.neuron_steps,
        )
        for at in range(max(words)):
            ports.clear_at.value = at
            await self.edge
        ports.clear.value = 0
        self.channels[:], self.neurons[:], self.t = 0, 0, 0

    async def events(self) -> None:
        """Send events as fast as they are taken, several to the same channel."""
        ports, rng = self.ports, self.rng
        channels = rng.integers(self.chip.channels, size=6)
        for channel in np.concatenate([channels, channels[:3]]):
            count = int(noise(rng, self.chip.axon.count, 1)[0])
            ports.start.value, ports.channel.value, ports.count.value = 1, int(channel), count
            beyond = self.receive(self.channels, self.t, channel, count)
            await self.edge
            for clock in range(1, EVENT):
                # A start while the stage is busy is not looked at.
                ports.start.value = int(rng.integers(2))
                ports.count.value = self.chip.axon.count.max
                await self.edge
                assert bool(ports.busy.value), f"clock {clock} of an event"
            ports.start.value = 0
            await self.edge
            assert bool(ports.saturated.value) == beyond, f"tick {self.t}, channel {channel}"
        await self.edge

    async def reads(self, neuron: bool) -> None:
        """Read sources in any order while `advance` comes and goes."""
        ports, rng = self.ports, self.rng
        history = self.neurons if neuron else self.channels
        depth = history.shape[1]
        age, resolution = int(rng.integers(2)), int(rng.integers(3))
        reach = age + (self.delays << resolution)
        near = np.flatnonzero(reach < depth)
        axonal = bool(near.size) and bool(rng.integers(2))
        ports.neuron.value, ports.age.value = int(neuron), age
        ports.axonal.value, ports.resolution.value = int(axonal), resolution
        await self.edge
        inside: list[int | None] = [None] * AxonStage.LATENCY
        left = READS
        while left or any(n is not None for n in inside):
            read, advance = bool(left) and rng.random() < 0.8, rng.random() < 0.8
            source = int(rng.integers(len(history)))
            delay = int(rng.choice(near)) if axonal else 0
            ports.advance.value, ports.read.value = int(advance), int(read)
            ports.source.value = source
            if self.delays.size:
                ports.delay.value = delay
            await self.edge
            shown = int(ports.o_count.value) if bool(ports.o_valid.value) else None
            assert shown == inside[0], f"tick {self.t}: count {shown}, emulator {inside[0]}"
            if advance:
                ticks = int(reach[delay]) if axonal else age
                count = self.read(history, self.t, source, ticks)
                inside = [*inside[1:], int(count) if read else None]
                left -= read
        ports.advance.value = ports.read.value = 0

    async def spikes(self) -> None:
        """Store the spikes of every block."""
        ports, lanes = self.ports, self.chip.lanes
        for block in range(self.chip.neuron_blocks):
            spikes = self.rng.integers(2, size=lanes)
            self.neurons[block * lanes : (block + 1) * lanes, self.t % self.neurons.shape[1]] = (
                spikes
            )
            ports.write.value, ports.block.value = 1, block
            ports.spikes.value = int(spikes @ (1 << np.arange(lanes)))
            await self.edge
        ports.write.value = 0

    async def wipe(self) -> None:
        """Empty the next slot of every channel, and go to the next tick."""
        for block in range(self.chip.channel_blocks):
            self.ports.wipe.value, self.ports.wipe_block.value = 1, block
            await self.edge
        self.ports.wipe.value = 0
        self.t += 1
        self.channels[:, self.t % self.channels.shape[1]] = 0


async def _agrees(edge, ports, chip):
    for port in ("start", "write", "wipe", "advance", "read"):
        getattr(ports, port).value = 0
    bench = Bench(edge, ports, chip)
    await bench.load()
    deeper = max(chip.axon.channel_steps, chip.axon.neuron_steps)
    for _ in range(RECORDINGS):
        await bench.clear()
        for _ in range(TICKS):
            ports.t.value = bench.t % deeper
            await bench.events()
            await bench.reads(neuron=False)
            await bench.reads(neuron=True)
            await bench.spikes()
            await bench.wipe()


@cocotb.test()
async def agrees_with_the_emulator(dut):
    edge = await start(dut)
    tasks = [
        cocotb.start_soon(_agrees(edge, Ports(dut, name), chip)) for name, chip in CHIPS.items()
    ]
    for task in tasks:
        await task


def test_axon(tmp_path):
    simulate(Rack({name: AxonStage(chip) for name, chip in CHIPS.items()}), __name__, tmp_path)
