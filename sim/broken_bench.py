"""A bench of cocotb, again and again in one simulation, each time on gates broken elsewhere.

To start a simulator, and to draw what a bench compares with, takes longer than most mutants live.
"""

import importlib
import os
import shutil
from pathlib import Path

import cocotb
import numpy as np
from cocotb.triggers import with_timeout
from cocotb.utils import get_sim_time

COUNT = int(os.environ["MUTANTS"])
LONGER = 3
"""A bench that takes so many times the clocks of the unbroken gates counts as one that noticed."""

SEEN, RIGHT = Path("seen.npz"), Path("right.npz")
"""What a bench leaves that compares when the simulation is over; of the unbroken gates."""

whole: dict[str, float] = {}


@cocotb.test()
@cocotb.parametrize(number=range(COUNT + 1))
async def mutant(dut, number):
    """Run all tests of the bench with mutation `number`; 0 is none, and shows what is right."""
    bench = importlib.import_module(os.environ["BENCH"])
    dut.mutation.value = number
    try:
        for name, test in vars(bench).items():
            if isinstance(test, type(mutant)):
                start = get_sim_time("step")
                if number:
                    await with_timeout(test.func(dut), LONGER * whole[name], "step")
                else:
                    await test.func(dut)
                    whole[name] = get_sim_time("step") - start
        if SEEN.exists() and number:
            _same_as_right()
    finally:
        if SEEN.exists() and not number:
            shutil.copy(SEEN, RIGHT)
        if RIGHT.exists():
            shutil.copy(RIGHT, SEEN)


def _same_as_right() -> None:
    with np.load(SEEN) as seen, np.load(RIGHT) as right:
        for name in right.files:
            assert np.array_equal(seen[name], right[name]), f"{name} is not what it was"
