"""`rtl.signal` against `emulator.signal`: drives and filters as close together as they may be."""

from dataclasses import replace

import cocotb
import numpy as np

from datapath import Format
from datapath.catalog import TINY_LEARN
from datapath.memory import level_sum
from datapath.memory_formats import SHIFT, STRENGTH
from emulator.signal import signal
from rtl.credit import dot_shape
from rtl.signal import SignalStage
from sim.rack import Ports, Rack, pack, start, unpack
from sim.runner import simulate
from sim.stimulus import noise

LEARN = TINY_LEARN.learn
CHIPS = {
    "tiny": TINY_LEARN,
    "one_lane": replace(TINY_LEARN, lanes=1, learn=replace(LEARN, lookup=Format(1, signed=False))),
    "four_lanes": replace(
        TINY_LEARN,
        lanes=4,
        learn=replace(
            LEARN,
            lookup=Format(9, signed=False),
            coefficient=Format(9, 8, signed=False),
            filtered=Format(20),
            signal=Format(12),
            activity=Format(7, signed=False),
        ),
    ),
    "narrow": replace(TINY_LEARN, learn=replace(LEARN, filtered=Format(6), signal=Format(3))),
}
SWEEPS, STEPS = 12, 6
REST = SignalStage.LATENCY + 1


