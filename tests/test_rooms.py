"""The architecture, executable: each test is one rule and names the line that breaks it."""

import ast
import io
import re
import sys
import tokenize
import tomllib
from functools import cache
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
MAY_IMPORT = {
    "datapath": set(),
    "events": set(),
    "model": set(),
    "learn": {"model", "events"},
    "emulator": {"datapath"},
    "rtl": {"datapath"},
    "quant": {"datapath", "model", "events", "emulator", "rtl"},
    "sim": {"datapath", "emulator", "rtl"},
}
ROOMS = {*MAY_IMPORT, "ranvier"}
# The rooms that hold the bits stand on little: everybody else's arithmetic is a float's.
MAY_INSTALL = {
    "datapath": {"numpy"},
    "emulator": {"numpy", "numba", "llvmlite"},
    "rtl": {"amaranth"},
}
KERNELS = ("emulator/", "events/kernels/", "learn/kernels/", "model/kernels/")
PYTHON = sorted(
    p for room in (*ROOMS, "bench", "tests", "tools") for p in ROOT.glob(f"{room}/**/*.py")
)
LOCKS = [ROOT / "requirements.lock", *sorted(ROOT.glob("tools/*.lock"))]
SHAPED = {
    "Signal",
    "signed",
    "unsigned",
    "In",
    "Out",
    "Signature",
    "Memory",
    "ArrayLayout",
    "StructLayout",
}
SIZED_LAST = {"Const", "bit_select", "word_select"}


@cache
def tree(path):
    return ast.parse(path.read_text(), path)


@cache
def places(path):
    """Every syntax node of a file with the place to name in a failure."""
    name = str(path.relative_to(ROOT))
    return [(f"{name}:{getattr(n, 'lineno', 1)}", n) for n in ast.walk(tree(path))]


def nodes(*rooms):
    paths = (path for path in PYTHON if path.relative_to(ROOT).parts[0] in rooms)
    return (pair for path in paths for pair in places(path))


def imported(node):
    """Dotted names that an import statement opens, those of its members included."""
    if isinstance(node, ast.ImportFrom) and not node.level:
        return [f"{node.module}.{alias.name}" for alias in node.names]
    return [alias.name for alias in node.names] if isinstance(node, ast.Import) else []


def called(node):
    return getattr(node.func, "id", getattr(node.func, "attr", ""))


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_room_opens_only_where_it_may(room):
    closed = ROOMS - MAY_IMPORT[room] - {room}
    for place, node in nodes(room):
        for name in imported(node):
            assert name.partition(".")[0] not in closed, f"{place}: {room} must not import {name}"


@pytest.mark.parametrize("room", MAY_INSTALL)
def test_room_with_the_bits_stands_on_little(room):
    known = MAY_INSTALL[room] | ROOMS | sys.stdlib_module_names
    for place, node in nodes(room):
        for name in imported(node):
            assert name.partition(".")[0] in known, f"{place}: {room} must not need {name}"


def test_kernels_live_in_their_rooms():
    harmless = {"numba.get_num_threads", "numba.set_num_threads"}
    for place, node in nodes(*ROOMS):
        for name in imported(node):
            compiles = name.partition(".")[0] in {"numba", "llvmlite"} and name not in harmless
            # The cache on disk is the one place that knows the compiler itself.
            own = place.startswith((*KERNELS, "ranvier/kernel_cache.py"))
            assert own or not compiles, f"{place}: a kernel outside {', '.join(KERNELS)}"


def test_private_parts_of_amaranth_stay_private():
    for place, node in nodes(*ROOMS, "bench", "tests"):
        for name in imported(node):
            private = name.startswith("amaranth.") and "._" in name
            assert not private or place.startswith("rtl/census.py"), f"{place}: {name} is private"


@pytest.mark.parametrize("room", MAY_INSTALL)
def test_room_with_the_bits_has_no_float(room):
    for place, node in nodes(room):
        if isinstance(node, ast.Constant):
            assert not isinstance(node.value, float | complex), f"{place}: {node.value} is a float"
        name = getattr(node, "id", getattr(node, "attr", ""))
        assert not re.fullmatch(r"float_?|floating|(float|complex)\d+|half|double", name), (
            f"{place}: {name}"
        )
        # A file that imports pathlib divides paths.
        if isinstance(getattr(node, "op", None), ast.Div):
            path = ROOT / place.partition(":")[0]
            paths = any("pathlib.Path" in imported(other) for other in ast.walk(tree(path)))
            assert paths, f"{place}: true division makes a float"


def literal(shape):
    """Whether `shape` is written out in figures instead of being asked of the chip."""
    names = {n.id for n in ast.walk(shape) if isinstance(n, ast.Name)} - {
        "range",
        "signed",
        "unsigned",
    }
    figures = [n.value for n in ast.walk(shape) if isinstance(n, ast.Constant)]
    return not names and any(isinstance(n, int) and n > 1 for n in figures)


