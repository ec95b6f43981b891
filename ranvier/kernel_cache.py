"""Compiled kernels on disk, in a folder named after the sources they come from.

Why not `cache=True`, and what this rests on: docs/decisions/0001-kernel-cache.md.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import pickle
import shutil
import sys
from pathlib import Path
from typing import Any

import llvmlite
import numba
import numpy as np
from numba.core import compiler
from numba.core.caching import _Cache
from numba.core.registry import CPUDispatcher
from numba.core.serialize import dumps
from numba.core.target_extension import dispatcher_registry, target_registry

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("datapath", "emulator", "events", "learn", "model")
"""Rooms with kernels, and the room whose values those take."""
KEPT = 3
"""Folders that stay: this version of the sources and the last ones before it."""


def install() -> Path | None:
    """Keep every kernel that is made from now on, and find again those that were kept.

    Returns the folder, or None if there is no cache: a room was imported before (its kernels may
    come from sources that have changed since), or the user has no folder that is his alone.
    """
    if any(name.partition(".")[0] in ROOMS for name in sys.modules):
        return None
    # In this order: an edit in between makes the stamps those of no folder.
    stamps, digest = _stamps(), _digest()
    try:
        folder = _home() / digest
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.utime(folder)
        # Kernels are unpickled: whoever can write here can run code as this user.
        if folder.stat().st_uid != os.getuid() or folder.stat().st_mode & 0o022:
            return None
    except (OSError, RuntimeError):
        return None
    _forget_all_but(KEPT, folder.parent)
    Kernel.store = Store(folder, stamps)
    # The registry refuses to replace an entry by item assignment.
    dispatcher_registry.update({target_registry["cpu"]: Kernel})
    return folder


def _home() -> Path:
    """Return the folder of all versions; RuntimeError if the user has no home."""
    base = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (base if base.is_absolute() else Path("~/.cache").expanduser()) / "ranvier" / "kernels"


def _sources() -> list[Path]:
    return sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py"))


def _digest() -> str:
    """Name everything but the processor that decides what a kernel computes."""
    settings = sorted(item for item in os.environ.items() if item[0].startswith("NUMBA_"))
    versions = (sys.version, numba.__version__, llvmlite.__version__, np.__version__)
    digest = hashlib.sha256(repr((versions, settings)).encode())
    for path in _sources():
        text = path.read_bytes()
        digest.update(f"{path.relative_to(ROOT)}\0{len(text)}\0".encode() + text)
    return digest.hexdigest()


def _stamps() -> list[tuple[str, int, int]]:
    """Return what changes when a source is edited."""
    stats = [(str(path), path.stat()) for path in _sources()]
    return [(path, stat.st_mtime_ns, stat.st_size) for path, stat in stats]


def _forget_all_but(kept: int, parent: Path) -> None:
    with contextlib.suppress(OSError):
        folders = sorted(parent.iterdir(), key=lambda path: path.stat().st_mtime, reverse=True)
        for folder in folders[kept:]:
            shutil.rmtree(folder, ignore_errors=True)


class Store:
    """One file per kernel and signature: the SHA-256 of what follows, then a pickle."""

    def __init__(self, folder: Path, stamps: list[tuple[str, int, int]]) -> None:
        self.folder = folder
        self.stamps = stamps

    def read(self, name: str) -> Any:
        """Return what was written under `name`, or None."""
        with contextlib.suppress(OSError):
            data = (self.folder / name).read_bytes()
            if data[:32] == hashlib.sha256(data[32:]).digest() and self.stamps == _stamps():
                return pickle.loads(data[32:])
        return None

    def write(self, name: str, content: Any) -> None:
        """Keep `content`, unless the sources are no longer those of the folder."""
        data = dumps(content)
        part = self.folder / f"{name}.{os.getpid()}"
        # A full disk costs the next process a compilation, and this one nothing.
        with contextlib.suppress(OSError):
            try:
                if self.stamps == _stamps():
                    part.write_bytes(hashlib.sha256(data).digest() + data)
                    part.replace(self.folder / name)
            finally:
                part.unlink(missing_ok=True)


class Kernel(CPUDispatcher):
    """A jitted function that is kept if its source is in a room with kernels."""

    store: Store

    def __init__(
        self, py_func, locals=None, targetoptions=None, pipeline_class=compiler.Compiler
    ) -> None:
        super().__init__(py_func, locals, targetoptions, pipeline_class)
        file = Path(py_func.__code__.co_filename)
        if any(file.is_relative_to(ROOT / room) for room in ROOMS):
            self._cache = KernelCache(self, self.store)


class KernelCache(_Cache):
    """What Numba asks when it is about to compile `kernel`, and tells when it has."""

    def __init__(self, kernel: Kernel, store: Store) -> None:
        self.kernel = kernel
        self.store = store

    @property
    def cache_path(self) -> str:
        return str(self.store.folder)

    def enable(self) -> None:
        """Do nothing: a kernel without a cache has another class."""

    def disable(self) -> None:
        """Do nothing: a kernel without a cache has another class."""

    def flush(self) -> None:
        """Do nothing: other kernels are in the same folder."""

    def load_overload(self, sig, target_context):
        # The context knows nothing of arrays before it has been asked once.
        target_context.refresh()
        name = self._name(sig, target_context.codegen())
        kept = name and self.store.read(name)
        return compiler.CompileResult._rebuild(target_context, *kept) if kept else None

    def save_overload(self, sig, data) -> None:
        name = self._name(sig, data.codegen)
        # Lifted loops and addresses belong to this process.
        if name and not data.lifted and not data.library.has_dynamic_globals:
            self.store.write(name, data._reduce())

    def _name(self, sig, codegen) -> str | None:
        """Return the file of one signature; None for one with an address, as functions have."""
        told = f"{sig} {codegen.magic_tuple()}"
        if " at 0x" in told:
            return None
        return hashlib.sha256(f"{told} {identity(self.kernel)}".encode()).hexdigest()


def identity(value: object) -> object:
    """Say what `value` is to a kernel that captures it, in the same words in every process.

    Numba compares pickles, and that of a jitted function is another one in every process.
    """
    if isinstance(value, tuple):
        return (type(value).__qualname__, *map(identity, value))
    if not isinstance(value, CPUDispatcher):
        return dumps(value)
    function = value.py_func
    captured = tuple(cell.cell_contents for cell in function.__closure__ or ())
    return (
        function.__module__,
        function.__qualname__,
        function.__code__.co_firstlineno,
        sorted(value.targetoptions.items()),
        identity(function.__defaults__),
        identity(captured),
    )
