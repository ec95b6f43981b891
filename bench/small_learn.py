"""Yin-Yang learned on the chip `small-learn`, from random weights: accuracy on points it never saw.

usage: python -m bench.small_learn [--epochs 5] [--hidden 12] [--seeds 3]
"""

import argparse
from dataclasses import replace

import numpy as np

from datapath.catalog import SMALL_LEARN
from emulator.chip import run
from events import yin_yang
from learn import make_network
from quant import Granularity, Scale, options_for
from quant.learnable import Tuning, learn_options_for, learnable
from quant.start import start_image
from ranvier.onchip import Schedule, learn_epoch

DT_MS = 1.0
STEPS = SMALL_LEARN.learn.steps - 1
TUNING = Tuning(weight_rate=0.005, delay_rate=0.2, half_taps=(), linear=True, error_width=3.0)
LARGEST_WEIGHT = 1.0


def part(name):
    """Return counts and labels of one part; a coordinate is one spike."""
    counts = yin_yang.part(name).binned(units_per_channel=1, dt_ms=DT_MS, steps=STEPS)
    return counts.counts, counts.labels


def start(hidden, schedule, seed):
    """Return an image of random weights and delays on the chip."""
    network = make_network(
        channels=yin_yang.UNITS,
        hidden=[hidden],
        classes=len(yin_yang.LABELS),
        steps=STEPS,
        dt_ms=DT_MS,
        tau_ms=10.0,
        readout_alpha=0.9,
        delay="axonal",
        recurrent="none",
        max_delay=SMALL_LEARN.axon.delay.max,
        delays="random",
        seed=seed,
    )
    options = options_for(SMALL_LEARN, granularity=Granularity.PROJECTION, scale=Scale.INTEGER)
    largest = {population.name: LARGEST_WEIGHT for population in network.populations}
    image = start_image(network, options, largest=largest)
    image = learnable(image, schedule.at(0), learn_options_for(SMALL_LEARN), seed=seed)
    return replace(image, chip=SMALL_LEARN)


def main():
    """Learn and test."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--hidden", type=int, default=12)
    parser.add_argument("--seeds", type=int, default=3)
    args = parser.parse_args()
    schedule = Schedule(epochs=args.epochs, batch=16, tuning=TUNING, sigma_start=2.0, sigma_end=1.0)
    learned, tested = part("train"), part("test")
    reached = []
    for seed in range(args.seeds):
        image = start(args.hidden, schedule, seed)
        before = (run(image, tested[0]).classes == tested[1]).mean()
        for epoch in range(args.epochs):
            image, told = learn_epoch(image, *learned, schedule, epoch, seed=seed, held_out=tested)
            print(
                f"seed {seed}, epoch {told.number}: learned {100 * told.train_accuracy:.1f} %, "
                f"tested {100 * told.held_out_accuracy:.1f} %",
                flush=True,
            )
        reached.append(100 * told.held_out_accuracy)
        print(f"seed {seed}: {100 * before:.1f} % before, {reached[-1]:.1f} % after", flush=True)
    spread = np.std(reached, ddof=1) if len(reached) > 1 else 0.0
    print(f"{np.mean(reached):.1f} +- {spread:.1f} % of {len(tested[1])} points")


if __name__ == "__main__":
    main()
