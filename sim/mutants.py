"""Break emulator and gates on purpose, one line at a time, and see whether the benches notice.

`python -m sim.mutants` works in a temporary copy of the tree.  It prints which mutant which bench
caught, and fails if one survives or if the text that a mutant replaces is no longer there.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import click
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

ROOT = Path(__file__).resolve().parent.parent
COPIED = ("datapath", "emulator", "rtl", "sim", "tests", "pyproject.toml")
TIMEOUT = 600
"""Seconds after which a bench that does not end counts as one that noticed."""


@dataclass(frozen=True, slots=True)
class Mutant:
    """One line broken.

    file : path in the tree.  old, new : exact text, found once, and what replaces it.
    why : what goes wrong, and with which input a bench can see it.
    benches : what pytest runs, cheapest first.
    """

    file: str
    old: str
    new: str
    why: str
    benches: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a mutant: `caught` by a bench, `survived`, or `lost` its text."""

    number: int
    file: str
    why: str
    status: str
    bench: str
    seconds: float


MUTANTS: tuple[Mutant, ...] = ()


def attempt(number: int, mutant: Mutant) -> Outcome:
    """Apply one mutant to a copy of the tree and run its benches until one fails."""
    start = time.perf_counter()
    status, caught = "survived", ""
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder)
        for name in COPIED:
            _copy(ROOT / name, tree / name)
        target = tree / mutant.file
        text = target.read_text()
        if text.count(mutant.old) != 1:
            status = "lost"
        else:
            target.write_text(text.replace(mutant.old, mutant.new))
            for bench in mutant.benches:
                if not _passes(bench, tree):
                    status, caught = "caught", bench
                    break
    seconds = time.perf_counter() - start
    return Outcome(number, mutant.file, mutant.why, status, caught, seconds)


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copy(source, target)


def _passes(bench: str, tree: Path) -> bool:
    """Run one pytest selection in `tree`; a bench that is skipped or missing is an error."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", bench]
    environment = {**os.environ, "PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        done = subprocess.run(
            command,
            cwd=tree,
            env=environment,
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return False
    if done.returncode not in (0, 1) or (not done.returncode and " passed" not in done.stdout):
        raise RuntimeError(f"{bench} did not run:\n{done.stdout}{done.stderr}")
    return done.returncode == 0


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print the outcomes as JSON.")
@click.option("--only", type=int, multiple=True, help="Number of a mutant to try; repeatable.")
def main(as_json: bool, only: tuple[int, ...]) -> None:
    """Break one line at a time and check that a bench notices."""
    numbers = only or tuple(range(len(MUTANTS)))
    for number in numbers:
        if not 0 <= number < len(MUTANTS):
            raise click.BadParameter(f"there is no mutant {number}, only 0 to {len(MUTANTS) - 1}")
    outcomes = []
    with Progress(console=Console(stderr=True)) as progress:
        task = progress.add_task("mutants", total=len(numbers))
        for number in numbers:
            progress.update(task, description=f"{number}: {MUTANTS[number].why[:50]}")
            outcomes.append(attempt(number, MUTANTS[number]))
            progress.advance(task)
    if as_json:
        print(json.dumps([asdict(outcome) for outcome in outcomes], indent=1))
    else:
        _print(outcomes)
    raise SystemExit(any(outcome.status != "caught" for outcome in outcomes))


def _print(outcomes: list[Outcome]) -> None:
    table = Table("", "file", "broken", "", "by", "s")
    for o in outcomes:
        table.add_row(str(o.number), o.file, o.why, o.status, o.bench, f"{o.seconds:.0f}")
    caught = sum(o.status == "caught" for o in outcomes)
    console = Console()
    console.print(table)
    console.print(f"{caught} of {len(outcomes)} mutants caught")


if __name__ == "__main__":
    main()
