"""`rtl.chip` against `emulator.chip`, clock by clock: random networks on chips of every kind.

Every spike, membrane, sum, flag, result and clock of every tick is compared; `SIM` names the
simulator.
"""

import os

import numpy as np
import pytest

from datapath.catalog import TINY, TINY_SHIFT
from emulator.chip import run
from sim.compare import RECORDED, compare
from sim.images import random_chip, random_counts, random_image
from sim.runner import chosen
from sim.trace import program
from sim.verilog import Simulation

CHIPS = {"tiny": TINY, "tiny_shift": TINY_SHIFT}
if os.environ.get("SIM") != "verilator":
    # A build takes Icarus a second, and Verilator a minute.
    CHIPS |= {f"lanes_{n}": random_chip(np.random.default_rng(n), n) for n in (1, 2, 4, 8)}
IMAGES, RECORDINGS, STEPS = 4, 3, 14


@pytest.mark.parametrize("name", CHIPS)
def test_chip(name, tmp_path):
    chip, rng = CHIPS[name], np.random.default_rng(0)
    simulator = Simulation(chip, chosen(), tmp_path)
    images = [random_image(rng, chip, STEPS) for _ in range(IMAGES)]
    # Sums beyond what a channel counts come in several events, and saturate.
    counts = [random_counts(rng, image, RECORDINGS) for image in images]
    heard = [np.minimum(c, chip.axon.count.max) for c in counts]
    expected = [run(i, h, record=RECORDED) for i, h in zip(images, heard, strict=True)]
    for stalls in (0, 1):
        # With pauses of driver and sink, and in any order of events, only the clocks change.
        programs = [program(i, c, stalls) for i, c in zip(images, counts, strict=True)]
        seen = simulator.play(programs, stalls)
        for n, image in enumerate(images):
            verdict = compare(image, programs[n], seen[n], expected[n], stalled=bool(stalls))
            assert verdict.equal, f"image {n}, stalls {stalls}: {verdict.difference}"
