"""What the gates of a chip take, without synthesizing it: an estimate, fitted on synthesized chips.

Every block has one formula of its widths for what is in it, worked out from `rtl/`; one factor per
block, family and kind of cell is fitted by non-negative least squares of the relative errors on the
chips of `area.json` (`python bench/area.py` measures them again), and every estimate comes with the
errors on chips that were held out of the fit. Which memories become block memories follows the cost
rule of Yosys' `memory_libmap`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from datapath import Chip, Leak, Learn
from datapath.memory import BUS, Memory, memories

DATA = Path(__file__).with_name("area.json")
"""The chips of the fit, their parameters and what they were synthesized to."""

Features = dict[str, float]


@dataclass(frozen=True, slots=True)
class Ram:
    """How a family builds memories.

    shapes : words and bits of a block memory, none if there is none.  small : words and bits of a
    memory made of look-up tables, none if empty.  worth : with more than so many small ones for
    each block memory, block memories are taken; without small ones, with more bits than that.
    """

    shapes: tuple[tuple[int, int], ...]
    small: tuple[int, int] | None
    worth: int

    def blocks(self, memory: Memory) -> int:
        """Count the block memories that `memory` would take."""
        return min(-(-memory.words // w) * -(-memory.width // b) for w, b in self.shapes)

    def pieces(self, memory: Memory) -> int:
        """Count the small memories that `memory` would take."""
        assert self.small is not None
        words, bits = self.small
        return -(-memory.words // words) * -(-memory.width // bits)

    def place(self, memory: Memory) -> str:
        """Return what `memory` is made of: `bram`, `lutram`, `registers` or, apart, `memory`."""
        if not self.shapes:
            return "memory"
        if memory.words <= FEW:
            return "registers"
        if self.small is None:
            return "bram" if memory.bits > self.worth else "registers"
        return "bram" if self.pieces(memory) > self.worth * self.blocks(memory) else "lutram"


TIED = 0.3
"""How firmly factors are tied to their prior, relative to what the chips say."""

FEW = 2
"""Words of a memory that is made of registers everywhere."""

LOGIC_UM2, REGISTER_UM2 = 100, 96
"""Where the factors of standard cells start from: some gates, and a DFFPOSX1."""

ADDRESS = 12
"""Logic that decides whether an address is that of a memory, about."""

SHARED = 32
"""Registers for flags and counters that a block with a sequence of its own has about."""

WIDE = ((512, 36), (1024, 18), (2048, 9), (4096, 4), (8192, 2), (16384, 1))
"""Shapes of a block memory of 18 kbit."""

RAMS = {
    "ice40": Ram(((256, 16), (512, 8), (1024, 4), (2048, 2)), None, 64),
    "ecp5": Ram(WIDE, (16, 4), 25),
    "gowin": Ram(WIDE, (16, 4), 25),
    "xc7": Ram(WIDE, (32, 6), 16),
    "osu018": Ram((), None, 0),
}
"""The families that are estimated. Standard cells have no memories: they are counted apart."""

KINDS = {
    "ice40": ("lut", "ff", "bram", "dsp"),
    "ecp5": ("lut", "ff", "lutram", "bram", "dsp"),
    "gowin": ("lut", "ff", "lutram", "bram", "dsp"),
    "xc7": ("lut", "ff", "lutram", "bram", "dsp"),
    "osu018": ("um2", "ff"),
}
"""What is estimated: as `ranvier.devices` counts cells, and um2 without memories."""

MULTIPLIES = {"ice40", "ecp5", "gowin", "xc7"}
"""Families with multipliers of their own; the others build them of what they have."""


def _bits(count: int) -> int:
    """Bits of an index below `count`."""
    return max(1, (count - 1).bit_length())


@dataclass(frozen=True, slots=True)
class Sizes:
    """Widths of a chip that the formulas are written in, in bits."""

    weight: int
    factor: int
    acc: int
    place: int
    delay: int
    v: int
    bias: int
    coefficient: int
    count: int
    source: int
    deepest: int

    @classmethod
    def of(cls, chip: Chip) -> Sizes:
        """Return the widths of `chip`."""
        synapse, axon = chip.synapse, chip.axon
        return cls(
            weight=synapse.weight.width,
            factor=_bits((axon.count.max << synapse.scale.max) + 1),
            acc=synapse.acc.width,
            place=_bits(synapse.slots) + _bits(chip.neuron_blocks),
            delay=synapse.delay.width if synapse.synaptic or synapse.dendritic else 0,
            v=chip.lif.v.width,
            bias=chip.lif.bias.width,
            coefficient=chip.lif.coefficient.width,
            count=axon.count.width,
            source=_bits(max(chip.channels, chip.neurons)),
            deepest=_bits(max(axon.channel_steps, axon.neuron_steps)),
        )


def _registers(chip: Chip, ram: Ram) -> Features:
    """Return the bits of registers of every block, as `rtl/` declares them."""
    b, lanes = Sizes.of(chip), chip.lanes
    multiplies = chip.lif.leak is Leak.MULTIPLY
    # Without delays of their own, all lanes add at the same place.
    places = lanes if b.delay else 1
    synapse = 4 * b.weight + b.factor + 2 * b.acc + b.delay
    drive = max(chip.drive.width, b.bias) + 1
    leak = b.v + (b.coefficient if multiplies else b.v)
    lif = leak + 2 * drive + max(drive, b.v) + 10 * b.v + b.bias + b.coefficient + 6
    if chip.current is not None:
        i, coefficient = chip.current.i.width, chip.current.coefficient.width
        # Two words read, two of the leak, what waits, the sum, and the flag that follows a neuron.
        lif += 5 * i + 2 * b.acc + 2 * coefficient + 8
    loaded = [m for m in memories(chip) if not m.state]
    built = memories(chip)
    return {
        "synapse": lanes * synapse + 4 * places * b.place + 4 * b.factor + 5 * b.place,
        "lif": lanes * lif,
        "axon": 7 * b.source + 3 * b.deepest + 2 * lanes * b.count + lanes + SHARED,
        "host": sum(m.width + min(BUS, m.width) + 5 for m in loaded)
        + (2 + max(m.beats for m in loaded)) * BUS,
        "readout": 4 * chip.readout.score.width + b.v,
        "chip": lanes * (2 * b.v + b.bias + b.coefficient) + chip.readout.score.width,
        "memories": sum(m.width for m in built if ram.place(m) in ("lutram", "registers")),
        "memories, words": sum(m.bits for m in built if ram.place(m) == "registers"),
        "sequencer": 2 * SHARED + 4 * b.source + 4 * b.deepest,
    }


def _logic(chip: Chip, family: str) -> Features:
    """Return the bits of sums, choices and products of every block."""
    ram, b, lanes = RAMS[family], Sizes.of(chip), chip.lanes
    multiplies = chip.lif.leak is Leak.MULTIPLY
    soft = family not in MULTIPLIES
    loaded = [m for m in memories(chip) if not m.state]
    small = [m for m in memories(chip) if ram.place(m) == "lutram"]
    deep = [-(-m.words // ram.small[0]) if ram.small else 1 for m in small]
    kept = sum(m.bits for m in memories(chip) if ram.place(m) == "registers")
    flow = product = shift = 0
    if chip.current is not None:
        i = chip.current.i.width
        flow = 3 * i + b.acc
        product = i * chip.current.coefficient.width * (chip.current.leak is Leak.MULTIPLY)
        shift = i * 2 * _bits(i) * (chip.current.leak is not Leak.MULTIPLY)
    return {
        "synapse": lanes * 2 * b.acc + 3 * (lanes if b.delay else 1) * b.place,
        "synapse, delays": lanes * 4 * _bits(chip.synapse.slots) * (b.delay > 0),
        "synapse, products": lanes * b.weight * b.factor * soft,
        "lif": lanes * (6 * b.v + 2 * max(chip.drive.width, b.bias) + flow),
        "lif, products": lanes * (b.v * b.coefficient * multiplies + product) * soft,
        "lif, shifts": lanes * (b.v * 2 * _bits(b.v) * (not multiplies) + shift),
        "axon": lanes * 4 * b.count + 3 * b.source + 8 * b.deepest * (1 + bool(chip.axon.delays)),
        "host": sum(min(BUS, m.width) * (1 + m.beats) + ADDRESS for m in loaded),
        "readout": 4 * chip.readout.score.width,
        "memories": sum(m.width * (n - 1) for m, n in zip(small, deep, strict=True)),
        "memories, words": kept,
        "sequencer": 8 * SHARED,
    }


def _learning(chip: Chip, learn: Learn | None) -> Features:
    """Return what learning adds: per lane, per lane with delays that learn, and once."""
    if learn is None:
        return {"learning": 0, "learning, delays": 0, "learning, shared": 0}
    delays = chip.synapse.synaptic or chip.axon.delays > 0
    weights = learn.weight_gradient.width + learn.rate.width + learn.weight_fraction.width
    signals = learn.filtered.width + learn.signal.width + learn.slope.width + learn.lookup.width
    moved = learn.delay_gradient.width + learn.rate.width + learn.delay_fraction.width
    return {
        "learning": chip.lanes * (weights + signals),
        # Axons learn one at a time, synapses one per lane.
        "learning, delays": (chip.lanes if chip.synapse.synaptic else 1) * moved * delays,
        "learning, shared": 1,
    }


def features(chip: Chip, family: str) -> dict[str, Features]:
    """Return the sizes of the parts of `chip` that its cells are taken to grow with, by kind."""
    learning = _learning(chip, chip.learn)
    registers = _registers(chip, RAMS[family]) | learning
    logic = _logic(chip, family) | learning
    multiplies = chip.lif.leak is Leak.MULTIPLY
    products = {
        "synapse": chip.lanes,
        "lif": chip.lanes
        * (multiplies + (chip.current is not None and chip.current.leak is Leak.MULTIPLY)),
        "learning": chip.lanes * (chip.learn is not None),
        "learning, delays": (chip.lanes if chip.synapse.synaptic else 1)
        * bool(learning["learning, delays"]),
        "learning, shared": learning["learning, shared"],
    }
    area = {name: LOGIC_UM2 * size for name, size in logic.items()}
    area |= {f"{name}, registers": REGISTER_UM2 * size for name, size in registers.items()}
    return {"ff": registers, "lut": logic, "um2": area, "dsp": products} | {
        kind: {"memories": _ruled(chip, family, kind)} for kind in RULED if kind in KINDS[family]
    }


def _ruled(chip: Chip, family: str, kind: str) -> int:
    """Count the memory cells of one kind that the rule of `Ram` gives."""
    ram = RAMS[family]
    built = [m for m in memories(chip) if ram.place(m) == kind]
    return sum(ram.blocks(m) if kind == "bram" else ram.pieces(m) for m in built)


RULED = ("lutram", "bram")
"""Kinds that follow from the memories by rule; nothing is fitted."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """Cells of one kind.

    blocks : by block.  mean_error, largest_error : relative, of the `held_out` chips, which the fit
    has not seen.
    """

    blocks: dict[str, float]
    mean_error: float
    largest_error: float
    held_out: int

    @property
    def total(self) -> float:
        """Of the chip."""
        return sum(self.blocks.values())


@dataclass(frozen=True, slots=True)
class Fit:
    """Factors by feature, the chips they are from, and relative errors of held-out chips."""

    factors: dict[str, float]
    seen: tuple[str, ...]
    errors: dict[str, float]


@cache
def table() -> dict[str, Any]:
    """Return what was measured."""
    found: dict[str, Any] = json.loads(DATA.read_text())
    return found


def families() -> tuple[str, ...]:
    """Return the families that every chip of the table was measured for."""
    return tuple(f for f in KINDS if all(f in c for c in table()["chips"].values()))


@cache
def fit(family: str, kind: str) -> Fit:
    """Fit the factors of one family and kind on the chips that are not held out."""
    chips = {name: c for name, c in table()["chips"].items() if family in c}
    fitted = {name: c for name, c in chips.items() if not c["held_out"] and c[family][kind]}
    seen = list(fitted.values())
    names = tuple(seen[0]["features"][family][kind])
    if kind in RULED:
        factors = np.ones(len(names))
    else:
        # Divided by what it should be, every chip counts alike, however large it is.
        rows = [[c["features"][family][kind][n] / c[family][kind] for n in names] for c in seen]
        counted = np.array([not name.startswith("learning") for name in names])
        factors = _solve(np.array(rows), counted)
    found = dict(zip(names, (float(f) for f in factors), strict=True))
    errors = {
        name: _sum(found, c["features"][family][kind]) / c[family][kind] - 1
        for name, c in chips.items()
        if c["held_out"] and c[family][kind]
    }
    return Fit(found, tuple(fitted), errors)


def _solve(rows: NDArray[np.float64], counted: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return factors that are not negative and make every row nearly 1.

    counted : whose features are counts of what is there: their factors are near 1, and what the
    chips cannot tell apart stays there.
    """
    tied = TIED * np.sqrt(len(rows)) * rows.mean(axis=0) * counted
    wanted = np.concatenate([np.ones(len(rows)), tied])
    factors: NDArray[np.float64] = nnls(np.vstack([rows, np.diag(tied)]), wanted)[0]
    return factors


def _sum(factors: dict[str, float], of: Features) -> float:
    return sum(factors[name] * size for name, size in of.items())


def estimate(chip: Chip, family: str, kind: str) -> Estimate:
    """Estimate the cells of `kind` that `chip` takes on `family`."""
    found = fit(family, kind)
    blocks: dict[str, float] = {}
    for name, size in features(chip, family)[kind].items():
        block = name.partition(",")[0]
        blocks[block] = blocks.get(block, 0.0) + found.factors[name] * size
    off = [abs(e) for e in found.errors.values()]
    return Estimate(blocks, float(np.mean(off)), max(off), len(off))
