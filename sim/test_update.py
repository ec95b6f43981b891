"""`rtl.update` against `emulator.update`: steps of weights and delays, word after word."""

from dataclasses import replace

import cocotb
import numpy as np

from datapath import Format
from datapath.catalog import TINY_LEARN
from datapath.memory import memories, projection_rule_fields, words
from datapath.memory_formats import KEEP, RANDOM, SHIFT
from emulator.update import update
from rtl.memory import learn_of
from rtl.update import UpdateStage
from sim.rack import Ports, Rack, load, look, start
from sim.runner import simulate
from sim.stimulus import noise

LEARN = learn_of(TINY_LEARN)
CHIPS = {
    "tiny": TINY_LEARN,
    "one_lane": replace(TINY_LEARN, lanes=1, synapse=replace(TINY_LEARN.synapse, synaptic=False)),
    "four_lanes": replace(
        TINY_LEARN,
        lanes=4,
        synapse=replace(TINY_LEARN.synapse, weight=Format(8)),
        learn=replace(
            LEARN,
            weight_gradient=Format(24),
            delay_gradient=Format(26),
            rate=Format(8, signed=False),
            weight_fraction=Format(8, signed=False),
            delay_fraction=Format(1, signed=False),
        ),
    ),
    "no_axons": replace(TINY_LEARN, axon=replace(TINY_LEARN.axon, delays=0)),
}
UPDATES, WALKS = 2, 120
OWN = ("weight_fractions", "synaptic_fractions", "axonal_fractions", "random")
"""Memories that are inside of the stage; the bench plays the others."""


