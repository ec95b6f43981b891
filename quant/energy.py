"""What the operations of a chip may take in energy: an estimate, from published figures.

The figures are for 45 nm and 0.9 V, and of ready blocks, not of this chip. What they leave open is
the spread that is given:

* A memory below 8 KiB takes as much as one of 8 KiB (high), or less with the square root of its
  size, as the larger ones of the table do (low).
* Every register of the chip is clocked in every clock (high), or one in ten is, the others being
  gated (low).
* A sum of n bits takes n times the figure per bit of the 8-bit adder (high) or of the 32-bit one
  (low); likewise a product, per bit of both operands.

A write is taken to cost what a read does. Clock tree, leakage, pads and whatever feeds the chip are
not counted.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from quant.operations import Operations


@dataclass(frozen=True, slots=True)
class Entry:
    """One published figure: `pj` picojoule for one operation on `bits` bits."""

    operation: str
    bits: int
    pj: float
    source: str
    year: int


HOROWITZ = "M. Horowitz, Computing's energy problem, ISSCC, figure 1.1.9"
HAN = "S. Han et al., Learning both weights and connections, NeurIPS 2015, table 1"
TABLE = {
    "add 8": Entry("sum of 8 bits", 8, 0.03, HOROWITZ, 2014),
    "add 32": Entry("sum of 32 bits", 32, 0.1, HOROWITZ, 2014),
    "multiply 8": Entry("product of 8 by 8 bits", 8, 0.2, HOROWITZ, 2014),
    "multiply 32": Entry("product of 32 by 32 bits", 32, 3.1, HOROWITZ, 2014),
    "read 8 KiB": Entry("64 bits out of 8 KiB of SRAM", 64, 10.0, HOROWITZ, 2014),
    "read 32 KiB": Entry("64 bits out of 32 KiB of SRAM", 64, 20.0, HOROWITZ, 2014),
    "read 1 MiB": Entry("64 bits out of 1 MiB of SRAM", 64, 100.0, HOROWITZ, 2014),
    "register": Entry("32 bits of a register file", 32, 1.0, HAN, 2015),
}
"""Where every figure is from."""

MEMORIES = {"read 8 KiB": 8 << 13, "read 32 KiB": 32 << 13, "read 1 MiB": 1 << 23}
"""Bits of the memories of the table."""

GATED = 0.1
"""Share of the registers that are clocked where the others are gated."""


@dataclass(frozen=True, slots=True)
class Spread:
    """Picojoule for all operations of one kind, at least and at most."""

    name: str
    low: float
    high: float


def per_bit(name: str) -> float:
    """Picojoule per bit of an entry of `TABLE`."""
    return TABLE[name].pj / TABLE[name].bits


def access(width: int, bits: int) -> tuple[float, float]:
    """Return the picojoule of an access to `width` bits out of `bits`, at least and at most."""
    sizes = np.log(list(MEMORIES.values()))
    known = np.log([per_bit(name) for name in MEMORIES])
    size = np.log(bits)
    if size <= sizes[0]:
        return width * float(np.exp(known[0] + (size - sizes[0]) / 2)), width * per_bit(
            "read 8 KiB"
        )
    beyond = max(0.0, size - sizes[-1])
    each = width * float(np.exp(np.interp(size, sizes, known) + beyond / 2))
    return each, each


def arithmetic(widths: tuple[int, ...]) -> tuple[float, float]:
    """Return the picojoule of a sum or product, at least and at most."""
    if len(widths) == 1:
        return widths[0] * per_bit("add 32"), widths[0] * per_bit("add 8")
    square = widths[0] * widths[1]
    return square * per_bit("multiply 32") / 32, square * per_bit("multiply 8") / 8


def energy(done: Operations, registers: float, clocks: int) -> tuple[Spread, ...]:
    """Return the energy of all operations `done`, by memory and kind.

    registers : bits of registers of the chip.  clocks : that the operations took.
    """
    spreads = []
    for memory in done.accesses:
        low, high = access(memory.width, memory.bits)
        number = memory.reads + memory.writes
        spreads.append(Spread(memory.name, number * low, number * high))
    for one in done.arithmetic:
        low, high = arithmetic(one.widths)
        spreads.append(Spread(one.name, one.number * low, one.number * high))
    clocked = registers * clocks * per_bit("register")
    return (*spreads, Spread("registers", GATED * clocked, clocked))
