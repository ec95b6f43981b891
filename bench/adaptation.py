"""On-line adaptation: a shipped network meets a new speaker, and the chip learns a few recordings.

usage: python -m bench.adaptation SHD_TRAIN SHD_TEST [--network shd-axonal] [--recordings 60]

The network is quantized and given a chip that learns.  Speakers 4 and 5 occur nowhere in its
training.  Of each, some recordings, drawn evenly over classes, are learned; the others are tested
before and after, and so are training recordings, for what was forgotten.
"""

import argparse
from dataclasses import replace

import numpy as np

from emulator.chip import run
from quant import Granularity, quantize
from quant.learnable import LearnOptions, Tuning, learnable
from ranvier.defaults import OPTIONS
from ranvier.onchip import Schedule, learn_epoch
from ranvier.sources import for_image, for_network, open_data, open_network, some

SPEAKERS = (4, 5)
CALIBRATION, KNOWN = 256, 1000


def drawn(labels, number, rng):
    """Choose `number` recordings, as many of every class as possible."""
    order = rng.permutation(len(labels))
    rank = np.zeros(len(labels), int)
    for label in np.unique(labels):
        own = order[labels[order] == label]
        rank[own] = np.arange(len(own))
    return np.lexsort((rng.random(len(labels)), rank))[:number]


def main():
    """Measure before and after."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("train")
    parser.add_argument("test")
    parser.add_argument("--network", default="shd-axonal")
    parser.add_argument("--recordings", type=int, default=60)
    parser.add_argument("--passes", type=int, default=8)
    parser.add_argument("--weight-rate", type=float, default=0.002)
    parser.add_argument("--delay-rate", type=float, default=0.02)
    parser.add_argument("--seeds", type=int, default=3)
    args = parser.parse_args()
    network = open_network(args.network)
    typical = for_network(some(open_data(args.train), CALIBRATION), network).counts
    options = replace(OPTIONS, granularity=Granularity.PROJECTION)
    quantized, _ = quantize(network, chip=None, options=options, calibration=typical)
    tuning = Tuning(
        weight_rate=args.weight_rate, delay_rate=args.delay_rate, half_taps=(), linear=True,
        error_width=4.0,
    )  # fmt: skip
    schedule = Schedule(epochs=args.passes, batch=4, tuning=tuning, sigma_start=2.0)
    data = for_image(open_data(args.test), quantized)
    known = for_image(some(open_data(args.train), KNOWN), quantized)
    print("| speaker | seed | learned | tested | before % | after % | known before % | after % |")
    print("|---|---|---|---|---|---|---|---|")
    gains = []
    for speaker in SPEAKERS:
        own = np.flatnonzero(data.speakers == speaker)
        for seed in range(args.seeds):
            image = learnable(quantized, schedule.at(0), LearnOptions(), seed=seed)
            chosen = own[drawn(data.labels[own], args.recordings, np.random.default_rng(seed))]
            rest = np.setdiff1d(own, chosen)

            def right(of, counts, labels):
                return 100 * float((run(of, counts).classes == labels).mean())

            before = right(image, data.counts[rest], data.labels[rest])
            known_before = right(image, known.counts, known.labels)
            for epoch in range(args.passes):
                image, _ = learn_epoch(
                    image, data.counts[chosen], data.labels[chosen], schedule, epoch, seed=seed
                )
            after = right(image, data.counts[rest], data.labels[rest])
            gains.append(after - before)
            print(
                f"| {speaker} | {seed} | {len(chosen)} | {len(rest)} | {before:.2f} | {after:.2f} "
                f"| {known_before:.2f} | {right(image, known.counts, known.labels):.2f} |",
                flush=True,
            )
    print(f"\n{np.mean(gains):+.2f} points on average, +- {np.std(gains, ddof=1):.2f}")


if __name__ == "__main__":
    main()
