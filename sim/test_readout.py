"""`rtl.readout` against `emulator.readout`: scores at their ends, ties, new recordings."""

from dataclasses import replace

import cocotb
import numpy as np

from datapath import Format, Readout
from datapath.catalog import DIGITS_AXONAL, TINY
from emulator.readout import readout
from rtl.readout import ReadoutStage
from sim.rack import Ports, Rack, start
from sim.runner import simulate
from sim.stimulus import noise, pairs

CHIPS = {
    "tiny": TINY,
    # As narrow as a membrane: one tick can saturate.
    "narrow": replace(TINY, readout=Readout(score=TINY.lif.v, classes=3)),
    "alone": replace(TINY, readout=Readout(score=Format(13), classes=1)),
    "digits": replace(DIGITS_AXONAL, readout=Readout(score=Format(17), classes=20)),
}
APART = 4
"""The same readout may be given again after three other clocks."""


def _recordings(chip):
    """Return what each tick of each recording adds: lists of int64[ticks, classes in use].

    Corners after corners, then the same membrane for all, which ties, then noise.
    """
    rng, fmt, most = np.random.default_rng(0), chip.lif.v, chip.readout.classes
    corner = pairs(fmt)
    equal = np.repeat(noise(rng, fmt, (20, 1)), most, axis=1)
    return [
        corner[: len(corner) // most * most].reshape(-1, most),
        np.repeat(corner[:, None], most, axis=1),
        equal,
        np.full((300, 1), fmt.max),
        np.full((300, 1), fmt.min),
        *(noise(rng, fmt, (30, int(rng.integers(1, most + 1)))) for _ in range(10)),
    ]


async def _clear(edge, ports, classes):
    """Empty every score, one per clock, and past the last one as the chip does."""
    ports.valid.value = 0
    ports.clear.value = 1
    for at in range(1 << (classes - 1).bit_length()):
        ports.clear_at.value = at
        await edge
    ports.clear.value = 0


async def _agrees(edge, ports, chip):
    """Give every tick its membranes with random gaps; compare once the last is added."""
    rng, step = np.random.default_rng(1), readout(chip.readout)
    for n, recording in enumerate(_recordings(chip)):
        await _clear(edge, ports, chip.readout.classes)
        scores = np.zeros(recording.shape[1], np.int64)
        for tick, v in enumerate(recording):
            saturated = False
            clocks = 0
            for index, membrane in enumerate(v):
                while rng.random() < 0.1:
                    ports.valid.value = 0
                    await edge
                    saturated |= bool(ports.saturated.value)
                ports.valid.value, ports.first.value = 1, int(index == 0)
                ports.index.value, ports.v.value = index, int(membrane)
                await edge
                saturated |= bool(ports.saturated.value)
                clocks += 1
            ports.valid.value = 0
            for _ in range(max(ReadoutStage.LATENCY, APART - clocks)):
                await edge
                saturated |= bool(ports.saturated.value)
            winner, beyond = step(scores, v)
            got = int(ports.winner.value), ports.best.value.to_signed(), saturated
            want = winner, scores[winner], beyond
            said = f"recording {n}, tick {tick}: winner, best, saturated {got}, emulator {want}"
            assert got == want, said


@cocotb.test()
async def agrees_with_the_emulator(dut):
    edge = await start(dut)
    tasks = [
        cocotb.start_soon(_agrees(edge, Ports(dut, name), chip)) for name, chip in CHIPS.items()
    ]
    for task in tasks:
        await task


def test_readout(tmp_path):
    places = {name: ReadoutStage(chip) for name, chip in CHIPS.items()}
    simulate(Rack(places), __name__, tmp_path)
