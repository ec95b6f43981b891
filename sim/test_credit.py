"""`rtl.credit` against `emulator.credit`: rows as close as may be, gradients at their ends."""

from dataclasses import replace

import cocotb
import numpy as np

from datapath import Format
from datapath.catalog import TINY_LEARN
from datapath.timing import ROW
from emulator.credit import credit
from rtl.credit import CreditStage, tag_layout
from rtl.memory import learn_of
from sim.rack import Ports, Rack, load, look, pack, start, unpack
from sim.runner import simulate
from sim.stimulus import noise

LEARN = learn_of(TINY_LEARN)
CHIPS = {
    "tiny": TINY_LEARN,
    "one_lane": replace(TINY_LEARN, lanes=1, synapse=replace(TINY_LEARN.synapse, synaptic=False)),
    "four_lanes": replace(
        TINY_LEARN,
        lanes=4,
        synapses=64,
        synapse=replace(TINY_LEARN.synapse, weight=Format(8), acc=Format(28)),
        learn=replace(LEARN, signal=Format(14), weight_gradient=Format(8), slope=Format(6)),
    ),
    "no_axons": replace(TINY_LEARN, axon=replace(TINY_LEARN.axon, delays=0), lanes=1),
}
SWEEPS, PASSES, ROWS = 3, 8, 6
GAP = 3
"""Most clocks between two blocks."""


