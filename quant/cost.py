"""What a chip costs: memory bits, exactly; clock cycles of a run, exactly."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from datapath import Chip
from datapath.memory import memories


class Group(StrEnum):
    """What a memory is for."""

    WEIGHTS = "weights"
    DELAYS = "delays"
    DELAY_LINE = "delay line"
    STATE = "state"
    TABLES = "tables"
    LEARNING = "learning"


BANKS = {"accumulators": "accumulators_", "lookup": "lookup_"}
"""Memories of which every lane has a bank of its own; they are counted as one."""

BINS = 40
"""Most bins of a histogram of cycles."""

GROUPS = {
    "weights": Group.WEIGHTS,
    "synaptic_delays": Group.DELAYS,
    "dendritic_delays": Group.DELAYS,
    "axonal_delays": Group.DELAYS,
    "channel_history": Group.DELAY_LINE,
    "neuron_history": Group.DELAY_LINE,
    "membranes": Group.STATE,
    "scores": Group.STATE,
    "neurons": Group.TABLES,
    "populations": Group.TABLES,
    "projections": Group.TABLES,
    "population_rules": Group.LEARNING,
    "projection_rules": Group.LEARNING,
    "lookup": Group.LEARNING,
    "taps": Group.LEARNING,
    "random": Group.LEARNING,
    "weight_fractions": Group.LEARNING,
    "weight_gradients": Group.LEARNING,
    "synaptic_fractions": Group.LEARNING,
    "synaptic_gradients": Group.LEARNING,
    "axonal_fractions": Group.LEARNING,
    "axonal_gradients": Group.LEARNING,
    "lookup_history": Group.LEARNING,
    "level_sums": Group.LEARNING,
    "filtered": Group.LEARNING,
}


@dataclass(frozen=True, slots=True)
class MemoryCost:
    """One memory: `words` words of `width` bits in each of `banks` banks."""

    name: str
    group: Group
    words: int
    width: int
    banks: int

    @property
    def bits(self) -> int:
        """Bits of all banks."""
        return self.words * self.width * self.banks


@dataclass(frozen=True, slots=True)
class Memories:
    """Every memory of a chip, in the order of its memory map."""

    memories: tuple[MemoryCost, ...]

    @property
    def bits(self) -> int:
        """Bits of the chip."""
        return sum(m.bits for m in self.memories)

    def group(self, group: Group) -> int:
        """Bits of one group."""
        return sum(m.bits for m in self.memories if m.group is group)


def _banked(name: str) -> str:
    """Return what the memory `name` is counted as."""
    for whole, bank in BANKS.items():
        if name.startswith(bank) and name.removeprefix(bank).isdigit():
            return whole
    return name


def memory_bits(chip: Chip) -> Memories:
    """Count the bits of every memory of `chip`."""
    found: dict[str, MemoryCost] = {}
    for memory in memories(chip):
        name = _banked(memory.name)
        number = 1 + (found[name].banks if name in found else 0)
        # A ring of accumulators is where spikes wait; a single slot only sums.
        group = Group.DELAY_LINE if chip.synapse.slots > 1 else Group.STATE
        found[name] = MemoryCost(name, GROUPS.get(name, group), memory.words, memory.width, number)
    return Memories(tuple(found.values()))


@dataclass(frozen=True, slots=True)
class Cycles:
    """Clock cycles per tick over a run.

    high : the 99th percentile.  edges, histogram : ticks by their cycles.
    """

    ticks: int
    total: int
    least: int
    median: float
    high: float
    most: int
    edges: tuple[float, ...]
    histogram: tuple[int, ...]


def cycles_per_tick(cycles: NDArray[np.integer]) -> Cycles:
    """Sum up the cycles of ticks, integers of any shape."""
    if not cycles.size:
        raise ValueError("cycles must hold at least one tick")
    histogram, edges = np.histogram(cycles, bins=min(BINS, int(np.ptp(cycles)) + 1))
    return Cycles(
        ticks=int(cycles.size),
        total=int(cycles.sum()),
        least=int(cycles.min()),
        median=float(np.median(cycles)),
        high=float(np.quantile(cycles, 0.99)),
        most=int(cycles.max()),
        edges=tuple(float(x) for x in edges),
        histogram=tuple(int(n) for n in histogram),
    )
