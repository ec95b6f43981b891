"""Run cocotb benches on the Verilog of an Amaranth component, under Icarus or Verilator."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest
from cocotb_tools.runner import get_runner

from rtl.emit import verilog

PROGRAM = {"icarus": ("iverilog", "-V"), "verilator": ("verilator", "--version")}
OLDEST_VERILATOR = (5, 36)
"""cocotb 2 needs functions of the interface that appeared here."""

BUILD_ARGS = {
    "icarus": [],
    # Generated Verilog leaves widths and priorities to the rules of the language.
    "verilator": [
        "-Wno-WIDTHEXPAND",
        "-Wno-WIDTHTRUNC",
        "-Wno-CASEOVERLAP",
        "-Wno-CASEINCOMPLETE",
        # A signal without bits, such as the number of a beat where a word has only one.
        "-Wno-ASCRANGE",
    ],
}


def version(simulator: str) -> str:
    """Return what `simulator` says it is; OSError if this machine cannot run it."""
    if simulator not in PROGRAM:
        raise ValueError(f"the simulator must be {' or '.join(PROGRAM)}, not {simulator!r}")
    name, ask = PROGRAM[simulator]
    with _environment():
        if shutil.which(name) is None:
            raise OSError(f"{simulator} is not installed: there is no {name!r} on the path")
        said = subprocess.run([name, ask], capture_output=True, text=True, check=False).stdout
    words = " ".join(said.splitlines()[:1]).split()
    number = next((word for word in words if re.match(r"\d+\.\d+", word)), "unknown")
    if simulator == "verilator":
        found = tuple(int(n) for n in re.findall(r"\d+", number)[:2])
        if found < OLDEST_VERILATOR:
            oldest = "{}.{:03}".format(*OLDEST_VERILATOR)
            raise OSError(f"Verilator {number} is too old: cocotb needs {oldest} or newer")
    return f"{simulator} {number}"


def simulate(component, bench: str, folder: Path) -> None:
    """Run every cocotb test of module `bench` on `component`, under the simulator that SIM names.

    Skips the test where the simulator is missing; raises AssertionError with what a comparison of
    the bench said, RuntimeError with any other error of it.
    """
    simulator = chosen()
    build(verilog(component, "dut"), folder, simulator)
    run(bench, folder, simulator)


def chosen() -> str:
    """Return the simulator that SIM names; skip the test where it is missing."""
    simulator = os.environ.get("SIM", "icarus")
    try:
        version(simulator)
    except OSError as missing:
        pytest.skip(str(missing))
    return simulator


def build(gates: str, folder: Path, simulator: str) -> None:
    """Compile the Verilog text `gates`, whose top module is `dut`, in `folder`."""
    source = folder / "dut.v"
    source.write_text(gates)
    traces = ["--trace-fst"] if simulator == "verilator" and _waves() else []
    with _environment():
        try:
            get_runner(simulator).build(
                sources=[source],
                hdl_toplevel="dut",
                build_dir=folder,
                build_args=[*BUILD_ARGS[simulator], *traces],
                timescale=("1ns", "1ps"),
                log_file=folder / "build.log",
            )
        except RuntimeError as failed:
            log = folder / "build.log"
            raise RuntimeError(f"{simulator} cannot build the gates: see {log}") from failed


def run(bench: str, folder: Path, simulator: str) -> None:
    """Run the cocotb tests of module `bench` on what was built in `folder`."""
    results = folder / "results.xml"
    results.unlink(missing_ok=True)
    traces = ["--trace-file", "dut.fst"] if simulator == "verilator" and _waves() else []
    # A simulator that ends badly says so in its log, a bench that fails in its results.
    with _environment(), contextlib.suppress(RuntimeError, SystemExit):
        get_runner(simulator).test(
            hdl_toplevel="dut",
            hdl_toplevel_lang="verilog",
            test_module=bench,
            build_dir=folder,
            test_dir=folder,
            results_xml=str(results),
            test_args=traces,
            log_file=folder / "test.log",
        )
    if not results.exists():
        raise RuntimeError(f"{simulator} ended before the bench did: see {folder / 'test.log'}")
    _raise_failures(results)


def _waves() -> bool:
    return os.environ.get("WAVES", "0") not in ("", "0")


def _raise_failures(results: Path) -> None:
    """Raise the first failure of a results file; a RuntimeError if it is no failed comparison."""
    cases = [*ElementTree.parse(results).getroot().iter("testcase")]
    if not cases:
        raise RuntimeError(f"no bench ran: see {results.with_name('test.log')}")
    for case in cases:
        for fault in (*case.iter("failure"), *case.iter("error")):
            said = fault.get("message") or fault.text or "failed"
            kind = fault.get("type")
            if kind != "AssertionError":
                raise RuntimeError(f"{case.get('name')}: {kind}: {said}")
            raise AssertionError(f"{case.get('name')}: {said}")


@contextlib.contextmanager
def _environment() -> Iterator[None]:
    """Set what cocotb and the simulators read from the environment, and put it back."""
    before = dict(os.environ)
    here = str(Path(sys.executable).parent)
    os.environ["PATH"] = os.pathsep.join([here, os.environ.get("PATH", "")])
    # cocotb would rewrite the assertions of every imported module, numpy and Numba included.
    os.environ.setdefault("COCOTB_REWRITE_ASSERTION_FILES", "test_*.py")
    if shutil.which("ccache"):
        os.environ.setdefault("OBJCACHE", "ccache")
    # Under pytest cocotb would name and judge the results itself.
    os.environ.pop("PYTEST_CURRENT_TEST", None)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
