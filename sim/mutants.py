"""Break emulator and gates on purpose, one line at a time, and see whether the benches notice.

`python -m sim.mutants` works in temporary copies of the tree.  It prints which mutant which bench
caught, and fails if one survives, if one does not even run, or if the text that a mutant replaces
is no longer there.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import click
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from sim.mutations import MUTANTS, Mutant

ROOT = Path(__file__).resolve().parent.parent
COPIED = ("datapath", "emulator", "rtl", "sim", "tests", "pyproject.toml")
TIMEOUT = 300
"""Seconds after which a bench that does not end counts as one that noticed."""

MARKDOWN = """\
# Mutants

Lines of gates and emulator, each broken on purpose, and the bench that noticed. Written by
`python -m sim.mutants --markdown`: {caught} of {all} caught, in {seconds:.0f} seconds. The last
column is the time until the first comparison failed, the start of the bench included.

|  | file | was | became | what goes wrong, and for which input | caught by | s |
|--:|---|---|---|---|---|--:|
"""


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


class Tree:
    """A copy of the tree in a folder that goes when all is over, and the benches in it."""

    def __init__(self, folder: Path, number: int) -> None:
        self.path = folder / str(number)
        # Mutants stay out of the caches of the user; these two go with the folder.
        self.environment = {
            **os.environ,
            "PYTHONPATH": str(self.path),
            # Byte code is told apart by seconds, and mutants come faster.
            "PYTHONDONTWRITEBYTECODE": "1",
            "TMPDIR": str(folder / "tmp"),
            "XDG_CACHE_HOME": str(folder / "cache"),
        }
        (folder / "tmp").mkdir(exist_ok=True)
        for name in COPIED:
            if (ROOT / name).is_dir():
                ignored = shutil.ignore_patterns("__pycache__")
                shutil.copytree(ROOT / name, self.path / name, ignore=ignored)
            else:
                shutil.copy(ROOT / name, self.path / name)

    async def attempt(self, number: int, mutant: Mutant) -> Outcome:
        """Apply one mutant, run its bench, and take it back."""
        start = time.perf_counter()
        target = self.path / mutant.file
        text = target.read_text()
        if text.count(mutant.old) != 1:
            status, said = "lost", f"the text occurs {text.count(mutant.old)} times"
        else:
            target.write_text(text.replace(mutant.old, mutant.new))
            status, said = await self.judge(mutant.bench)
            target.write_text(text)
        seconds = round(time.perf_counter() - start, 1)
        return Outcome(**asdict(mutant), number=number, status=status, said=said, seconds=seconds)

    async def judge(self, bench: str) -> tuple[str, str]:
        """Run one pytest selection: (status of the mutant in it, first words)."""
        options = ("-x", "-q", "-p", "no:cacheprovider")
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "pytest", *options, bench),
            cwd=self.path,
            env=self.environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            output, _ = await asyncio.wait_for(process.communicate(), TIMEOUT)
        except TimeoutError:
            return "caught", f"no end after {TIMEOUT} seconds"
        finally:
            if process.returncode is None:
                # The group, because a simulator outlives the bench that started it.
                os.killpg(process.pid, signal.SIGKILL)
                await process.wait()
        return verdict(output.decode(errors="replace").splitlines(), process.returncode)


def verdict(lines: list[str], code: int | None) -> tuple[str, str]:
    """Return the status of the mutant behind the words of pytest, and the first of these."""
    last = lines[-1] if lines else "no words"
    if code == 0 and " passed" in last:
        return "survived", ""
    said = next((line[1:].strip() for line in lines if line.startswith("E  ")), last)
    # pytest shows a comparison without a message of its own as the statement.
    return "caught" if said.startswith(("AssertionError", "assert ")) else "broken", said


async def survey(
    numbers: tuple[int, ...], folder: Path, jobs: int, tell: Callable[[str], None]
) -> list[Outcome]:
    """Try the mutants `numbers`, `jobs` at a time; ClickException if a bench fails anyway.

    tell : called with every bench and mutant that is done.
    """
    if (task := asyncio.current_task()) is not None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    trees = [Tree(folder, n) for n in range(jobs)]
    benches = sorted({MUTANTS[number].bench for number in numbers})
    failed: list[str] = []
    outcomes: list[Outcome] = []

    async def unbroken(tree: Tree) -> None:
        while waiting_benches:
            bench = waiting_benches.pop(0)
            status, said = await tree.judge(bench)
            if status != "survived":
                failed.append(f"{bench} does not pass before anything is broken: {said}")
            tell(bench)

    async def broken(tree: Tree) -> None:
        while waiting:
            number = waiting.pop(0)
            outcomes.append(await tree.attempt(number, MUTANTS[number]))
            tell(f"{number}: {outcomes[-1].status}")

    waiting_benches, waiting = list(benches), list(numbers)
    for work in (unbroken, broken):
        async with asyncio.TaskGroup() as group:
            for tree in trees:
                group.create_task(work(tree))
        if failed:
            raise click.ClickException(failed[0])
    return sorted(outcomes, key=lambda outcome: outcome.number)


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print the outcomes as JSON.")
@click.option("--markdown", is_flag=True, help="Print the page docs/mutants.md.")
@click.option("--only", type=int, multiple=True, help="Number of a mutant to try; repeatable.")
@click.option("--jobs", type=click.IntRange(1), default=1, help="Mutants tried at a time.")
def main(as_json: bool, markdown: bool, only: tuple[int, ...], jobs: int) -> None:
    """Break one line at a time and check that a bench notices."""
    numbers = tuple(dict.fromkeys(only)) or tuple(range(len(MUTANTS)))
    for number in numbers:
        if not 0 <= number < len(MUTANTS):
            raise click.BadParameter(f"there is no mutant {number}, only 0 to {len(MUTANTS) - 1}")
    if as_json and markdown:
        raise click.UsageError("--json and --markdown are two answers: choose one")
    with (
        tempfile.TemporaryDirectory(prefix="mutants-") as folder,
        Progress(console=Console(stderr=True)) as progress,
    ):
        benches = {MUTANTS[number].bench for number in numbers}
        task = progress.add_task("copying", total=len(benches) + len(numbers))

        def tell(done: str) -> None:
            progress.update(task, advance=1, description=done[-40:])

        try:
            outcomes = asyncio.run(survey(numbers, Path(folder), jobs, tell))
        except asyncio.CancelledError as cancelled:
            raise click.Abort from cancelled
    if as_json:
        print(json.dumps([asdict(outcome) for outcome in outcomes], indent=1))
    elif markdown:
        print(page(outcomes), end="")
    else:
        show(outcomes)
    raise SystemExit(any(outcome.status != "caught" for outcome in outcomes))


def page(outcomes: list[Outcome]) -> str:
    """Return the outcomes as a page."""
    caught = sum(outcome.status == "caught" for outcome in outcomes)
    seconds = sum(outcome.seconds for outcome in outcomes)
    head = MARKDOWN.format(caught=caught, all=len(outcomes), seconds=seconds)
    rows = []
    for o in outcomes:
        # A row of a table is one line.
        texts = (" ".join(text.split()) for text in (o.old, o.new))
        was, became = (f"`{text}`".replace("|", r"\|") for text in texts)
        by = f"`{o.bench}`" if o.status == "caught" else f"**{o.status}**"
        rows.append(f"| {o.number} | {o.file} | {was} | {became} | {o.why} | {by} | {o.seconds} |")
    return head + "\n".join(rows) + "\n"


def show(outcomes: list[Outcome]) -> None:
    """Print the outcomes for people."""
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
