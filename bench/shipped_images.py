"""Make the images that the benches of the gates run: every shipped digits network, and recordings.

usage: python bench/shipped_images.py

Writes sim/shipped/NAME.ranvier, the networks at 8-bit weights and 6-bit delays, and
sim/shipped/digits.npz, uint8 counts [recordings, steps, channels] of the embedded test set.
"""

from pathlib import Path

import numpy as np

from datapath.files import save
from quant import quantize
from ranvier.defaults import OPTIONS
from ranvier.sources import for_image, for_network, open_data, open_network, shipped, some

FOLDER = Path(__file__).parents[1] / "sim" / "shipped"
CALIBRATION, RECORDINGS = 256, 40


def main():
    """Quantize and write."""
    FOLDER.mkdir(exist_ok=True)
    for name in shipped():
        if not name.startswith("digits"):
            continue
        network = open_network(name)
        typical = for_network(some(open_data("digits:train"), CALIBRATION), network).counts
        image, _ = quantize(network, chip=None, options=OPTIONS, calibration=typical)
        save(image, FOLDER / f"{name}.ranvier")
        counts = for_image(some(open_data("digits"), RECORDINGS), image).counts
        np.savez_compressed(FOLDER / "digits.npz", counts=counts.astype(np.uint8))
        print(f"{name}: {image.channels} channels, {len(counts)} recordings")


if __name__ == "__main__":
    main()
