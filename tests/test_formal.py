"""Claims about gates: their bugs are in the tree, and their gates can be written."""

import fnmatch
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from rtl.emit import rtlil
from sim.formal import PROGRAMS, Verdict, main
from sim.proofs import PROOFS, Bug

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("name", PROOFS)
def test_every_bug_breaks_one_place(name):
    bug = PROOFS[name].bug
    assert bug.text(ROOT) != (ROOT / bug.file).read_text()


def test_a_bug_whose_line_is_gone_is_named():
    with pytest.raises(ValueError, match=r"rtl/fixed\.py: 'no such line' occurs 0 times"):
        Bug("rtl/fixed.py", "no such line", "").text(ROOT)


@pytest.mark.parametrize("name", PROOFS)
def test_every_claim_asserts_something(name):
    assert 'FLAVOR "assert"' in rtlil(PROOFS[name].make(), "top")


@pytest.mark.parametrize("name", [name for name in PROOFS if PROOFS[name].cut])
def test_what_is_cut_off_is_there(name):
    modules = re.findall(r"^module \\(\S+)", rtlil(PROOFS[name].make(), "top"), re.MULTILINE)
    for pattern in PROOFS[name].cut:
        assert fnmatch.filter(modules, pattern), f"{pattern} is none of {modules}"


def test_a_claim_is_proven_only_if_its_proof_can_fail():
    assert Verdict("ring", holds=True, happens=True, caught=True, seconds=1).good
    for doubt in ("holds", "happens", "caught"):
        sure = {"holds": True, "happens": True, "caught": True} | {doubt: False}
        assert not Verdict("ring", **sure, seconds=1).good


def test_mistakes_are_one_sentence(monkeypatch):
    done = CliRunner().invoke(main, ["--only", "luck"])
    assert done.exit_code == 2
    assert "there is no claim 'luck', only saturation, rounding, random, ring" in done.stderr
    monkeypatch.setenv("PATH", "")
    done = CliRunner().invoke(main, [])
    assert done.exit_code == 1
    assert f"there is no {PROGRAMS[0]} on the path; `make synth` installs" in done.stderr
