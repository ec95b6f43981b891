"""The recurrent network for Braille of the NIR paper from its two files: one image, bit for bit.

    python -m bench.braille ../shared/data/models

The folder holds braille_noDelay_noBias_subtract.nir and model_noDelay_noBias_ref_subtract.pt
(NIR paper, BSD-3: 12-40-7, synaptic currents, trained with snnTorch).  Also runs the float network
and chips of 8 and of 16-bit weights on 200 recordings of noise: those of the paper are not there.
"""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import click
import numpy as np

from datapath.files import digest
from emulator.chip import run
from model import simulate
from model.importers import Settings, import_network
from quant import quantize
from ranvier.defaults import OPTIONS

STEPS, RECORDINGS, RATE = 256, 200, 0.08
BOTH = {"dt_ms": 0.1, "steps": STEPS}
WIDE = replace(OPTIONS, weight_bits=16, coefficient_bits=16, membrane_bits=28)
FILES = {
    "braille_noDelay_noBias_subtract.nir": {"scheme": "euler", "reset": "subtract"},
    "model_noDelay_noBias_ref_subtract.pt": {"score": "spikes"},
}


def network(path, given):
    """Import a file; stop if one of its nodes cannot be."""
    imported = import_network(path, Settings(path, given))
    if imported.network is None:
        raise ValueError(f"{path}: {imported.findings[-1]}")
    return imported


def same(one, other):
    """Whether two networks are equal in every number and name."""
    parts = [(*n.populations, *n.projections) for n in (one, other)]
    return len(parts[0]) == len(parts[1]) and all(
        np.array_equal(getattr(a, field.name), getattr(b, field.name))
        for a, b in zip(*parts, strict=True)
        for field in fields(a)
    )


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
def main(folder: Path) -> None:
    """Print a table; exit status 1 if the two files in FOLDER give two images."""
    rng = np.random.default_rng(0)
    counts = rng.binomial(1, RATE, (RECORDINGS, STEPS, 12))
    differ = False
    print("| late reset | file | verdict | image | spikes | same class, 8 bits | 16 bits |")
    print("|---|---|---|---|---|---|---|")
    for late in ("exact", "early"):
        made = []
        for name, own in FILES.items():
            imported = network(folder / name, BOTH | own | {"late_reset": late})
            floats = simulate(imported.network, counts, record=["spikes"])
            fired = sum(int(spikes.sum()) for spikes in floats.spikes.values())
            images, agreed = [], []
            for options in (OPTIONS, WIDE):
                image, _ = quantize(
                    imported.network, chip=None, options=options, calibration=counts
                )
                images.append(digest(image))
                agreed.append(f"{100 * (run(image, counts).classes == floats.classes).mean():.1f}")
            made.append((imported.network, images))
            print(
                f"| {late} | {name} | {imported.verdict} | {images[0][:16]} | {fired:,} | "
                + " | ".join(f"{share} %" for share in agreed)
                + " |"
            )
        (one, images), (other, twins) = made
        differ |= not same(one, other) or images != twins
    print("\ntwo images" if differ else "\nidentical networks, identical images")
    raise SystemExit(differ)


if __name__ == "__main__":
    main()