class Bench:
    """One stage, what it filters, and the filtered signals of the emulator beside it.

    `script` says for a clock what to put on the ports, `due` what comes out in a clock.
    """

    def __init__(self, edge, ports, chip) -> None:
        self.edge, self.ports, self.chip, self.p = edge, ports, chip, chip.learn
        self.rng = np.random.default_rng(0)
        self.errors, _, self.step = signal(chip.learn)
        _, self.drives, _ = signal(chip.learn)
        self.filtered = np.zeros((chip.neuron_blocks, chip.lanes), np.int64)
        self.error = Format(dot_shape(chip).width)

    def rule(self) -> dict[str, int]:
        """Draw a rule; large and small shifts, signals that saturate and that vanish."""
        rng, p = self.rng, self.p
        one = 1 << p.coefficient.frac
        usual = rng.random() < 0.8
        return {
            "drive_shift": int(rng.integers(p.lookup.width + 6 if usual else SHIFT.max + 1)),
            "signal_shift": int(rng.integers(4 if usual else SHIFT.max + 1)),
            "strength": int(rng.integers(STRENGTH.max + 1)) * int(rng.random() < 0.5),
            "target": int(noise(rng, p.activity, 1)[0]),
            "coefficient": min(one, int(noise(rng, p.coefficient, 1)[0])),
        }

    def filter(self, script, due, rule, block: int, clock: int, drive, level: dict) -> None:
        """Filter `block` in `clock`, and let the emulator do so."""
        out = np.zeros(self.chip.lanes, np.int64)
        kept = self.filtered[block]
        beyond = self.step(kept, drive, rule["coefficient"], rule["signal_shift"], out)
        script.setdefault(clock, {}).update({"filter": 1, "block": block, "level": 0, **level})
        due[clock + SignalStage.LATENCY] = block, out.tolist(), bool(beyond)

    def hidden(self, rule):
        """Return script and results of one step over all blocks: feed some lanes, then filter."""
        rng, p, lanes = self.rng, self.p, self.chip.lanes
        script, due, clock, before = {}, {}, 0, 0
        for block in range(self.chip.neuron_blocks):
            # Mixed with the feeding of the next block: each drive in the first or the last clock.
            fed = np.flatnonzero(rng.random(lanes) < 0.7)
            value = np.maximum(noise(rng, p.lookup, lanes), 1)
            activity = noise(rng, p.activity, lanes)
            reach = 1 << int(rng.integers(1, self.error.width))
            error = np.where(rng.random(lanes) < 0.5, noise(rng, self.error, lanes), 0)
            error = np.where(error == 0, rng.integers(-reach // 2, reach // 2, lanes), error)
            for lane in fed:
                script.setdefault(clock, {}).update(
                    {"fed": 1, "lane": lane, "value": value[lane], "activity": activity[lane]}
                )
                script[clock]["error"] = error[lane] & ((1 << self.error.width) - 1)
                clock += 1 + int(rng.random() < 0.2)
            clock = max(clock + 1 + int(rng.random() < 0.2), before + 1)
            drive = np.zeros(lanes, np.int64)
            looked = np.zeros(lanes, np.int64)
            looked[fed] = value[fed]
            # One readout with a weight of 1, whose signal is the error.
            for lane in fed:
                one = np.zeros(1, np.int64)
                self.drives(
                    looked[lane : lane + 1], np.ones((1, 1), np.int64), error[lane : lane + 1],
                    activity[lane : lane + 1], rule["target"], rule["strength"],
                    rule["drive_shift"], one,
                )  # fmt: skip
                drive[lane] = one[0]
            self.filter(script, due, rule, block, clock, drive, {})
            before = clock
            # The next one may be fed from the clock before on.
            clock -= 1 - int(rng.random() < 0.2)
            if "fed" in script.get(clock, {}):
                clock += 1
        return script, due

    def readout(self, rule):
        """Return script and results of one step over the blocks of a readout of any size."""
        rng, lanes, script, due = self.rng, self.chip.lanes, {}, {}
        size = int(rng.integers(1, self.chip.readout.classes + 1))
        levels = noise(rng, self.p.lookup, size)
        total = int(noise(rng, level_sum(self.chip), 1)[0])
        label, drive = int(rng.integers(size)), np.zeros(-(-size // lanes) * lanes, np.int64)
        self.errors(levels, total, label, drive[:size])
        first = int(rng.integers(self.chip.neuron_blocks - len(drive) // lanes + 1))
        for n in range(len(drive) // lanes):
            # Anything in the lanes past the last readout.
            values = noise(rng, self.p.lookup, lanes)
            inside = levels[n * lanes : (n + 1) * lanes]
            values[: len(inside)] = inside
            level = {"level": 1, "values": pack(values, self.p.lookup), "sum": total}
            level |= {"number": n * lanes, "size": size, "label": label}
            clock, part = n * SignalStage.LEVEL, drive[n * lanes : (n + 1) * lanes]
            self.filter(script, due, rule, first + n, clock, part, level)
        return script, due

    async def play(self, script, due, rule) -> None:
        """Play a script and compare what comes out."""
        ports = self.ports
        for clock in range(max(due) + 1):
            for name, value in {"fed": 0, "filter": 0, **script.get(clock, {})}.items():
                if name != "lane" or self.chip.lanes > 1:
                    getattr(ports, name).value = int(value)
            await self.edge
            want = due.get(clock)
            assert bool(ports.o_valid.value) == (want is not None), f"clock {clock}"
            if want is not None:
                out = unpack(int(ports.o_signals.value), self.p.signal, self.chip.lanes)
                got = int(ports.o_block.value), out, bool(ports.o_saturated.value)
                assert got == want, f"{got}, emulator {want}, rule {rule}, given {script}"

    async def clear(self) -> None:
        self.ports.clear.value = 1
        for at in range(self.chip.neuron_blocks):
            self.ports.clear_at.value = at
            await self.edge
        self.ports.clear.value = 0
        self.filtered[:] = 0


async def _agrees(edge, ports, chip):
    for port in ("fed", "filter", "clear"):
        getattr(ports, port).value = 0
    bench = Bench(edge, ports, chip)
    # A drive that was on its way when the simulation began would be anything.
    for _ in range(REST):
        await edge
    for sweep in range(SWEEPS):
        await bench.clear()
        rule = bench.rule()
        for name, value in rule.items():
            getattr(ports, name).value = value
        for _ in range(STEPS):
            await bench.play(*(bench.readout if sweep % 3 == 0 else bench.hidden)(rule), rule)
            for _ in range(REST):
                await edge


@cocotb.test()
async def agrees_with_the_emulator(dut):
    edge = await start(dut)
    tasks = [
        cocotb.start_soon(_agrees(edge, Ports(dut, name), chip)) for name, chip in CHIPS.items()
    ]
    for task in tasks:
        await task


def test_signal(tmp_path):
    simulate(Rack({name: SignalStage(chip) for name, chip in CHIPS.items()}), __name__, tmp_path)