class Bench:
    """One stage, the memories around it, and those of the emulator, int64[words, lanes]."""

    def __init__(self, edge, ports, chip) -> None:
        self.edge, self.ports, self.chip, self.p = edge, ports, chip, chip.learn
        self.rng = rng = np.random.default_rng(0)
        self.specs = {
            spec.name: spec
            for spec in memories(chip)
            if spec.name.endswith(("_fractions", "_gradients", "_delays"))
            or spec.name in ("weights", "random")
        }
        self.specs.pop("dendritic_delays", None)
        self.data = {
            name: noise(rng, spec.fields[0].fmt, (spec.words, spec.lanes))
            for name, spec in self.specs.items()
        }
        self.data["random"] = rng.integers(1, RANDOM.max, (1, chip.lanes), endpoint=True)
        self.seen = {name: list(self.packed(name)) for name in self.specs if name not in OWN}
        self.asked: dict[str, list[int]] = {name: [0, 0] for name in self.seen}
        self.shifts: dict[str, list[int]] = {"weight": [], "scale": [], "delay": []}
        steps = update(chip.synapse.weight, chip.learn)
        self.steps = dict(zip(("weight", "synaptic", "axonal"), steps, strict=True))

    def packed(self, name: str) -> list[int]:
        """Return the words of a memory of the emulator as the gates have them."""
        beats = words(self.specs[name], [self.data[name]])
        return [int.from_bytes(row.tobytes(), "little") for row in beats]

    async def clock(self) -> None:
        """Wait for the edge, and do for the memories outside what the ports ask for."""
        await self.edge
        for name, stored in self.seen.items():
            read = getattr(self.ports, f"{name}__read")
            write = getattr(self.ports, f"{name}__write")
            asked = self.asked[name]
            if bool(read.value):
                asked[0] = stored[int(getattr(self.ports, f"{name}__read_at").value)]
            # What an edge asks for is there two clocks later: one in `asked`, one on the port.
            getattr(self.ports, f"{name}__word").value = asked[1]
            asked[1] = asked[0]
            if bool(write.value):
                at = int(getattr(self.ports, f"{name}__write_at").value)
                stored[at] = int(getattr(self.ports, f"{name}__data").value)

    def rule(self) -> dict[str, int]:
        """Draw a rule whose steps are of all sizes."""
        rng, p = self.rng, self.p
        learns = int(rng.random() < 0.7)
        kinds = [kind for kind in ("synaptic", "axonal") if f"{kind}_delays" in self.specs]
        self.kind = str(rng.choice(kinds))
        delay = self.specs[f"{self.kind}_delays"].fields[0].fmt
        largest = int(noise(rng, delay, 1)[0])
        # Delays are never above the largest one.
        stored = self.data[f"{self.kind}_delays"]
        stored[:] = np.minimum(stored, largest)
        self.seen[f"{self.kind}_delays"][:] = self.packed(f"{self.kind}_delays")
        # Unscaled half the time: the sign of a weight alone would not outlast a deep shift.
        scaled = learns and self.kind == "synaptic" and rng.integers(2)
        scale = self._shift("scale", p.delay_gradient) if scaled else 0
        # How a scaled gradient was rounded would not outlast a deep shift.
        delay_shift = int(rng.integers(4)) if scale else self._shift("delay", p.delay_gradient)
        # Also beyond the width of a step, where high bits of a random number decide.
        weight_shift = self._shift("weight", p.weight_gradient)
        weight_rate, delay_rate = noise(rng, p.rate, 2).tolist()
        return {
            "weights": int(rng.random() < 0.7),
            "delays": learns,
            "words": 0,
            "axons": 0,
            "weight_limit": self._limit(p.weight_gradient, weight_rate, weight_shift),
            "weight_rate": weight_rate,
            "weight_shift": weight_shift,
            "delay_scale": scale,
            "delay_limit": self._limit(p.delay_gradient, delay_rate, delay_shift),
            "delay_rate": delay_rate,
            "delay_shift": delay_shift,
            "largest": largest,
        }

    def _limit(self, fmt: Format, rate: int, shift: int) -> int:
        """Draw a limit: half the time one that leaves a step of some units, otherwise none."""
        most = min(fmt.width, SHIFT.max)
        some = shift - rate.bit_length() + int(self.rng.integers(-1, 5))
        return min(max(some, 0), most) if self.rng.integers(2) else most

    def _shift(self, name: str, fmt: Format) -> int:
        """Draw a shift for a gradient: every one comes once before any comes again."""
        if not self.shifts[name]:
            most = min(fmt.width + self.p.rate.width + 3, SHIFT.max)
            self.shifts[name] = self.rng.permutation(most + 1).tolist()
        return self.shifts[name].pop()

    def draw(self) -> None:
        """Draw the memories outside anew: gradients fade, and words end at their limits."""
        for name, stored in self.seen.items():
            kept, fmt = self.data[name], self.specs[name].fields[0].fmt
            kept[:] = noise(self.rng, fmt, kept.shape)
            if name.endswith("_gradients"):
                # Of all sizes, as most of the largest ones are limited to the same step.
                kept[:] >>= self.rng.integers(fmt.width, size=kept.shape)
            stored[:] = self.packed(name)

    async def walk(self) -> None:
        """Update the words of a projection, then its axons, as the chip would."""
        self.draw()
        rng, ports, rule = self.rng, self.ports, self.rule()
        given = projection_rule_fields(self.chip, self.p)
        bits, at = 0, 0
        for field in given:
            bits |= rule[field.name] << at
            at += field.fmt.width
        ports.rule.value, ports.synaptic.value = bits, int(self.kind == "synaptic")
        keep = [int(rng.integers(KEEP.max + 1)) * int(rng.integers(2)) for _ in range(2)]
        sign = bool(rng.integers(2))
        ports.keep_weights.value, ports.keep_delays.value = keep
        ports.sign_of_weight.value = int(sign)
        self.nearest = bool(rng.integers(2))
        ports.nearest.value = int(self.nearest)
        synaptic = rule["delays"] and self.kind == "synaptic"
        if rule["weights"] or synaptic:
            count = int(rng.integers(1, 20))
            first = int(rng.integers(self.chip.synapses - count + 1))
            for n in range(first, first + count):
                ports.word.value, ports.at.value = 1, n
                await self.clock()
                self._word(n, rule, synaptic, sign, keep)
            ports.word.value = 0
        if rule["delays"] and self.kind == "axonal":
            for n in range(int(rng.integers(1, self.chip.axon.delays + 1))):
                ports.axon.value, ports.axon_at.value = 1, n
                await self.clock()
                self._axon(n, rule, keep[1])
            ports.axon.value = 0
        for _ in range(UpdateStage.SETTLE):
            await self.clock()
        for name, stored in self.seen.items():
            self.compare(name, stored)

    def _word(self, n: int, rule, synaptic, sign, keep) -> None:
        """Let the emulator update word `n`."""
        data, random = self.data, self.data["random"][0]
        before = data["weights"][n].copy()
        if rule["weights"]:
            self.steps["weight"](
                data["weights"][n], data["weight_fractions"][n], data["weight_gradients"][n],
                random, rule["weight_limit"], rule["weight_rate"], rule["weight_shift"], keep[0],
                self.nearest,
            )  # fmt: skip
        if synaptic:
            self.steps["synaptic"](
                data["synaptic_delays"][n], data["synaptic_fractions"][n],
                data["synaptic_gradients"][n], random, before, sign, rule["delay_scale"],
                rule["delay_limit"], rule["delay_rate"], rule["delay_shift"], keep[1],
                rule["largest"], self.nearest,
            )  # fmt: skip

    def _axon(self, n: int, rule, keep) -> None:
        """Let the emulator update axon `n`, which draws from the first generator."""
        data = self.data
        self.steps["axonal"](
            data["axonal_delays"][n], data["axonal_fractions"][n], data["axonal_gradients"][n],
            data["random"][0], rule["delay_limit"], rule["delay_rate"], rule["delay_shift"], keep,
            rule["largest"], self.nearest,
        )  # fmt: skip

    def compare(self, name: str, found: list[int]) -> None:
        """Compare every word of a memory."""
        for at, (got, want) in enumerate(zip(found, self.packed(name), strict=True)):
            said = f"{name}, word {at}: {got:#x}, emulator {want:#x}"
            assert got == want, f"{said}: {self.data[name][at]}"


async def _agrees(edge, ports, chip):
    bench = Bench(edge, ports, chip)
    for name in ("word", "at", "axon", "axon_at"):
        getattr(ports, name).value = 0
    for name in bench.specs:
        if name in OWN:
            getattr(ports, f"{name}__read").value = 0
            getattr(ports, f"{name}__write").value = 0
    for name in set(OWN) & bench.specs.keys():
        await load(edge, ports, name, bench.packed(name))
    for _ in range(UPDATES):
        for _ in range(WALKS):
            await bench.walk()
        for name in set(OWN) & bench.specs.keys():
            bench.compare(name, await look(edge, ports, name, bench.specs[name].words))


@cocotb.test()
async def agrees_with_the_emulator(dut):
    edge = await start(dut)
    tasks = [
        cocotb.start_soon(_agrees(edge, Ports(dut, name), chip)) for name, chip in CHIPS.items()
    ]
    for task in tasks:
        await task


def test_update(tmp_path):
    simulate(Rack({name: UpdateStage(chip) for name, chip in CHIPS.items()}), __name__, tmp_path)
