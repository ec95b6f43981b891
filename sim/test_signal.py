"""`rtl.signal` against `emulator.signal`: drives and filters as close together as they may be."""

from dataclasses import replace

import cocotb
import numpy as np

from datapath import Format
from datapath.catalog import TINY_LEARN
from datapath.memory import level_sum
from datapath.memory_formats import SHIFT, STRENGTH
from datapath.timing import ROW
from emulator.signal import signal
from rtl.credit import dot_shape
from rtl.memory import learn_of
from rtl.signal import SignalStage
from sim.rack import Ports, Rack, pack, start, unpack
from sim.runner import simulate
from sim.stimulus import noise

LEARN = learn_of(TINY_LEARN)
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


class Play:
    """What to put on the ports in which clock, and what comes out in which."""

    def __init__(self) -> None:
        self.script: dict[int, dict[str, int]] = {}
        self.due: dict[int, tuple[int, list[int], bool]] = {}

    def put(self, clock: int, values: dict[str, int]) -> None:
        self.script.setdefault(clock, {}).update(values)


class Bench:
    """One stage, and the filtered signals of the emulator beside it."""

    def __init__(self, edge, ports, chip) -> None:
        self.edge, self.ports, self.chip, self.p = edge, ports, chip, chip.learn
        self.rng = np.random.default_rng(0)
        self.errors, self.drives, self.step = signal(chip.learn)
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

    def filter(self, play: Play, rule, block: int, clock: int, drive, level) -> None:
        """Filter `block` in `clock`, and let the emulator do so."""
        out = np.zeros(self.chip.lanes, np.int64)
        kept = self.filtered[block]
        beyond = self.step(kept, drive, rule["coefficient"], rule["signal_shift"], out)
        play.put(clock, {"filter": 1, "block": block, "level": 0, **level})
        play.due[clock + SignalStage.LATENCY] = block, out.tolist(), bool(beyond)

    def drive(self, play: Play, rule, clock: int, lane: int) -> int:
        """Feed one neuron in `clock`; return its drive."""
        rng, p = self.rng, self.p
        value = np.maximum(noise(rng, p.lookup, 1), 1)
        activity = noise(rng, p.activity, 1)
        reach = 1 << int(rng.integers(self.error.width - 1))
        error = rng.integers(-reach, reach, 1)
        if rng.random() < 0.3:
            error = noise(rng, self.error, 1)
        drive = np.zeros(1, np.int64)
        # One readout with a weight of 1, whose signal is the error.
        one = np.ones((1, 1), np.int64)
        tail = rule["target"], rule["strength"], rule["drive_shift"], drive
        self.drives(value, one, error, activity, *tail)
        play.put(clock - 2, {"activity": int(activity[0])})
        fed = {"fed": 1, "lane": lane, "value": int(value[0])}
        play.put(clock, {**fed, "error": pack(error, self.error)})
        return int(drive[0])

    def hidden(self, rule) -> Play:
        """Feed some neurons of every block and filter it, as close together as may be."""
        rng, lanes, play = self.rng, self.chip.lanes, Play()
        clock, fed, filtered = 2, 0, 0
        for block in range(self.chip.neuron_blocks):
            drive = np.zeros(lanes, np.int64)
            for lane in np.flatnonzero(rng.random(lanes) < 0.7):
                drive[lane] = self.drive(play, rule, clock, int(lane))
                fed = clock
                clock += ROW + 1 + int(rng.random() < 0.2)
            # What is fed in the same clock counts; the next block may be fed in the next one.
            filtered = max(fed, filtered + 1) + int(rng.random() < 0.2)
            self.filter(play, rule, block, filtered, drive, {})
            clock = max(clock, filtered + 1) + int(rng.random() < 0.2)
        return play

    def readout(self, rule) -> Play:
        """Filter the blocks of a readout of any size."""
        rng, lanes, play = self.rng, self.chip.lanes, Play()
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
            part = drive[n * lanes : (n + 1) * lanes]
            self.filter(play, rule, first + n, n * SignalStage.LEVEL, part, level)
        return play

    async def play(self, play: Play, rule) -> None:
        """Play a script and compare what comes out."""
        ports = self.ports
        for clock in range(max(play.due) + 1):
            for name, value in {"fed": 0, "filter": 0, **play.script.get(clock, {})}.items():
                if name != "lane" or self.chip.lanes > 1:
                    getattr(ports, name).value = value
            await self.edge
            want = play.due.get(clock)
            assert bool(ports.o_valid.value) == (want is not None), f"clock {clock}"
            if want is not None:
                out = unpack(int(ports.o_signals.value), self.p.signal, self.chip.lanes)
                got = int(ports.o_block.value), out, bool(ports.o_saturated.value)
                assert got == want, f"{got}, emulator {want}, rule {rule}, given {play.script}"

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
            play = bench.readout(rule) if sweep % 3 == 0 else bench.hidden(rule)
            await bench.play(play, rule)
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
