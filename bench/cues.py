"""Cue accumulation learned on the chip, from random weights: accuracy on trials it never saw.

usage: python -m bench.cues [--trials 1000] [--epochs 6] [--hidden 40] [--seeds 3]
"""

import argparse
from dataclasses import replace

import numpy as np

from emulator.chip import run
from events.cues import cue_accumulation
from learn import make_network
from quant.learnable import LearnOptions, Tuning, learnable
from quant.start import start_image
from ranvier.defaults import OPTIONS
from ranvier.onchip import Schedule, learn_epoch

TESTED = 500


def main():
    """Learn and test."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--hidden", type=int, default=40)
    parser.add_argument("--seeds", type=int, default=3)
    args = parser.parse_args()
    reached = []
    for seed in range(args.seeds):
        learned = cue_accumulation(args.trials, seed=1000 + seed)
        tested = cue_accumulation(TESTED, seed=2000 + seed)
        network = make_network(
            channels=40,
            hidden=[args.hidden],
            classes=2,
            steps=learned.steps,
            dt_ms=learned.dt_ms,
            tau_ms=50.0,
            readout_alpha=0.996,
            delay="axonal",
            recurrent="none",
            seed=seed,
        )
        tuning = Tuning(
            weight_rate=0.004, delay_rate=0.05, half_taps=(), linear=True, error_width=20.0
        )
        schedule = Schedule(epochs=args.epochs, batch=16, tuning=tuning)
        start = start_image(network, replace(OPTIONS, membrane_bits=24))
        image = learnable(start, schedule.at(0), LearnOptions(), seed=seed)
        before = (run(image, tested.counts).classes == tested.labels).mean()
        for epoch in range(args.epochs):
            image, told = learn_epoch(
                image, learned.counts, learned.labels, schedule, epoch, seed=seed,
                held_out=(tested.counts, tested.labels),
            )  # fmt: skip
            print(
                f"seed {seed}, epoch {told.number}: learned {100 * told.train_accuracy:.1f} %, "
                f"tested {100 * told.held_out_accuracy:.1f} %",
                flush=True,
            )
        reached.append(told.held_out_accuracy)
        print(f"seed {seed}: {100 * before:.1f} % before, {100 * reached[-1]:.1f} % after")
    spread = np.std(reached, ddof=1) if len(reached) > 1 else 0.0
    print(f"{100 * np.mean(reached):.1f} +- {100 * spread:.1f} % of {TESTED} new trials")


if __name__ == "__main__":
    main()
