"""What a chip costs: memory bits, exactly; clock cycles of a run, exactly."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from datapath import Chip
from datapath.memory import memories


class Group(StrEnum):
    """What a memory is for.

    DELAY_LINE is where spikes or their products wait, TRACES what is remembered of a recording
    until it is learned from, LEARNING the gradients, fractions and rules that stay.
    """

    WEIGHTS = "weights"
    DELAYS = "delays"
    DELAY_LINE = "delay line"
    STATE = "state"
    TABLES = "tables"
    TRACES = "traces"
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
    "currents": Group.STATE,
    "scores": Group.STATE,
    "neurons": Group.TABLES,
    "current_leaks": Group.TABLES,
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
    "lookup_history": Group.TRACES,
    "level_sums": Group.TRACES,
    "filtered": Group.TRACES,
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


def counted_as(name: str) -> str:
    """Return what the memory `name` is counted as: all banks of one as a whole."""
    for whole, bank in BANKS.items():
        if name.startswith(bank) and name.removeprefix(bank).isdigit():
            return whole
    return name


def memory_bits(chip: Chip) -> Memories:
    """Count the bits of every memory of `chip`."""
    found: dict[str, MemoryCost] = {}
    for memory in memories(chip):
        name = counted_as(memory.name)
        number = 1 + (found[name].banks if name in found else 0)
        # A ring of accumulators is where spikes wait; a single slot only sums.
        group = Group.DELAY_LINE if chip.synapse.slots > 1 else Group.STATE
        found[name] = MemoryCost(name, GROUPS.get(name, group), memory.words, memory.width, number)
    return Memories(tuple(found.values()))


@dataclass(frozen=True, slots=True)
class Speed:
    """What the clocks of recordings mean at `mhz`: exact, as the clocks are.

    least_ms, mean_ms, most_ms : latency of a recording, from its CLEAR to the last END.
    tick_us : of the slowest tick.  recordings_per_s : one after the other.
    real_time : how often the chip could run a recording while it sounds.
    """

    mhz: float
    least_ms: float
    mean_ms: float
    most_ms: float
    tick_us: float
    recordings_per_s: float
    real_time: float


def speed(
    cycles: NDArray[np.integer], total_cycles: NDArray[np.integer], dt_us: int, mhz: float
) -> Speed:
    """Turn clocks into time.

    cycles : integers[R, steps] of every TICK.  total_cycles : integers[R] with events and CLEAR.
    dt_us : length of a tick of the signal.
    """
    if not mhz > 0:
        raise ValueError(f"mhz must be more than 0, not {mhz}")
    if not total_cycles.size:
        raise ValueError("cycles must hold at least one recording")
    mean = float(total_cycles.mean())
    return Speed(
        mhz=mhz,
        least_ms=float(total_cycles.min()) / mhz / 1000,
        mean_ms=mean / mhz / 1000,
        most_ms=float(total_cycles.max()) / mhz / 1000,
        tick_us=float(cycles.max()) / mhz,
        recordings_per_s=1e6 * mhz / mean,
        real_time=dt_us * cycles.shape[1] * mhz / mean,
    )


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
