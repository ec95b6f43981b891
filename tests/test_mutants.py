"""The list of mutants still is about this tree, and a verdict is what pytest said."""

import asyncio
import time
from dataclasses import asdict
from pathlib import Path

import pytest
from click.testing import CliRunner

from sim.mutants import ROOT, Outcome, Tree, main, page, verdict
from sim.mutations import MUTANTS, Mutant

PASSES = "def test():\n    assert 1 == 1\n"
HANGS = """
import pathlib, subprocess, sys

def test():
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    pathlib.Path("pid").write_text(str(child.pid))
    child.wait()
"""


@pytest.mark.parametrize("number", range(len(MUTANTS)))
def test_mutant_replaces_what_occurs_once(number):
    mutant = MUTANTS[number]
    assert (ROOT / mutant.file).read_text().count(mutant.old) == 1, mutant.old
    assert mutant.new != mutant.old
    file, _, name = mutant.bench.partition("::")
    bench = (ROOT / file).read_text()
    assert f"def {name.partition('[')[0]}" in bench


def test_no_mutant_is_there_twice_and_both_sides_have_ten():
    assert len({(m.file, m.old, m.new) for m in MUTANTS}) == len(MUTANTS)
    rooms = [mutant.file.partition("/")[0] for mutant in MUTANTS]
    assert set(rooms) == {"rtl", "emulator"}
    assert min(rooms.count("rtl"), rooms.count("emulator")) >= 10


@pytest.mark.parametrize(
    ("lines", "code", "status"),
    [
        (["1 passed in 2.00s"], 0, "survived"),
        (["1 skipped in 2.00s"], 0, "broken"),
        (["E   AssertionError: tick 3: 4, emulator 5", "1 failed"], 1, "caught"),
        (["E       assert 4 == 5", "E        +  where", "1 failed"], 1, "caught"),
        (["E   SyntaxError: invalid syntax", "1 error"], 2, "broken"),
        (["E   RuntimeError: icarus cannot build the gates", "1 failed"], 1, "broken"),
        ([], 4, "broken"),
    ],
)
def test_only_a_failed_comparison_catches(lines, code, status):
    assert verdict(lines, code)[0] == status


@pytest.mark.parametrize(
    ("old", "new", "status", "said"),
    [
        ("1 == 1", "1 == 2", "caught", "assert 1 == 2"),
        ("1 == 1", "1 < 2", "survived", ""),
        ("1 == 1", "one == 1", "broken", "NameError: name 'one' is not defined"),
        ("2 == 2", "2 == 3", "lost", "the text occurs 0 times"),
    ],
)
def test_a_mutant_is_tried_and_taken_back(tmp_path, old, new, status, said):
    tree = Tree(tmp_path, 0)
    target = tree.path / "test_one.py"
    target.write_text(PASSES)
    mutant = Mutant("test_one.py", old, new, "a sum", "test_one.py")
    outcome = asyncio.run(tree.attempt(0, mutant))
    assert (outcome.status, outcome.said) == (status, said)
    assert target.read_text() == PASSES


def test_what_a_bench_started_ends_with_it(tmp_path):
    tree = Tree(tmp_path, 0)
    (tree.path / "test_one.py").write_text(HANGS)
    told = tree.path / "pid"

    async def interrupt():
        task = asyncio.create_task(tree.judge("test_one.py"))
        while not told.exists() or not told.read_text():
            await asyncio.sleep(0.05)
        task.cancel()
        await asyncio.wait([task])

    def runs():
        try:
            return Path("/proc", told.read_text(), "stat").read_text().split()[2] != "Z"
        except FileNotFoundError:
            return False

    asyncio.run(interrupt())
    until = time.monotonic() + 20
    # On a busy machine the signal is sent before it is received.
    while runs():
        assert time.monotonic() < until
        time.sleep(0.05)


def test_page_says_what_was_measured():
    given = Mutant("rtl/fixed.py", "a |\n    b", "a & b", "either is enough", "sim/test_lif.py")
    outcome = Outcome(**asdict(given), number=3, status="caught", said="", seconds=7.5)
    *_, row = page([outcome]).splitlines()
    assert "1 of 1 caught, in 8 seconds" in page([outcome])
    assert row == (
        r"| 3 | rtl/fixed.py | `a \| b` | `a & b` | either is enough | `sim/test_lif.py` | 7.5 |"
    )


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--only", str(len(MUTANTS))], f"there is no mutant {len(MUTANTS)}, only 0 to"),
        (["--json", "--markdown"], "--json and --markdown are two answers: choose one"),
    ],
)
def test_refuses(words, sentence):
    said = CliRunner().invoke(main, words)
    assert said.exit_code == 2
    assert sentence in said.output
