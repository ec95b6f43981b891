"""`rtl.current` against `emulator.current`, bit for bit: every leak, order and overflow."""

from dataclasses import replace

import cocotb
import numpy as np

from datapath import Format, Leak, Order, Overflow, Rounding
from datapath.catalog import TINY_CURRENT
from emulator.current import current
from rtl.current import CurrentStage, current_of
from sim.rack import Ports, Rack, pack, start, unpack
from sim.runner import simulate
from sim.stimulus import corners, grid, noise

TINY = current_of(TINY_CURRENT)
SHIFT = replace(TINY, i=Format(6), leak=Leak.SHIFT, coefficient=Format(3, signed=False))
CHIPS = {
    "tiny": TINY_CURRENT,
    "late": replace(TINY_CURRENT, current=replace(TINY, order=Order.SUM_FIRST), lanes=1),
    "nearest": replace(
        TINY_CURRENT,
        current=replace(TINY, rounding=Rounding.NEAREST, overflow=Overflow.SATURATE),
    ),
    "shift": replace(
        TINY_CURRENT,
        current=replace(SHIFT, rounding=Rounding.FLOOR, overflow=Overflow.SYMMETRIC),
    ),
    "settle": replace(
        TINY_CURRENT,
        current=replace(
            SHIFT,
            leak=Leak.SETTLE,
            rounding=Rounding.FLOOR,
            order=Order.SUM_FIRST,
            overflow=Overflow.SATURATE,
        ),
    ),
    # As wide as sums, so that a current alone is never out of range.
    "wide": replace(
        TINY_CURRENT,
        lanes=4,
        current=replace(TINY, i=Format(20), leak=Leak.SETTLE, coefficient=Format(5, signed=False)),
    ),
}
RANDOM = 1500


def _stimulus(chip):
    """Return int64[blocks, lanes, 3]: i, received, coefficient; corners, then noise."""
    p, acc, rng = current_of(chip), chip.synapse.acc, np.random.default_rng(0)
    sums = sorted({*corners(acc), *(n for n in corners(p.i) if acc.holds(n))})
    edges = grid(corners(p.i), sums, sorted({0, 1, p.one, p.coefficient.max}))
    i = noise(rng, p.i, RANDOM)
    # Half the sums bring a current that does not leak next to an end of its format.
    edge = np.where(rng.random(RANDOM) < 1 / 2, p.i.min, p.i.max)
    near = np.clip(edge + rng.integers(-2, 3, RANDOM) - i, acc.min, acc.max)
    loose = [
        i,
        np.where(rng.random(RANDOM) < 1 / 2, near, noise(rng, acc, RANDOM)),
        np.where(rng.random(RANDOM) < 1 / 2, p.one, noise(rng, p.coefficient, RANDOM)),
    ]
    given = np.concatenate([edges, np.stack(loose, axis=1)])
    return given[: len(given) // chip.lanes * chip.lanes].reshape(-1, chip.lanes, 3)


def _expected(chip, blocks):
    """Return int64[blocks, lanes, 2]: current and flag of the emulator."""
    i, received, coefficient = blocks.reshape(-1, 3).T.copy()
    beyond = np.zeros(len(i), bool)
    current(chip.current)(i, received, coefficient, beyond)
    assert (received == i).all()
    return np.stack([i, beyond], axis=1).reshape(*blocks.shape[:2], 2)


async def _agrees(edge, ports, chip):
    """Feed blocks clock after clock, with gaps; compare what comes out LATENCY clocks later."""
    rng = np.random.default_rng(1)
    blocks = _stimulus(chip)
    expected = _expected(chip, blocks)
    p, flag = chip.current, Format(1, signed=False)
    given = {"i": p.i, "received": chip.synapse.acc, "coefficient": p.coefficient}
    shown = {"o_i": p.i, "o_saturated": flag}
    inside: list[int | None] = [None] * CurrentStage.LATENCY
    waiting, was = iter(range(len(blocks))), None
    while was != len(blocks) - 1:
        now = next(waiting, None) if rng.random() < 0.9 else None
        ports.valid.value = int(now is not None)
        if now is not None:
            for column, (name, fmt) in enumerate(given.items()):
                getattr(ports, name).value = pack(blocks[now][:, column], fmt)
        await edge
        inside.append(now)
        was = inside.pop(0)
        assert bool(ports.o_valid.value) == (was is not None)
        if was is not None:
            for n, (name, fmt) in enumerate(shown.items()):
                got = unpack(int(getattr(ports, name).value), fmt, chip.lanes)
                want = expected[was, :, n].tolist()
                said = f"block {was} of {p}: {name} {got}, emulator {want}"
                assert got == want, f"{said}, given {blocks[was].tolist()}"


@cocotb.test()
async def agrees_with_the_emulator(dut):
    edge = await start(dut)
    tasks = [
        cocotb.start_soon(_agrees(edge, Ports(dut, name), chip)) for name, chip in CHIPS.items()
    ]
    for task in tasks:
        await task


def test_current(tmp_path):
    simulate(Rack({name: CurrentStage(chip) for name, chip in CHIPS.items()}), __name__, tmp_path)
