"""The single neuron of the NIR paper, imported, against the traces of other platforms.

    python -m bench.lif_traces ../shared/data/models

The folder holds lif_norse.nir and lif_{norse,snntorch,exact}.csv (NIR paper, `paper/01_lif`,
BSD-3): 1,000 rows of input, membrane and spike at dt 0.1 ms.  snnTorch's membrane has another unit.
"""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np

from model import simulate
from model.importers import Settings, import_network

PLATFORMS = ("norse", "snntorch", "exact")


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
def main(folder: Path) -> None:
    """Print spikes and membranes of the traces in FOLDER beside ours."""
    path = folder / "lif_norse.nir"
    given = {"dt_ms": 0.1, "steps": 1000, "scheme": "euler", "reset": "zero"}
    network = import_network(path, Settings(path, given)).network
    if network is None:
        raise ValueError(f"{path}: cannot be imported")
    print("| trace of | inputs | spikes | steps in which spikes differ | largest difference of v |")
    print("|---|---|---|---|---|")
    for platform in PLATFORMS:
        inputs, membrane, spikes = np.loadtxt(folder / f"lif_{platform}.csv", delimiter=",").T
        counts = inputs.astype(np.int64)[None, :, None]
        ours = simulate(network, counts, record=["spikes", "membranes"])
        differ = int((ours.spikes["1"][0, :, 0] != (spikes > 0)).sum())
        # The gain of snnTorch's input is 1, not dt / tau.
        unit = 0.04 if platform == "snntorch" else 1.0
        off = np.abs(ours.membranes["1"][0, :, 0] - unit * membrane).max()
        print(f"| {platform} | {counts.sum()} | {int(spikes.sum())} | {differ} | {off:.2g} |")


if __name__ == "__main__":
    main()
