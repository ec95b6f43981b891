"""What the gates of a chip take, without synthesizing it: an estimate, fitted on synthesized chips.

`rtl.census` counts what every block is built of. Which memories become block memories, and how
many, follows from the rule of Yosys' `memory_libmap`, and multipliers follow from widths. For all
else there is a factor per part, family and kind of cell, the same in every block: least squares of
the relative errors on the chips of `area.json`, which `python bench/area.py` measures. Every
estimate comes with errors on chips that were held out of the fit: each chip is estimated by a fit
on all the others.
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

from datapath import Chip
from rtl.census import Block, census

DATA = Path(__file__).with_name("area.json")
"""Chips, what they are built of and what they were synthesized to."""

Floats = NDArray[np.float64]
Parts = dict[str, float]


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell of memory in one of its shapes, as Yosys weighs it.

    kind : what it counts as, `count` times.  words, bits : of a cell.
    step : bits of a word that cannot be told apart by Yosys: a word is filled up to them.
    cost : of a cell; `scaled` of it only as far as its bits are in use.
    """

    kind: str
    words: int
    bits: int
    step: int
    cost: int
    scaled: int = 0
    count: int = 1

    def deep(self, words: int) -> int:
        """Count the cells, one after the other, that hold `words` words."""
        return -(-words // self.words)

    def cells(self, words: int, width: int) -> int:
        """Count the cells of a memory."""
        filled = -(-width // self.step) * self.step
        return -(-self.deep(words) * filled // self.bits)

    def weight(self, words: int, width: int) -> float:
        """Return what Yosys takes a memory of these cells to cost."""
        deep = self.deep(words)
        cells = (self.cost - self.scaled) * self.cells(words, width)
        used = self.scaled * deep * width / self.bits
        choice = ((deep - 1) * width + deep * (deep > 1)) / 2
        return cells + used + choice + PORTS


PORTS = 2
"""What the two ports of a memory cost."""

BITS_18K = ((16384, 1, 1), (8192, 2, 2), (4096, 4, 4), (2048, 9, 9), (1024, 18, 9), (512, 36, 9))
"""Words, bits and step of a block memory of 18 kbit."""

BITS_36K = tuple((2 * words, bits, step) for words, bits, step in (*BITS_18K, (256, 72, 9)))

BLOCKS = tuple(Cell("bram", *shape, 128) for shape in BITS_18K)

CELLS = {
    "ice40": tuple(
        Cell("bram", 4096 // bits, bits, step, 64)
        for bits, step in ((2, 2), (4, 4), (8, 8), (16, 1))
    ),
    "ecp5": (Cell("lutram", 16, 4, 4, 4), *BLOCKS),
    "gowin": (Cell("lutram", 16, 4, 4, 4, 4), *BLOCKS),
    "xc7": (
        Cell("lutram", 32, 6, 6, 8, 7),
        Cell("lutram", 64, 3, 3, 8, 7),
        Cell("lutram", 128, 1, 1, 8, 8),
        *(Cell("bram", *shape, 129) for shape in BITS_18K),
        *(Cell("bram", *shape, 257, count=2) for shape in BITS_36K),
    ),
    "osu018": (Cell("apart", 1 << 14, 1, 1, 0),),
}
"""What memories are made of, by family, if not of registers; standard cells have them apart."""


@dataclass(frozen=True, slots=True)
class Multiplier:
    """A multiplier.

    widths : of its factors, the wider one first.  piece : bits by which a factor that is too wide
    is cut.  least : bits of a product, and `narrow` of a factor, for which one is taken.
    """

    widths: tuple[int, int]
    piece: int
    least: int = 0
    narrow: int = 0

    def count(self, a: int, b: int) -> int:
        """Count the multipliers of a product of `a` by `b` bits."""
        return sum(
            x + y >= self.least and min(x, y) >= self.narrow
            for x in self._cut(max(a, b), self.widths[0])
            for y in self._cut(min(a, b), self.widths[1])
        )

    def _cut(self, width: int, most: int) -> list[int]:
        if width <= most:
            return [width]
        whole = -(-width // self.piece) - 1
        return [self.piece] * whole + [width - whole * self.piece]


MULTIPLIERS = {
    "ice40": Multiplier((16, 16), 15, least=11),
    "ecp5": Multiplier((18, 18), 17),
    "gowin": Multiplier((18, 18), 17, narrow=4),
    "xc7": Multiplier((25, 18), 17, least=9),
}
"""By family; standard cells build products of gates."""

PRIORS: dict[str, Parts] = {
    "lut": {"and": 0.5, "mux": 1, "sum": 1},
    "ff": {"register": 1, "captured": 1},
    "um2": {
        "and": 16, "mux": 40, "sum": 96, "register": 128, "captured": 128, "product": 168,
    },
    "lutram": {"lutram": 1},
    "bram": {"bram": 1},
    "dsp": {"dsp": 1},
}  # fmt: skip
"""Cells of a kind that a part takes about; where it is one part alone, exactly."""

TIED = 0.2
"""How firmly factors are tied to their priors, relative to what the chips say: parts that come in
the same proportion in every chip cannot be told apart by them."""

KINDS = {
    "ice40": ("lut", "ff", "bram", "dsp"),
    "ecp5": ("lut", "ff", "lutram", "bram", "dsp"),
    "gowin": ("lut", "ff", "lutram", "bram", "dsp"),
    "xc7": ("lut", "ff", "lutram", "bram", "dsp"),
    "osu018": ("um2", "ff"),
}
"""What is estimated: as `ranvier.devices` counts cells, and um2 without memories."""


def parts(block: Block, family: str) -> Parts:
    """Return what `block` is built of on `family`.

    `product` the bits of products that are built of gates; the others are of `rtl.census`, to which
    memories add what surrounds their cells.
    """
    found: Parts = {"product": 0, "lutram": 0, "bram": 0, "dsp": 0, **block.gates}
    for a, b in block.products:
        if family in MULTIPLIERS:
            found["dsp"] += MULTIPLIERS[family].count(a, b)
        else:
            found["product"] += a * b
    for words, width in block.memories:
        for name, bits in _memory(words, width, family).items():
            found[name] += bits
    return found


def _memory(words: int, width: int, family: str) -> Parts:
    """Return what a memory is built of."""
    cell = min(CELLS[family], key=lambda cell: cell.weight(words, width))
    if family != "osu018" and words * width < cell.weight(words, width):
        return {"register": (words + 1) * width, "mux": (words - 1) * width, "and": words}
    deep = cell.deep(words)
    found: Parts = {"mux": (deep - 1) * width, "and": deep * (deep > 1)}
    if cell.kind != "apart":
        found[cell.kind] = cell.count * cell.cells(words, width)
    if cell.kind == "lutram":
        # They are read in no time; a register makes that a clock.
        found["register"] = width
    elif deep > 1:
        found["register"] = (deep - 1).bit_length()
    return found


@dataclass(frozen=True, slots=True)
class Estimate:
    """Cells of one kind.

    blocks : by block.  mean_error, largest_error : relative, of `held_out` chips, each estimated by
    a fit on all the others.
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
    """Factors by part, and the relative error of every chip, by a fit that has not seen it."""

    factors: Parts
    errors: dict[str, float]


@cache
def table() -> dict[str, Any]:
    """Return what was measured."""
    found: dict[str, Any] = json.loads(DATA.read_text())
    return found


def families() -> tuple[str, ...]:
    """Return the families that chips of the table were measured for."""
    return tuple(f for f in KINDS if any(f in c for c in table()["chips"].values()))


@cache
def fit(family: str, kind: str) -> Fit:
    """Fit the factors of one family and kind on all chips, and on all but each of them."""
    chips = {name: c for name, c in table()["chips"].items() if c.get(family, {}).get(kind)}
    prior = PRIORS[kind]
    # Divided by what it should be, every chip counts alike, however large it is.
    built = {name: _sum(c, family) for name, c in chips.items()}
    rows = np.array([[built[c][part] / chips[c][family][kind] for part in prior] for c in chips])
    start = np.array(list(prior.values()))
    errors = {
        name: float(rows[n] @ _solve(np.delete(rows, n, axis=0), start)) - 1
        for n, name in enumerate(chips)
    }
    return Fit(dict(zip(prior, map(float, _solve(rows, start)), strict=True)), errors)


def _solve(rows: Floats, prior: Floats) -> Floats:
    """Return factors that are not negative, are near `prior` and make every row nearly 1."""
    if len(prior) == 1:
        return prior
    tied = TIED * np.sqrt(len(rows)) * rows.mean(axis=0)
    wanted = np.concatenate([np.ones(len(rows)), tied * prior])
    factors: Floats = nnls(np.vstack([rows, np.diag(tied)]), wanted)[0]
    return factors


def _sum(chip: dict[str, Any], family: str) -> Parts:
    """Return what the blocks of a chip of `area.json` are built of together."""
    each = [parts(Block(*block), family) for block in chip["census"].values()]
    return {name: sum(found[name] for found in each) for name in each[0]}


def estimate(chip: Chip, family: str, kind: str) -> Estimate:
    """Estimate the cells of `kind` that `chip` takes on `family`."""
    found = fit(family, kind)
    blocks = {}
    for name, block in census(chip).items():
        of = parts(block, family)
        blocks[name] = sum(factor * of[part] for part, factor in found.factors.items())
    off = [abs(e) for e in found.errors.values()]
    return Estimate(blocks, float(np.mean(off)), max(off), len(off))
