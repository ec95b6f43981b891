"""Kernels on disk: found again by the next process, and never older than their sources."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ranvier import kernel_cache

ROOT = Path(__file__).parents[1]

# A kernel of one file calls one of another file, through a factory that captures it.
FIXED = """
from numba import njit

@njit
def saturate(x, most):
    return min(x, most)
"""
BLOCK = """
from numba import njit
from emulator.fixed import saturate

def lif(most):
    @njit
    def advance(v, i):
        return saturate(v + i, most)
    return advance

def chip(most):
    advance = lif(most)
    @njit
    def run(v, ticks):
        for _ in range(ticks):
            v = advance(v, 3)
        return v
    return run
"""
PROCESS = """
import json, sys, pathlib
from ranvier import kernel_cache
folder = kernel_cache.install()
for file, old, new in json.loads(sys.argv[1]):
    path = pathlib.Path(file)
    path.write_text(path.read_text().replace(old, new))
from numba import njit
from emulator.block import chip
assert njit(lambda x: x).stats.cache_path is None, "a kernel of somebody else"
kernels = [chip(10), chip(20)]
values = [kernel(0, 50) for kernel in kernels]
print(json.dumps([values, sum(sum(k.stats.cache_misses.values()) for k in kernels)]))
"""


class House:
    """A tree with one room of kernels."""

    def __init__(self, tree):
        self.tree = tree

    def run(self, *edits):
        """Return what chips that saturate at 10 and 20 say, and how many of them were compiled.

        Each edit is (file, old, new) and is made after the folder was chosen.
        """
        home = {"XDG_CACHE_HOME": str(self.tree / "home"), "PYTHONPATH": str(self.tree)}
        done = subprocess.run(
            [sys.executable, "-c", PROCESS, json.dumps(edits)],
            cwd=self.tree,
            env={**os.environ, **home},
            capture_output=True,
            text=True,
            check=True,
        )
        return json.loads(done.stdout)

    def edit(self, file, old, new):
        path = self.tree / file
        path.write_text(path.read_text().replace(old, new))

    def kept(self):
        return sorted(self.tree.glob("home/ranvier/kernels/*/*"))


def build(tree):
    for name, text in {
        "emulator/__init__.py": "",
        "emulator/fixed.py": FIXED,
        "emulator/block.py": BLOCK,
        "ranvier/__init__.py": "",
        "ranvier/kernel_cache.py": (ROOT / "ranvier" / "kernel_cache.py").read_text(),
    }.items():
        path = tree / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    return House(tree)


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    house = build(tmp_path_factory.mktemp("house"))
    assert house.run() == [[10, 20], 2]
    return house


@pytest.fixture
def cold(tmp_path):
    """A tree whose kernels have never been compiled."""
    return build(tmp_path)


@pytest.fixture
def warm(compiled, tmp_path):
    """A tree whose kernels have been compiled once; a kernel does not depend on where it was."""
    return House(Path(shutil.copytree(compiled.tree, tmp_path / "copy")))


TIGHTER = ("emulator/fixed.py", "min(x, most)", "min(x, most - 1)")
BACK = ("emulator/fixed.py", "most - 1", "most")


def test_second_process_compiles_nothing_and_an_edit_in_another_file_is_seen(warm):
    assert warm.run() == [[10, 20], 0]
    warm.edit(*TIGHTER)
    assert warm.run() == [[9, 19], 2]
    warm.edit(*BACK)
    assert warm.run() == [[10, 20], 0]


def test_edit_under_a_running_process_is_not_kept(cold):
    assert cold.run(TIGHTER) == [[9, 19], 2]
    assert cold.kept() == []


def test_edit_under_a_running_process_is_not_answered_from_the_folder(warm):
    assert warm.run(TIGHTER) == [[9, 19], 2]


def test_damaged_kernels_are_compiled_again(warm):
    for path in warm.kept():
        path.write_bytes(path.read_bytes()[:-1])
    assert warm.run() == [[10, 20], 2]
    assert warm.run() == [[10, 20], 0]


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A cache folder of its own, and a process that has imported no room yet."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(kernel_cache, "ROOMS", ())
    return tmp_path


def test_nothing_is_kept_once_a_room_is_imported(home, monkeypatch):
    monkeypatch.setattr(kernel_cache, "ROOMS", ("ranvier",))
    assert kernel_cache.install() is None
    assert not any(home.iterdir())


def test_nothing_is_kept_where_nothing_can_be_written(home, monkeypatch):
    (home / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / "file"))
    assert kernel_cache.install() is None


def test_nothing_is_kept_where_others_can_write(home):
    folder = home / "ranvier" / "kernels" / kernel_cache._digest()
    folder.mkdir(parents=True)
    folder.chmod(0o777)
    assert kernel_cache.install() is None


def test_three_newest_folders_stay(tmp_path):
    for age, name in enumerate("abcde"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "kernel").touch()
        os.utime(tmp_path / name, (1000 - age, 1000 - age))
    kernel_cache._forget_all_but(3, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"a", "b", "c"}


def test_identity_tells_parameters_apart():
    namespace = {}
    exec(FIXED + BLOCK.replace("from emulator.fixed import saturate", ""), namespace)
    chip, identity = namespace["chip"], kernel_cache.identity
    assert identity(chip(10)) == identity(chip(10))
    assert identity(chip(10)) != identity(chip(11))
