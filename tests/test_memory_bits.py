"""The memories of the gates are those of the memory map: no bit more, no bit less."""

import re

import numpy as np
import pytest

from datapath.catalog import CHIPS
from datapath.memory import memories
from quant.cost import memory_bits
from rtl.chip import ChipTop
from rtl.emit import rtlil
from sim.images import random_chip, random_learning_chip

MEMORY = re.compile(r"^  memory width (\d+) size (\d+) \\(\S+)$", re.MULTILINE)


def built(chip):
    found = MEMORY.findall(rtlil(ChipTop(chip), "chip"))
    return sorted((name, int(size), int(width)) for width, size, name in found)


def listed(chip):
    return sorted((memory.name, memory.words, memory.width) for memory in memories(chip))


def test_memories_of_the_tiny_chip():
    bits = {
        "populations": 4 * (4 + 5 + 4 + 1 + 1 + 1),
        "projections": 8 * (1 + 3 + 5 + 1 + 1 + 1 + 1 + 4 + 4 + 7 + 2),
        "neurons": 8 * 2 * (12 + 8 + 7),
        "weights": 128 * 2 * 5,
        "synaptic_delays": 128 * 2 * 3,
        "dendritic_delays": 8 * 2 * 3,
        "axonal_delays": 16 * 3,
        "channel_history": 4 * 8 * 2 * 3,
        "neuron_history": 8 * 8 * 2,
        "accumulators_0": 8 * 8 * 16,
        "accumulators_1": 8 * 8 * 16,
        "membranes": 8 * 2 * 12,
        "scores": 4 * 20,
    }
    assert {name: size * width for name, size, width in built(CHIPS["tiny"])} == bits


def test_the_cost_is_that_of_the_gates():
    gates = sum(size * width for _, size, width in built(CHIPS["tiny-learn"]))
    assert memory_bits(CHIPS["tiny-learn"]).bits == gates


@pytest.mark.parametrize("name", CHIPS)
def test_catalogue_chip_is_built_of_its_memories(name):
    assert built(CHIPS[name]) == listed(CHIPS[name])


@pytest.mark.parametrize("seed", range(10))
def test_random_chip_is_built_of_its_memories(seed):
    rng = np.random.default_rng(seed)
    chip = random_chip(rng, lanes=1 << seed % 4)
    assert built(chip) == listed(chip)


@pytest.mark.parametrize("seed", range(4))
def test_random_chip_that_learns_is_built_of_its_memories(seed):
    rng = np.random.default_rng(seed)
    chip = random_learning_chip(rng, lanes=1 << seed % 3)
    assert built(chip) == listed(chip)
    assert memory_bits(chip).bits == sum(size * width for _, size, width in built(chip))
