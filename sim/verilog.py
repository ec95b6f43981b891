"""Run a chip as Verilog, under Icarus or Verilator."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datapath import Chip
from rtl.chip import ChipTop
from rtl.emit import verilog
from sim.runner import build, run, version
from sim.trace import Program, Trace, limit, payload_words, trace


class Simulation:
    """One chip under Icarus or Verilator, built once in `folder`."""

    def __init__(self, chip: Chip, simulator: str, folder: Path) -> None:
        self.version = version(simulator)
        self.chip = chip
        self.simulator = simulator
        self.folder = folder
        build(verilog(ChipTop(chip), "dut"), folder, simulator)

    def play(self, programs: Sequence[Program], stalls: int = 0) -> list[Trace]:
        """Run `programs` one after the other, from a reset.

        stalls : seed of random pauses of the driver and of the sink; 0 for none.
        """
        arrays: dict[str, NDArray[Any]] = {
            "programs": np.array(len(programs)),
            "stalls": np.array(stalls),
            "limit": np.array(limit(self.chip)),
            "sizes": np.array(payload_words(self.chip)),
        }
        for n, program in enumerate(programs):
            for name in ("address", "data", "commands", "look"):
                arrays[f"{name}{n}"] = getattr(program, name)
        np.savez(self.folder / "programs.npz", allow_pickle=False, **arrays)
        run("sim.player", self.folder, self.simulator)
        with np.load(self.folder / "traces.npz") as noted:
            return [
                trace(
                    self.chip,
                    self.version,
                    noted[f"read{n}"],
                    noted[f"found{n}"],
                    cycles=noted[f"cycles{n}"],
                    results=noted[f"results{n}"],
                    probes=noted[f"probes{n}"],
                    stopped=str(noted[f"stopped{n}"]),
                )
                for n in range(len(programs))
            ]
