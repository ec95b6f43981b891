"""`rtl.lif` against `emulator.lif`, bit for bit: every leak, rounding and comparison."""

from dataclasses import replace

import cocotb
import numpy as np

from datapath import Compare, Format, Leak, Lif, Overflow, Rounding
from datapath.catalog import DIGITS_AXONAL, TINY, TINY_CURRENT, TINY_SHIFT
from emulator.lif import lif
from rtl.lif import LifStage
from sim.rack import Ports, Rack, pack, start, unpack
from sim.runner import simulate
from sim.stimulus import corners, grid, noise

NARROW = Lif(
    v=Format(6),
    bias=Format(4),
    leak=Leak.SHIFT,
    coefficient=Format(3, signed=False),
    rounding=Rounding.NEAREST,
    compare=Compare.GE,
    overflow=Overflow.SATURATE,
)
CHIPS = {
    "tiny": TINY,
    "tiny_shift": TINY_SHIFT,
    "digits": replace(DIGITS_AXONAL, lanes=4),
    "narrow": replace(TINY, lif=NARROW),
    "multiply_zero": replace(
        TINY_SHIFT, lif=replace(TINY.lif, rounding=Rounding.ZERO, compare=Compare.GT)
    ),
    "shift_floor": replace(TINY, lif=replace(NARROW, rounding=Rounding.FLOOR)),
    "current": TINY_CURRENT,
    "settle_zero": replace(
        TINY,
        lif=replace(NARROW, leak=Leak.SETTLE, rounding=Rounding.ZERO, overflow=Overflow.WRAP),
    ),
    "settle_floor": replace(
        TINY,
        lif=replace(NARROW, leak=Leak.SETTLE, rounding=Rounding.FLOOR, overflow=Overflow.SYMMETRIC),
    ),
}
RANDOM = 1500


def _stimulus(chip):
    """Return int64[blocks, lanes, 7]: readout, zero, v, i, threshold, bias, coefficient.

    Corners, then noise; all lanes of a block share the first two.
    """
    lif, rng = chip.lif, np.random.default_rng(0)
    one = lif.one
    flags = np.array([(0, 0), (0, 1), (1, 1)])
    edges = grid(
        range(len(flags)),
        corners(lif.v),
        (chip.drive.min, -1, 0, 1, chip.drive.max),
        (1, lif.v.max),
        (lif.bias.min, lif.bias.max),
        sorted({0, 1, one, lif.coefficient.max}),
    )
    edges = np.concatenate([flags[edges[:, 0]], edges[:, 1:]], axis=1)
    v = noise(rng, lif.v, RANDOM)
    threshold = rng.integers(1, lif.v.max, RANDOM, endpoint=True)
    # Half the sums without leak and bias are next to the threshold or to an end of the membrane.
    edge = np.choose(rng.integers(3, size=RANDOM), [threshold, lif.v.min, lif.v.max])
    near = edge + rng.integers(-1, 2, RANDOM) - v
    far = np.where(rng.random(RANDOM) < 1 / 2, near, rng.integers(-3, 4, RANDOM) * lif.v.max // 2)
    i = np.clip(far, chip.drive.min, chip.drive.max)
    loose = [
        rng.integers(2, size=RANDOM),
        rng.integers(2, size=RANDOM),
        v,
        i,
        threshold,
        np.where(rng.random(RANDOM) < 0.5, 0, noise(rng, lif.bias, RANDOM)),
        np.where(rng.random(RANDOM) < 0.5, one, noise(rng, lif.coefficient, RANDOM)),
    ]
    given = np.concatenate([edges, np.stack(loose, axis=1)])
    blocks = given[: len(given) // chip.lanes * chip.lanes].reshape(-1, chip.lanes, 7)
    blocks[:, :, :2] = blocks[:, :1, :2]
    return blocks


def _expected(chip, blocks):
    """Return int64[blocks, lanes, 4]: v, u, fired, saturated of the emulator."""
    step, out = lif(chip.lif), np.zeros((*blocks.shape[:2], 4), np.int64)
    for readout, zero in grid((0, 1), (0, 1)):
        rows = (blocks[:, 0, 0] == readout) & (blocks[:, 0, 1] == zero)
        v, i, threshold, bias, coefficient = blocks[rows].reshape(-1, 7).T[2:].copy()
        u, fired, saturated = np.zeros_like(v), np.zeros(len(v), bool), np.zeros(len(v), bool)
        step(v, i, threshold, bias, coefficient, bool(readout), bool(zero), u, fired, saturated)
        shown = np.stack([v, u, fired, saturated], axis=1)
        out[rows] = shown.reshape(-1, chip.lanes, 4)
    return out


def _drive(ports, chip, block):
    """Put a block on the ports."""
    lif = chip.lif
    formats = {
        "v": lif.v,
        "i": chip.drive,
        "threshold": lif.v,
        "bias": lif.bias,
        "coefficient": lif.coefficient,
    }
    ports.readout.value, ports.zero.value = int(block[0, 0]), int(block[0, 1])
    for column, (name, fmt) in enumerate(formats.items(), 2):
        getattr(ports, name).value = pack(block[:, column], fmt)


async def _agrees(edge, ports, chip):
    """Feed blocks clock after clock, with gaps; compare what comes out LATENCY clocks later."""
    rng = np.random.default_rng(1)
    blocks = _stimulus(chip)
    expected = _expected(chip, blocks)
    flag = Format(1, signed=False)
    formats = {"o_v": chip.lif.v, "o_u": chip.lif.v, "o_fired": flag, "o_saturated": flag}
    inside: list[int | None] = [None] * LifStage.LATENCY
    waiting = iter(range(len(blocks)))
    last = len(blocks) - 1
    was = None
    while was != last:
        now = next(waiting, None) if rng.random() < 0.9 else None
        ports.valid.value = int(now is not None)
        if now is not None:
            _drive(ports, chip, blocks[now])
        await edge
        inside.append(now)
        was = inside.pop(0)
        assert bool(ports.o_valid.value) == (was is not None)
        if was is not None:
            for n, (name, fmt) in enumerate(formats.items()):
                got = unpack(int(getattr(ports, name).value), fmt, chip.lanes)
                want = expected[was, :, n].tolist()
                said = f"block {was} of {chip.lif}: {name} {got}, emulator {want}"
                assert got == want, f"{said}, given {blocks[was].tolist()}"


@cocotb.test()
async def agrees_with_the_emulator(dut):
    edge = await start(dut)
    tasks = [
        cocotb.start_soon(_agrees(edge, Ports(dut, name), chip)) for name, chip in CHIPS.items()
    ]
    for task in tasks:
        await task


def test_lif(tmp_path):
    simulate(Rack({name: LifStage(chip) for name, chip in CHIPS.items()}), __name__, tmp_path)
