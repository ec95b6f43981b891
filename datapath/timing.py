"""Clock cycles of every phase of a tick; the emulator adds them up, the simulated gates take them.

Figures are from one accepted command to the next, with the sink always ready.
"""

from __future__ import annotations

from datapath.chip import Chip

EVENT = 4
"""Accept one input event."""

CLEAR = 1
"""Start a recording, beside one cycle per word of the deepest state memory."""

TICK = 7
"""Accept a tick, and send its end marker."""

POPULATION = 14
"""Read a population's entry, and fill and drain the membrane pipeline, beside its blocks."""

CURRENT = 4
"""Send a population through the currents, on a chip that has them."""

PROJECTION = 9
"""Read a projection's entry, and fill and drain the delivery pipeline, beside its sources."""

ROW = 3
"""Fewest cycles of one delivery: an accumulator may be read again only after it was written."""

EMIT = 8
"""Fill and drain the read-out pipeline, beside one cycle per neuron."""

READ = 3
"""From a read on the host bus to its beat in `result`."""

LEVELS = 5
"""Look up the error levels of a readout population, beside twice its blocks."""

LEARN = 5
"""Accept a LEARN and send its end marker, beside one cycle per word of the accumulators."""

STEP = 3
"""One tick of the sweep."""

STEP_POPULATION = 2
"""One population in one tick of the sweep, or in an UPDATE: read its entry and its rule."""

SIGNAL = 20
"""Fill and drain the signal of a population, beside one cycle per neuron of a LIF one."""

SIGNAL_BLOCK = 4
"""Look at a block and filter it."""

SLOPE = 8
"""Fill and drain the derivative of a population, beside 2 K + 1 cycles per block."""

CREDIT = 24
"""Fill and drain the credit of a projection, beside its sources and rows."""

PASSED = 2
"""Read the entry of a projection that does not learn, or not in this tick of the sweep."""

UPDATE = 7
"""Accept an UPDATE and send its end marker."""

UPDATE_PROJECTION = 12
"""Fill and drain the update of a projection, beside its words and axons."""


def population_cycles(chip: Chip) -> int:
    """Cycles of a population, beside its blocks."""
    return POPULATION + (CURRENT if chip.current is not None else 0)


def clear_cycles(chip: Chip) -> int:
    """Cycles in which a CLEAR command empties every state memory, side by side."""
    deepest = max(
        chip.neuron_blocks * chip.synapse.slots,
        chip.channel_blocks * chip.axon.channel_steps,
        chip.neuron_blocks * chip.axon.neuron_steps,
        chip.readout.classes,
    )
    return CLEAR + deepest
