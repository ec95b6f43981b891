"""From a chip to the bitstream of a board.

The board's pins and clock are those of `amaranth-boards`; the tools are those of
`ranvier.synthesis`.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import os
import re
import subprocess
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from datapath import Chip
from datapath.schema import chip_digest
from datapath.serial import BAUD, SILENCE
from ranvier.devices import BOARDS, Board
from ranvier.synthesis import YOSYS, cache_folder, program, tool_version
from rtl.board import BoardTop
from rtl.emit import with_macros

TOP = "top"


@dataclass(frozen=True, slots=True)
class Bitstream:
    """A chip on a board.

    chip : digest of its parameters.  tools : their versions.  baud : of the serial line.
    clock_mhz : of the board.  fmax_mhz : the highest clock it would bear.
    used : what place and route has used and what there is, by resource.
    """

    board: str
    chip: str
    seed: int
    tools: dict[str, str]
    baud: int
    clock_mhz: float
    fmax_mhz: float
    used: dict[str, list[int]]


def platform(board: Board) -> Any:
    """Return the Amaranth platform of `board`.

    Raises
    ------
    OSError
        The package is not installed.
    """
    module, name = board.platform
    try:
        described = importlib.import_module(f"amaranth_boards.{module}")
    except ImportError:
        raise OSError(
            "the pins of the board come from the package amaranth-boards, which is not installed; "
            "`pip install ranvier[boards]`"
        ) from None
    return getattr(described, name)()


def files(chip: Chip, board: Board, *, seed: int, baud: int) -> tuple[dict[str, str], float]:
    """Return the files that a bitstream is made of, by name, and the clock of the board in MHz."""
    made = platform(board)
    hertz = made.default_clk_frequency
    divisor = round(hertz / baud)
    plan = made.prepare(
        BoardTop(chip, divisor, SILENCE),
        TOP,
        debug_verilog=False,
        emit_src=False,
        synth_opts=board.synth,
        nextpnr_opts=f"{board.place} --seed {seed} --report report.json",
    )
    texts = {
        name: text.decode() if isinstance(text, bytes) else text
        for name, text in plan.files.items()
    }
    texts[f"{TOP}.il"] = with_macros(texts[f"{TOP}.il"])
    return texts, hertz / 1e6


def build(chip: Chip, name: str, *, seed: int = 1, baud: int = BAUD) -> tuple[Bitstream, bytes]:
    """Make the bitstream of `chip` for board `name`; what was made once is kept.

    Raises
    ------
    OSError
        A tool is not there, or fails: the chip has no room, or is too slow for the board's clock.
    """
    board = BOARDS[name]
    texts, mhz = files(chip, board, seed=seed, baud=baud)
    # ecppack and icepack come with place and route.
    versions = {tool: tool_version(tool) for tool in (YOSYS, next(iter(board.tools.values())))}
    identity = repr((name, versions, board, sorted(texts.items())))
    digest = hashlib.sha256(identity.encode()).hexdigest()[:32]
    kept = cache_folder() / f"{digest}.json"
    bits = cache_folder() / f"{digest}.{board.suffix}"
    if not kept.exists():
        with tempfile.TemporaryDirectory(dir=cache_folder()) as folder:
            report = _run(Path(folder), board, name, texts)
            (clock,) = report["fmax"]
            found = Bitstream(
                board=name,
                chip=chip_digest(chip),
                seed=seed,
                tools=versions,
                baud=baud,
                clock_mhz=mhz,
                fmax_mhz=round(report["fmax"][clock]["achieved"], 2),
                used={
                    kind: [entry["used"], entry["available"]]
                    for kind, entry in report["utilization"].items()
                    if entry["used"]
                },
            )
            made = Path(folder, "made.json")
            made.write_text(json.dumps(asdict(found)))
            os.replace(Path(folder, f"{TOP}.{board.suffix}"), bits)
            os.replace(made, kept)
    return Bitstream(**json.loads(kept.read_text())), bits.read_bytes()


def _run(folder: Path, board: Board, name: str, texts: dict[str, str]) -> Any:
    """Run what Amaranth says in `folder`; return the report of place and route."""
    for file, text in texts.items():
        (folder / file).write_text(text)
    tools = {"YOSYS": program(YOSYS)} | {key: program(tool) for key, tool in board.tools.items()}
    done = subprocess.run(
        ["sh", f"build_{TOP}.sh"],
        cwd=folder,
        env=os.environ | tools,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        lines = (done.stdout + done.stderr).splitlines()
        errors = [found[1].strip() for line in lines if (found := re.search("ERROR:(.*)", line))]
        said = (errors or lines[-1:] or ["no message"])[0]
        raise OSError(f"there is no bitstream of the chip for {name}: {said}")
    return json.loads((folder / "report.json").read_text())
