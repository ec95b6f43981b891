"""`rtl.slope` against `emulator.slope`: every number of taps, blocks back to back."""

from dataclasses import replace

import cocotb
import numpy as np

from datapath import Format
from datapath.catalog import TINY_LEARN
from emulator.slope import slope
from rtl.memory import learn_of
from rtl.slope import SlopeStage
from sim.rack import Ports, Rack, load, pack, start, unpack
from sim.runner import simulate
from sim.stimulus import noise

NARROW = replace(
    learn_of(TINY_LEARN), slope=Format(4), tap=Format(6, 1, signed=False), taps=5, signal=Format(8)
)
CHIPS = {
    "tiny": TINY_LEARN,
    # Nearly every slope saturates.
    "narrow": replace(TINY_LEARN, lanes=1, learn=NARROW),
    "wide": replace(
        TINY_LEARN,
        lanes=4,
        synapse=replace(TINY_LEARN.synapse, acc=Format(30)),
        learn=replace(NARROW, slope=Format(18), tap=Format(5, 0, signed=False), taps=1),
    ),
}
GROUPS, BLOCKS = 40, 4
WORD = 2
"""Clocks from asking for a word of the ring to the word."""


def _blocks(rng, chip, group):
    """Return taps, windows int64[BLOCKS, 2 K + 1, lanes], and which rows lie before tick 0."""
    p = chip.learn
    taps = noise(rng, p.tap, group % (p.taps + 1))
    windows = noise(rng, p.signal, (BLOCKS, 2 * len(taps) + 1, chip.lanes))
    # The largest slopes there are, and none.
    windows[0] = p.signal.min
    windows[0, len(taps) + 1 :] = p.signal.max
    windows[1] = 0
    # Small ones, which are rounded and do not saturate.
    windows[2] = rng.integers(-1, 2, windows.shape[1:])
    if group // (p.taps + 1) % 2:
        taps &= 3
    before = rng.integers(0, len(taps) + 1, BLOCKS) * (rng.random(BLOCKS) < 0.3)
    return taps, windows, np.arange(windows.shape[1]) < before[:, None]


def _asked(window, outside):
    """Yield what is asked for: tap, behind, outside, middle and the row of `window`."""
    middle = len(window) // 2
    for u in range(middle, 0, -1):
        yield u - 1, 0, 0, 0, window[middle + u]
        yield u - 1, 1, int(outside[middle - u]), 0, window[middle - u]
    yield 0, 0, 0, 1, window[middle]


def _junk(rng, chip, signals):
    """Pack signals into words of the ring, with anything above them."""
    width, acc = chip.learn.signal.width, chip.synapse.acc
    above = rng.integers(0, 1 << (acc.width - width), len(signals))
    return pack((signals & ((1 << width) - 1)) | (above << width), acc)


def _expected(chip, window, taps, outside):
    """Return o_words, o_live and o_saturated of the emulator."""
    p, step, out = chip.learn, slope(chip.learn), np.zeros(chip.lanes, np.int64)
    counted = np.where(outside[:, None], 0, window)
    beyond = step(counted, taps, out)
    middle = window[len(taps)]
    words = (middle & ((1 << p.signal.width) - 1)) | (
        (out & ((1 << p.slope.width) - 1)) << p.signal.width
    )
    return words.tolist(), bool(middle.any() or out.any()), bool(beyond)


async def _agrees(edge, ports, chip):
    """Ask for words clock after clock, with gaps; compare what comes out LATENCY clocks later."""
    rng, fmt = np.random.default_rng(0), Format(chip.synapse.acc.width, signed=False)
    ports.valid.value = 0
    for group in range(GROUPS):
        taps, windows, outside = _blocks(rng, chip, group)
        await load(edge, ports, "taps", taps.tolist())
        asked = ((n, *word) for n in range(BLOCKS) for word in _asked(windows[n], outside[n]))
        words, inside = [0] * WORD, [None] * SlopeStage.LATENCY
        was = None
        while was != BLOCKS - 1:
            now = next(asked, None) if rng.random() < 0.9 else None
            ports.valid.value = int(now is not None)
            words.append(0 if now is None else _junk(rng, chip, now[5]))
            if now is not None:
                ports.block.value, ports.tap.value, ports.behind.value = now[:3]
                ports.outside.value, ports.middle.value = now[3:5]
            ports.words.value = words.pop(0)
            await edge
            inside.append(now[0] if now is not None and now[4] else None)
            was = inside.pop(0)
            assert bool(ports.o_valid.value) == (was is not None)
            if was is not None:
                got = (
                    unpack(int(ports.o_words.value), fmt, chip.lanes),
                    bool(ports.o_live.value),
                    bool(ports.o_saturated.value),
                )
                want = _expected(chip, windows[was], taps, outside[was])
                assert int(ports.o_block.value) == was
                assert got == want, f"taps {taps}: {got}, emulator {want}, given {windows[was]}"


@cocotb.test()
async def agrees_with_the_emulator(dut):
    edge = await start(dut)
    tasks = [
        cocotb.start_soon(_agrees(edge, Ports(dut, name), chip)) for name, chip in CHIPS.items()
    ]
    for task in tasks:
        await task


def test_slope(tmp_path):
    simulate(Rack({name: SlopeStage(chip) for name, chip in CHIPS.items()}), __name__, tmp_path)
