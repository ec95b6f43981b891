"""Formats of registers and table entries that are the same on every chip."""

from datapath.format import Format

FLAG = Format(1, signed=False)
SHIFT = Format(5, signed=False)
"""A right shift that is a register or in a table."""

KEEP = Format(3, signed=False)
"""Shift of what stays of a gradient after an update."""

RANDOM = Format(32, signed=False)
"""State of a random number generator, never 0."""

STRENGTH = Format(4, signed=False)
"""Left shift of what a neuron fires beyond its target, plus one; 0 is off."""