class Bench:
    """One stage, its memories, and those of the emulator beside it."""

    def __init__(self, edge, ports, chip) -> None:
        self.edge, self.ports, self.chip, self.p = edge, ports, chip, chip.learn
        self.rng = rng = np.random.default_rng(0)
        self.weights, self.delays, self.axon = credit(chip.learn)
        p, shape = self.p, (chip.synapses, chip.lanes)
        self.formats = {"weight_gradients": p.weight_gradient}
        self.words = {"weight_gradients": noise(rng, p.weight_gradient, shape)}
        if chip.synapse.synaptic:
            self.formats["synaptic_gradients"] = p.delay_gradient
            self.words["synaptic_gradients"] = noise(rng, p.delay_gradient, shape)
        if chip.axon.delays:
            self.formats["axonal_gradients"] = p.delay_gradient
            self.words["axonal_gradients"] = noise(rng, p.delay_gradient, (chip.axon.delays, 1))
        self.saturated = self.beyond = False
        self.dots: list[tuple[int, int]] = []

    async def load(self) -> None:
        """Write one half of every memory as the host does, the other as an UPDATE does."""
        for name, words in self.words.items():
            packed = [pack(word, self.formats[name]) for word in words]
            half = len(packed) // 2
            await load(self.edge, self.ports, name, [0] * half + packed[half:])
            await load(self.edge, self.ports, f"{name}_update", packed[:half], "write_at")

    def rule(self) -> dict[str, int]:
        """Draw what learns; a population has synaptic delays, or axonal ones, or neither."""
        kind = self.rng.integers(3)
        return {
            "feedback": int(self.rng.random() < 0.3),
            "weights_learn": int(self.rng.random() < 0.7),
            "synaptic_learn": int(kind == 0 and "synaptic_gradients" in self.words),
            "axonal_learn": int(kind == 1 and "axonal_gradients" in self.words),
            "delay_scale": int(self.rng.integers(8)),
        }

    async def clock(self) -> None:
        """Wait for the edge, and note what comes out."""
        await self.edge
        saturated = self.ports.o_saturated.value
        # A gradient is not known if its address is not.
        assert saturated.is_resolvable, f"saturated is {saturated}"
        self.saturated |= bool(saturated)
        if bool(self.ports.o_valid.value):
            tag = int(self.ports.o_tag.value)
            self.dots.append((self.ports.o_dot.value.to_signed(), tag))

    async def row(self, at: int, blocks: int, axon: int, rule) -> list[tuple[int, int]]:
        """Give a row block by block, with gaps; return the sum and the tag it has as feedback."""
        rng, ports, p, chip = self.rng, self.ports, self.p, self.chip
        shape = (blocks, chip.lanes)
        weights = noise(rng, chip.synapse.weight, shape)
        signals, slopes = noise(rng, p.signal, shape), noise(rng, p.slope, shape)
        if rng.random() < 0.2:
            weights[:], signals[:], slopes[:] = (
                f.min for f in (chip.synapse.weight, p.signal, p.slope)
            )
        count = int(rng.integers(1, chip.axon.count.max + 1))
        tag = int(rng.integers(1 << tag_layout(chip).size))
        if rule["axonal_learn"]:
            tag = axon
        for n in range(blocks):
            ports.valid.value, ports.last.value = 1, int(n == blocks - 1)
            ports.row.value, ports.count.value, ports.tag.value = at + n, count, tag
            ports.weights.value = pack(weights[n], chip.synapse.weight)
            ports.words.value = self._ring(signals[n], slopes[n])
            await self.clock()
            ports.valid.value = 0
            gap = int(rng.integers(GAP + 1)) * int(rng.random() < 0.2)
            if n == blocks - 1:
                gap += max(1, ROW + 1 - blocks)
            for _ in range(gap):
                await self.clock()
        if rule["feedback"]:
            return [(int((weights * signals).sum()), tag)]
        self._learn(at, weights.ravel(), signals.ravel(), slopes.ravel(), count, axon, rule)
        return []

    def _ring(self, signals, slopes) -> int:
        """Pack a word of the ring of every lane, with anything above signal and slope."""
        p, acc = self.p, self.chip.synapse.acc
        width = p.signal.width + p.slope.width
        above = self.rng.integers(0, 1 << (acc.width - width), len(signals))
        low = signals & ((1 << p.signal.width) - 1)
        high = slopes & ((1 << p.slope.width) - 1)
        return pack(low | (high << p.signal.width) | (above << width), acc)

    def _learn(self, at, weights, signals, slopes, count, axon, rule) -> None:
        """Let the emulator add to its gradients."""
        rows = slice(at, at + len(weights) // self.chip.lanes)
        if rule["weights_learn"]:
            part = self.words["weight_gradients"][rows].reshape(-1)
            self.beyond |= self.weights(part, count, signals)
        if rule["synaptic_learn"]:
            part = self.words["synaptic_gradients"][rows].reshape(-1)
            self.beyond |= self.delays(part, count, slopes)
        if rule["axonal_learn"]:
            part = self.words["axonal_gradients"][axon]
            self.beyond |= self.axon(part, count, weights, slopes, rule["delay_scale"])

    async def sweep(self) -> None:
        """Give the rows of a projection, each once, and compare sums and flags."""
        rng, rule, chip = self.rng, self.rule(), self.chip
        for name, value in rule.items():
            getattr(self.ports, name).value = value
        blocks = int(rng.integers(1, chip.neuron_blocks // 2 + 1))
        first = int(rng.integers(chip.synapses - ROWS * blocks + 1))
        self.saturated = self.beyond = False
        self.dots, want = [], []
        for n in range(ROWS):
            want += await self.row(first + n * blocks, blocks, n, rule)
        for _ in range(CreditStage.SETTLE):
            await self.clock()
        assert self.dots == want, f"sums and tags {self.dots}, not {want}"
        assert self.saturated == self.beyond, f"saturated {self.saturated}, rule {rule}"

    async def compare(self) -> None:
        for name, words in self.words.items():
            for port, address in ((name, "address"), (f"{name}_update", "read_at")):
                seen = await look(self.edge, self.ports, port, len(words), address)
                for at, word in enumerate(seen):
                    got = unpack(word, self.formats[name], words.shape[1])
                    assert got == words[at].tolist(), f"{port}, word {at}: {got}, not {words[at]}"


async def _agrees(edge, ports, chip):
    ports.valid.value = 0
    bench = Bench(edge, ports, chip)
    for name in bench.words:
        for part in ("read", "write"):
            getattr(ports, f"{name}__{part}").value = 0
            getattr(ports, f"{name}_update__{part}").value = 0
    await bench.load()
    for _ in range(SWEEPS):
        for _ in range(PASSES):
            await bench.sweep()
        await bench.compare()


@cocotb.test()
async def agrees_with_the_emulator(dut):
    edge = await start(dut)
    tasks = [
        cocotb.start_soon(_agrees(edge, Ports(dut, name), chip)) for name, chip in CHIPS.items()
    ]
    for task in tasks:
        await task


def test_credit(tmp_path):
    simulate(Rack({name: CreditStage(chip) for name, chip in CHIPS.items()}), __name__, tmp_path)
