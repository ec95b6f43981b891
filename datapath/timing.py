"""Clock cycles of every phase of a tick; the emulator adds them up, the simulated gates take them.

Figures are from one accepted command to the next, with the sink always ready.
"""

from __future__ import annotations

from datapath.chip import Chip

EVENT = 3
"""Accept one input event."""

CLEAR = 2
"""Start a recording, beside one cycle per word of the deepest state memory."""

TICK = 4
"""Accept a tick, and send its end marker."""

POPULATION = 8
"""Read a population's entry, and fill and drain the membrane pipeline, beside its blocks."""

PROJECTION = 12
"""Read a projection's entry, and fill and drain the delivery pipeline, beside its sources."""

ROW = 4
"""Fewest cycles of one delivery: an accumulator may be read again only after it was written."""

EMIT = 6
"""Fill and drain the read-out pipeline, beside one cycle per neuron."""


def clear_cycles(chip: Chip) -> int:
    """Cycles in which a CLEAR command empties membranes, scores and the delay line."""
    deepest = max(
        chip.neuron_blocks * chip.synapse.slots,
        chip.channel_blocks * chip.axon.channel_steps,
        chip.neuron_blocks * chip.axon.neuron_steps,
        chip.readout.classes,
    )
    return CLEAR + deepest
