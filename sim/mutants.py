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

from sim.mutations import MUTANTS, Mutant

ROOT = Path(__file__).resolve().parent.parent
COPIED = ("datapath", "emulator", "rtl", "sim", "pyproject.toml")
TIMEOUT = 600
"""Seconds after which a bench that does not end counts as one that noticed."""


@dataclass(frozen=True, slots=True)
class Outcome(Mutant):
    """What became of a mutant.

    status : `caught` by a comparison of its bench, `survived`, `lost` the text it replaces, or
    `broken` so that it does not even run.  said : first words of the bench.
    """

    number: int
    status: str
    said: str
    seconds: float


def attempt(number: int, mutant: Mutant, tree: Path) -> Outcome:
    """Apply one mutant to `tree`, run its bench, and take it back."""
    start = time.perf_counter()
    target = tree / mutant.file
    text = target.read_text()
    if text.count(mutant.old) != 1:
        status, said = "lost", f"the text occurs {text.count(mutant.old)} times"
    else:
        target.write_text(text.replace(mutant.old, mutant.new))
        status, said = judge(mutant.bench, tree)
        target.write_text(text)
    seconds = time.perf_counter() - start
    return Outcome(**asdict(mutant), number=number, status=status, said=said, seconds=seconds)


def judge(bench: str, tree: Path) -> tuple[str, str]:
    """Run one pytest selection in `tree`: (status of the mutant in it, first words)."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", bench]
    # Byte code is told apart by seconds, and mutants come faster.
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
        return "caught", f"no end after {TIMEOUT} seconds"
    if done.returncode == 0 and " passed" in done.stdout:
        return "survived", ""
    said = next((x[1:].strip() for x in done.stdout.splitlines() if x.startswith("E  ")), "")
    return "caught" if said.startswith("AssertionError") else "broken", said


def snapshot(tree: Path) -> None:
    """Copy what benches need to `tree`, where nobody edits it."""
    for name in COPIED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, tree / name)


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print the outcomes as JSON.")
@click.option("--only", type=int, multiple=True, help="Number of a mutant to try; repeatable.")
def main(as_json: bool, only: tuple[int, ...]) -> None:
    """Break one line at a time and check that a bench notices."""
    numbers = only or tuple(range(len(MUTANTS)))
    for number in numbers:
        if not 0 <= number < len(MUTANTS):
            raise click.BadParameter(f"there is no mutant {number}, only 0 to {len(MUTANTS) - 1}")
    benches = sorted({MUTANTS[number].bench for number in numbers})
    outcomes = []
    with (
        tempfile.TemporaryDirectory() as folder,
        Progress(console=Console(stderr=True)) as progress,
    ):
        tree = Path(folder)
        snapshot(tree)
        task = progress.add_task("", total=len(benches) + len(numbers))
        for bench in benches:
            progress.update(task, description=f"unbroken: {bench[-40:]}")
            status, said = judge(bench, tree)
            if status != "survived":
                raise click.ClickException(
                    f"{bench} does not pass before anything is broken: {said}"
                )
            progress.advance(task)
        for number in numbers:
            progress.update(task, description=f"{number}: {MUTANTS[number].why[:50]}")
            outcomes.append(attempt(number, MUTANTS[number], tree))
            progress.advance(task)
    if as_json:
        print(json.dumps([asdict(outcome) for outcome in outcomes], indent=1))
    else:
        _print(outcomes)
    raise SystemExit(any(outcome.status != "caught" for outcome in outcomes))


def _print(outcomes: list[Outcome]) -> None:
    table = Table("", "file", "broken", "", "by", "s")
    for o in outcomes:
        bench = o.bench.partition("::")[2] or o.bench
        table.add_row(str(o.number), o.file, o.why, o.status, bench, f"{o.seconds:.0f}")
    caught = sum(o.status == "caught" for o in outcomes)
    console = Console()
    console.print(table)
    console.print(f"{caught} of {len(outcomes)} mutants caught")


if __name__ == "__main__":
    main()