def test_widths_come_from_datapath():
    for place, node in nodes("rtl"):
        if not isinstance(node, ast.Call):
            continue
        shapes = node.args[1:] if called(node) in SIZED_LAST else node.args[:1]
        shapes += [k.value for k in node.keywords if k.arg in {"shape", "width", "depth"}]
        if called(node) in SHAPED | SIZED_LAST:
            # A layout is a dict of shapes.
            parts = [v for s in shapes for v in (s.values if isinstance(s, ast.Dict) else [s])]
            assert not any(map(literal, parts)), f"{place}: literal width in {ast.unparse(node)}"


# Blocks that have the parameters of `Learn` in common, in the order of their work.
OF_LEARN = ("surrogate", "signal", "slope", "credit", "update")


def blocks():
    """Blocks of the chip: fields of `Chip` with parameters of their own, those of Learn, Chip."""
    path = ROOT / "datapath" / "chip.py"
    classes = {n.name: n for n in tree(path).body if isinstance(n, ast.ClassDef)}
    fields = {
        # Learn is several blocks, any other part that a chip may do without is one.
        ast.unparse(n.annotation).removesuffix(" | None")
        for n in classes["Chip"].body
        if isinstance(n, ast.AnnAssign) and n.target.id != "learn"
    }
    return sorted({name.lower() for name in fields & classes.keys() | {"Chip"}} | {*OF_LEARN})


@pytest.mark.parametrize("block", blocks())
def test_every_block_has_its_files_and_its_section(block):
    files = (
        f"emulator/{block}.py",
        f"rtl/{block}.py",
        f"sim/test_{block}.py",
        f"tests/test_{block}.py",
    )
    missing = [name for name in files if not (ROOT / name).exists()]
    if f"\n## {block}\n" not in (ROOT / "docs" / "datapath.md").read_text():
        missing.append(f"docs/datapath.md: ## {block}")
    assert not missing, f"block {block} has no {', '.join(missing)}"


def test_bench_and_both_sides_have_one_name():
    def stems(pattern):
        return {p.stem.removeprefix("test_") for p in ROOT.glob(pattern)} - {"__init__", "__main__"}

    assert (stems("emulator/*.py") & stems("rtl/*.py")) - {"fixed"} <= {*blocks()}
    # A chip that learns is proven as a whole: many recordings, and what they leave in it.
    assert stems("sim/test_*.py") - {"learn"} <= stems("rtl/*.py"), "a bench without its gates"


def test_numba_writes_no_cache_of_its_own():
    # Its index does not see an edit in another file: kernels would return yesterday's bits.
    for place, node in nodes(*ROOMS):
        assert not (isinstance(node, ast.keyword) and node.arg == "cache"), f"{place}: cache="


def test_code_says_what_it_means():
    for place, node in nodes(*ROOMS, "bench", "tests", "tools"):
        assert not any(name.endswith(".*") for name in imported(node)), f"{place}: star import"
    for place, node in nodes(*ROOMS):
        parameters = getattr(node, "args", None)
        swallows = isinstance(parameters, ast.arguments) and parameters.kwarg
        assert not swallows, f"{place}: ** takes a misspelt argument"
    for path in PYTHON:
        assert path.name != "utils.py", f"{path}: a file says the question it answers"
        text = path.read_text()
        # Tokens are slow to come by, and few files have the word at all.
        for token in tokenize.generate_tokens(io.StringIO(text * ("noqa" in text)).readline):
            hidden = token.type == tokenize.COMMENT and "noqa" in token.string
            assert not hidden, f"{path}:{token.start[0]}: configure the rule, with its reason"


def requirements():
    with (ROOT / "pyproject.toml").open("rb") as file:
        project = tomllib.load(file)
    extras = project["project"]["optional-dependencies"].values()
    lists = (project["build-system"]["requires"], project["project"]["dependencies"], *extras)
    return [text for one in lists for text in one]


def test_every_dependency_has_its_reason():
    text = (ROOT / "pyproject.toml").read_text()
    for requirement in requirements():
        lines = [line for line in text.splitlines() if f'"{requirement}"' in line]
        assert lines
        assert all(re.search(r"# \w+", line) for line in lines), f"{requirement}: why?"


def test_locks_fit_the_project():
    pins = dict(
        p for path in LOCKS for p in re.findall(r"^([\w.-]+)==(\S+)", path.read_text(), re.M)
    )
    for text in requirements():
        wanted = Requirement(text)
        assert wanted.name in pins, f"{text} is not locked: run make lock"
        assert pins[wanted.name] in wanted.specifier, f"{text} is locked at {pins[wanted.name]}"


@pytest.mark.parametrize("path", LOCKS, ids=lambda path: path.name)
def test_lock_names_files_by_content_and_no_place(path):
    text = path.read_text()
    assert "://" not in text
    for entry in re.split(r"\n(?=\S)", re.sub(r"#.*\n", "", text)):
        assert not entry.startswith("-"), f"option in a lock file: {entry}"
        assert "--hash=sha256:" in entry, f"no hash: {entry}"
