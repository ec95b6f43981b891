"""Memory bits against the memory map, and cycles against numbers added by hand."""

from dataclasses import replace

import numpy as np
import pytest

from datapath.catalog import CHIPS, DIGITS_SYNAPTIC, TINY
from datapath.memory import memories
from quant.cost import Group, cycles_per_tick, memory_bits


@pytest.mark.parametrize("chip", CHIPS.values(), ids=CHIPS)
def test_every_bit_is_counted_once(chip):
    cost = memory_bits(chip)
    assert cost.bits == sum(m.bits for m in memories(chip))
    assert cost.bits == sum(cost.group(group) for group in Group)


def test_bits_worked_out_by_hand():
    # 5,024 words of 8 weights of 8 bits, as many of 8 delays of 6 bits; 19 blocks of 64 slots of 24
    # bits in each of 8 banks, histories of 18 blocks of 8 counts of 5 bits and 19 of 8 bits, twice.
    cost = memory_bits(DIGITS_SYNAPTIC)
    assert cost.group(Group.WEIGHTS) == 5024 * 64
    assert cost.group(Group.DELAYS) == 5024 * 48
    ring, channels, neurons = 19 * 64 * 24 * 8, 18 * 2 * 40, 19 * 2 * 8
    assert cost.group(Group.DELAY_LINE) == ring + channels + neurons
    assert cost.group(Group.STATE) == 19 * 8 * 16 + 20 * 28


def test_one_accumulator_per_neuron_is_state_and_a_ring_is_a_delay_line():
    plain = replace(TINY.synapse, slots=1, dendritic=0, synaptic=False)
    found = {m.name: m for m in memory_bits(replace(TINY, synapse=plain)).memories}
    assert found["accumulators"].group is Group.STATE
    assert found["accumulators"].bits == 16 * 16
    found = {m.name: m for m in memory_bits(TINY).memories}
    assert found["accumulators"].group is Group.DELAY_LINE
    assert (found["accumulators"].banks, found["accumulators"].words) == (2, 8 * 8)


def test_cycles_of_a_run():
    found = cycles_per_tick(np.array([[4, 6], [6, 104]]))
    assert (found.ticks, found.total, found.least, found.median, found.most) == (4, 120, 4, 6, 104)
    assert sum(found.histogram) == 4
    assert (found.edges[0], found.edges[-1]) == (4, 104)
    with pytest.raises(ValueError, match="at least one tick"):
        cycles_per_tick(np.zeros((0, 3), int))


def test_equal_cycles_are_one_bin():
    assert cycles_per_tick(np.full(5, 7)).histogram == (5,)
