"""Netlists broken at random: what is tried, what is known already, and what the figures mean."""

import importlib
import json
from dataclasses import asdict

import pytest
from click.testing import CliRunner

from rtl import emit
from sim import broken_gates, cxxrtl, netlists
from sim.mutants import ROOT
from sim.netlists import BLOCKS, YOSYS, Block, Outcome, main, page, survey, tally
from sim.proofs.words import SaturationProof

INVERT = "mutate -mode inv -module dut.tiny -cell $1 -port Y -portbit 0 -src rtl/fixed.py:24"


def _outcome(status, mutation=INVERT, block="lif"):
    return Outcome(block, "0123456789abcdef", mutation, status, "")


@pytest.fixture
def unpatched(monkeypatch):
    """Put back what the runner of broken gates replaces in its own process."""
    monkeypatch.setattr(emit, "rtlil", emit.rtlil)
    monkeypatch.setattr(cxxrtl, "cache_folder", cxxrtl.cache_folder)
    monkeypatch.setattr(cxxrtl, "WINDOWS", cxxrtl.WINDOWS)


@pytest.mark.parametrize("name", BLOCKS)
def test_every_block_has_its_test(name):
    bench = importlib.import_module(f"sim.{BLOCKS[name].bench}")
    assert callable(getattr(bench, BLOCKS[name].name))


def test_every_bench_breaks_something():
    benches = {path.stem for path in (ROOT / "sim").glob("test_*.py")}
    assert benches == {block.bench for block in BLOCKS.values()}


@pytest.mark.usefixtures("unpatched")
def test_gates_are_written_once_and_then_read(tmp_path):
    netlist = tmp_path / "base.il"
    broken_gates.take_from(netlist)
    gates = SaturationProof()
    with pytest.raises(broken_gates.Written):
        emit.rtlil(gates, "top")
    # Where a cell comes from does not tell where the tree lies.
    assert 'attribute \\src "rtl/fixed.py:' in netlist.read_text()
    assert str(ROOT) not in netlist.read_text()
    assert "site-packages" not in netlist.read_text()
    netlist.write_text("other gates")
    assert emit.rtlil(gates, "top") == "other gates"


@pytest.mark.usefixtures("unpatched")
def test_a_mutant_is_what_the_bench_says_of_it(tmp_path, monkeypatch):
    said = iter(["", "tick 3: 4, emulator 5", ""])

    def test(_self, _folder):
        words = next(said)
        assert not words, words

    monkeypatch.setattr(Block, "test", test)
    block = Block("test_chip", "test_chip", cocotb=False)
    heard = broken_gates.in_cxxrtl(block, 2, tmp_path)
    assert [words.splitlines()[:1] for words in heard] == [
        [],
        ["AssertionError: tick 3: 4, emulator 5"],
        [],
    ]


class Fake:
    """A survey whose mutants are known before."""

    asked = 0

    def __init__(self, name, count, seed, folder):
        self.name, self.digest = name, "0123456789abcdef"
        self.mutations = [f"{INVERT} {seed} {n}" for n in range(count)]

    def outcomes(self):
        Fake.asked += 1
        return [_outcome("killed", mutation, self.name) for mutation in self.mutations]


def test_what_is_known_is_not_tried_again(tmp_path, monkeypatch):
    monkeypatch.setattr(netlists, "Survey", Fake)
    results, told = tmp_path / "build" / "results.jsonl", []
    first = survey(("lif", "axi"), 3, 1, results, told.append)
    assert (Fake.asked, told, len(first)) == (2, ["lif", "axi"], 6)
    assert survey(("lif", "axi"), 3, 1, results, told.append) == first
    assert Fake.asked == 2
    # Other mutants are others.
    survey(("lif",), 3, 2, results, told.append)
    assert (Fake.asked, len(results.read_text().splitlines())) == (3, 9)


def test_an_equivalent_mutant_does_not_count():
    outcomes = [_outcome(status) for status in ("killed", "killed", "killed", "survived")]
    outcomes += [_outcome("equivalent"), _outcome("survived", block="axi")]
    assert tally(outcomes, "lif") == (5, 3, 1, 1)
    *_, lif, axi = page(outcomes).splitlines()
    assert lif == "| lif | `sim/test_lif.py::test_lif` | 5 | 3 | 1 | 1 | 75% |"
    assert axi.endswith("| 1 | 0 | 0 | 1 | 0% |")


def test_a_survivor_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(netlists, "Survey", Fake)
    monkeypatch.setattr(netlists.shutil, "which", lambda name: f"/{name}")
    results = tmp_path / "results.jsonl"
    words = ["--block", "lif", "--count", "2", "--results", str(results)]
    done = CliRunner().invoke(main, [*words, "--json"])
    assert done.exit_code == 0
    assert [one["status"] for one in json.loads(done.stdout)] == ["killed", "killed"]
    alive = [asdict(_outcome("survived", f"{INVERT} 1 {n}")) for n in range(2)]
    results.write_text("".join(f"{json.dumps(one)}\n" for one in alive))
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 0
    assert f"lif: {INVERT} 1 0" in done.stdout


def test_mistakes_are_one_sentence(monkeypatch):
    done = CliRunner().invoke(main, ["--block", "luck"])
    assert done.exit_code == 2
    assert "there is no block 'luck', only lif, current" in done.output
    done = CliRunner().invoke(main, ["--json", "--markdown"])
    assert done.exit_code == 2
    assert "--json and --markdown are two answers: choose one" in done.output
    monkeypatch.setenv("PATH", "")
    done = CliRunner().invoke(main, [])
    assert done.exit_code == 1
    assert f"there is no {YOSYS} on the path; `make synth` installs it" in done.stderr
