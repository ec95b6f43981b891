"""Permuted sequential MNIST, small: pixels one after another, in an order drawn once.

usage: python -m bench.psmnist MNIST.npz FOLDER [--train 3000] [--test 1000] [--pool 4] [--seed 0]

MNIST.npz holds x_train, y_train, x_test, y_test (28 x 28, uint8).  Images are averaged to 7 x 7; a
pixel becomes 0 to 3 events of the one channel in its step, by its brightness.  FOLDER gets
psmnist-train.npz, whose recordings have one of ten speakers each so that some can be held out, and
psmnist-test.npz; bench/plans/psmnist.toml trains on them.
"""

import argparse
from pathlib import Path

import numpy as np

from events import Counts, save

SIDE, LEVELS = 28, 4
SPEAKERS = 10


def sequences(images, pool, order):
    """Return uint8[images, steps, 1] of uint8[images, 28, 28], each step a square of pixels."""
    side = SIDE // pool
    blocks = images.reshape(len(images), side, pool, side, pool).astype(np.uint16)
    mean = blocks.sum(axis=(2, 4)) // pool**2
    return (mean.reshape(len(images), -1)[:, order] * LEVELS // 256).astype(np.uint8)[..., None]


def main():
    """Write both parts."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("mnist", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--train", type=int, default=3000)
    parser.add_argument("--test", type=int, default=1000)
    parser.add_argument("--pool", type=int, choices=(1, 2, 4, 7), default=4, help="pixels a side")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(args.seed)
    order = rng.permutation((SIDE // args.pool) ** 2)
    with np.load(args.mnist, allow_pickle=False) as file:
        for part, number in (("train", args.train), ("test", args.test)):
            images, labels = file[f"x_{part}"], file[f"y_{part}"]
            chosen = np.sort(rng.permutation(len(labels))[:number])
            counts = sequences(images[chosen], args.pool, order)
            nothing = np.zeros(number, np.int64)
            data = Counts(
                counts=counts,
                labels=labels[chosen].astype(np.int64),
                dt_ms=1.0,
                units_per_channel=1,
                n_units=1,
                late=nothing,
                excess=nothing,
                label_names=tuple(map(str, range(10))),
                speakers=rng.integers(0, SPEAKERS, number),
                source=f"MNIST, {SIDE // args.pool} x {SIDE // args.pool}, permuted",
            )
            path = args.folder / f"psmnist-{part}.npz"
            save(data, path)
            print(f"{path}: {number} images of {len(order)} steps")


if __name__ == "__main__":
    main()
