"""Run one bench on gates from a file that are broken in many ways, one after the other.

`python -m sim.broken_gates BLOCK FILE COUNT` prints, as a JSON array, what the bench of a block of
`sim.netlists` said of the gates in FILE with input `mutation` at 0, 1 and so on to COUNT: nothing
if it passed.  Without a file, the gates are written that the bench makes, and nothing is run.
"""

from __future__ import annotations

import json
import os
import re
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from unittest.mock import patch
from xml.etree import ElementTree

from amaranth.back import rtlil
from amaranth.lib import wiring

from datapath import Chip
from rtl import emit
from sim import cxxrtl, runner
from sim.mutants import ROOT
from sim.netlists import BLOCKS, Block

BREAK = """
EXPORT void bench_break(Bench *bench, uint32_t number) {{ drive(bench->chip.p_mutation, number); }}
"""


class Written(BaseException):
    """The gates are in the file; no bench takes this for a failure of its own."""


def take_from(netlist: Path) -> None:
    """Put the file behind all functions that write gates."""

    def given(component: wiring.Component, name: str) -> str:
        if netlist.exists():
            return netlist.read_text()
        text = emit.with_macros(rtlil.convert(component, name=name))
        # Lines of sources, wherever these are.
        netlist.write_text(
            re.sub(r'(?<=["|])/[^"|]*/site-packages/', "", text.replace(f"{ROOT}/", ""))
        )
        raise Written

    emit.rtlil = given
    # What is cached is told apart by sources, which all gates from files share.
    cxxrtl.cache_folder = lambda: netlist.parent


def in_cocotb(block: Block, count: int, folder: Path) -> list[str]:
    """Run a bench that simulates Verilog, all mutants in one simulation."""
    said: list[str] = []
    once = runner.run

    def all_mutants(bench: str, folder: Path, simulator: str) -> None:
        os.environ |= {"BENCH": bench, "MUTANTS": str(count)}
        with suppress(AssertionError, RuntimeError):
            once("sim.broken_bench", folder, simulator)
        for case in ElementTree.parse(folder / "results.xml").iter("testcase"):
            faults = (*case.iter("failure"), *case.iter("error"))
            said.append((faults[0].get("message") or "failed") if faults else "")

    runner.run = all_mutants
    block.test(folder)
    return said


def in_cxxrtl(block: Block, count: int, folder: Path) -> list[str]:
    """Run a bench that simulates a chip as C++, compiled once."""
    said: list[str] = []
    cxxrtl.WINDOWS += BREAK
    opened = cxxrtl.Simulation.__init__

    def broken(self: cxxrtl.Simulation, chip: Chip) -> None:
        opened(self, chip)
        self._library.bench_break(self._bench, len(said))

    with patch.object(cxxrtl.Simulation, "__init__", broken):
        while len(said) <= count:
            try:
                block.test(folder)
                said.append("")
            except Exception as error:  # whatever it is, the bench does not pass
                said.append(f"{type(error).__name__}: {error}")
    return said


def main() -> None:
    """Run what the command line names."""
    name, netlist, count = sys.argv[1:]
    block = BLOCKS[name]
    take_from(Path(netlist))
    through = in_cocotb if block.cocotb else in_cxxrtl
    with tempfile.TemporaryDirectory() as folder, suppress(Written):
        print(json.dumps(through(block, int(count), Path(folder))))


if __name__ == "__main__":
    main()
