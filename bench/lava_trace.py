"""One neuron on the profile `loihi` against the trace of Lava's bit-accurate LIF.

    python -m bench.lava_trace ../shared/data/models/lif_lava_cpu_fixed.csv [--engine cxxrtl]

The trace is that of the NIR paper (`paper/01_lif`, BSD-3), 1,000 rows of input, membrane and spike:
dt 0.1 ms, tau 2.5 ms, weight 1, threshold 0.1, converted by truncation as its authors do.
"""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np

from datapath import Delay, Image, Kind, Population, Projection, Reset
from datapath.catalog import LOIHI
from emulator.chip import run
from ranvier.commands.verify import said
from sim.verify import ENGINES, verify

DECAY, WEIGHT, THRESHOLD = 163, 10, 25
"""int(4095 dt / tau), int(256 dt / tau), int(131071 threshold) >> 9."""


def image(steps: int) -> Image:
    """Return the neuron, without current, and a readout of nothing."""
    silent = {"threshold": 0, "bias": 0, "coefficient": 0, "current_coefficient": 0}
    return Image(
        chip=LOIHI,
        input_name="input",
        channels=1,
        units=1,
        dt_us=100,
        steps=steps,
        populations=(
            Population("neuron", Kind.LIF, 1, THRESHOLD << 6, 0, 4096 - DECAY, Reset.ZERO, True, 0),
            Population("out", Kind.READOUT, 1, **silent, reset=Reset.ZERO, emit=False),
        ),
        # Lava delivers in the step after the spike.
        projections=(Projection("w", "input", "neuron", [[WEIGHT]], 6, Delay.SYNAPTIC, [[1]], 0),),
    )


@click.command()
@click.argument("trace", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--engine", type=click.Choice(ENGINES), help="Play it on the gates, too.")
def main(trace: Path, engine: str | None) -> None:
    """Count the rows of TRACE in which membrane or spike differ."""
    counts, membranes, spikes = np.loadtxt(trace, delimiter=",").T.astype(np.int64)
    neuron, played = image(len(counts)), counts[None, :, None]
    got = run(neuron, played, record=("membranes", "spikes"))
    v, fired = got.membranes["neuron"][0, :, 0], got.spikes["neuron"][0, :, 0]
    wrong = int(((v != membranes) | (fired != spikes)).sum())
    print(f"{len(counts)} steps, {counts.sum()} inputs, {spikes.sum()} spikes: {wrong} mismatches")
    if engine is not None:
        verdict = verify(neuron, played, engine)
        print(said(verdict))
        wrong += not verdict.equal
    raise SystemExit(wrong > 0)


if __name__ == "__main__":
    main()
