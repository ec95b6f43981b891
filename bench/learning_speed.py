"""Speed of on-chip learning in the emulator.

usage: python bench/learning_speed.py [--rounds 5] [--batch 32] [--recordings 64] [--json]

speed : samples per second of a 140-256 recurrent-20 network, 100 steps, 6,500 events a recording,
        whose weights and synaptic delays learn; on one core, on two, and of inference alone.
cold :  seconds of a fresh process that learns from one recording.

Every figure is the best of several rounds, in which all rows take turns.
"""

import argparse
import json
import subprocess
import sys
import time

import numba
import numpy as np
from rich.console import Console
from rich.table import Table

from datapath import (
    Axon,
    Chip,
    Compare,
    Delay,
    Format,
    Image,
    Kind,
    Leak,
    Learn,
    Learning,
    Lif,
    Overflow,
    Population,
    PopulationRule,
    Projection,
    ProjectionRule,
    Readout,
    Reset,
    Rounding,
    Synapse,
)
from emulator.chip import run
from emulator.learn import learn

CHANNELS, HIDDEN, CLASSES, STEPS, EVENTS = 140, 256, 20, 100, 6500
LANES, SLOTS, LONGEST, TAPS = 8, 64, 55, (4, 3, 2, 1)


def unsigned(width, frac=0):
    """Return an unsigned format."""
    return Format(width, frac, signed=False)


def chip():
    """Return a chip that just holds the network."""
    return Chip(
        channels=144,
        neurons=HIDDEN + 24,
        populations=2,
        projections=3,
        synapses=(CHANNELS + HIDDEN) * HIDDEN // LANES + HIDDEN * 3,
        lanes=LANES,
        axon=Axon(unsigned(5), channel_steps=128, neuron_steps=128, delay=unsigned(1), delays=0),
        synapse=Synapse(
            weight=Format(8),
            scale=unsigned(2),
            acc=Format(28),
            slots=SLOTS,
            delay=unsigned(6),
            dendritic=0,
            synaptic=True,
        ),
        current=None,
        lif=Lif(
            v=Format(16),
            bias=Format(12),
            leak=Leak.MULTIPLY,
            coefficient=unsigned(9, 8),
            rounding=Rounding.NEAREST,
            compare=Compare.GE,
            overflow=Overflow.SATURATE,
        ),
        readout=Readout(score=Format(28), classes=CLASSES),
        learn=Learn(
            steps=128,
            lookup=unsigned(8),
            entries=64,
            coefficient=unsigned(9, 8),
            filtered=Format(20),
            signal=Format(14),
            slope=Format(14),
            tap=unsigned(4, 4),
            taps=8,
            weight_gradient=Format(28),
            delay_gradient=Format(28),
            weight_fraction=unsigned(8),
            delay_fraction=unsigned(8),
            rate=unsigned(8),
            activity=unsigned(6),
        ),
    )


def rule(size, *, delays):
    """Return a rule of a projection, its weights learning, and its delays too if told so."""
    return ProjectionRule(
        weights=True,
        delays=delays,
        weight_limit=20,
        weight_rate=20,
        weight_shift=15,
        delay_scale=7,
        delay_limit=20,
        delay_rate=20,
        delay_shift=14,
        largest=LONGEST if delays else 0,
        weight_fractions=np.zeros(size, np.int64),
        weight_gradients=np.zeros(size, np.int64),
        delay_fractions=np.zeros(size if delays else (), np.int64),
        delay_gradients=np.zeros(size if delays else (), np.int64),
    )


def learning():
    """Return rules by which everything learns."""
    distance = np.arange(64)
    rules = [PopulationRule(True, None, decay, 8, 3, 0, 0) for decay in (230, 245)]
    return Learning(
        surrogate=np.maximum(0, 255 - 16 * distance),
        levels=np.round(255 * np.exp(-distance / 8)).astype(np.int64),
        surrogate_shift=5,
        error_shift=6,
        taps=TAPS,
        keep_weights=0,
        keep_delays=0,
        sign_of_weight=False,
        nearest=False,
        random=np.arange(1, LANES + 1),
        populations=tuple(rules),
        projections=(
            rule((HIDDEN, CHANNELS), delays=True),
            rule((HIDDEN, HIDDEN), delays=True),
            rule((CLASSES, HIDDEN), delays=False),
        ),
    )


def network():
    """Return an image of random weights and delays."""
    rng = np.random.default_rng(0)

    def synapses(name, pre, post, shape, width, delay):
        weights = np.clip(np.round(rng.normal(0.5, width, shape)), -127, 127).astype(np.int64)
        delays = rng.integers(0, LONGEST, shape) if delay is Delay.SYNAPTIC else 0
        return Projection(name, pre, post, weights, 0, delay, delays, 0)

    hidden = Population("hidden", Kind.LIF, HIDDEN, 600, 0, 243, Reset.SUBTRACT, False)
    out = Population("out", Kind.READOUT, CLASSES, 1, 0, 250, Reset.SUBTRACT, False)
    return Image(
        chip=chip(),
        input_name="input",
        channels=CHANNELS,
        units=CHANNELS,
        dt_us=10000,
        steps=STEPS,
        populations=(hidden, out),
        projections=(
            synapses("input_hidden", "input", "hidden", (HIDDEN, CHANNELS), 12, Delay.SYNAPTIC),
            synapses("hidden_hidden", "hidden", "hidden", (HIDDEN, HIDDEN), 8, Delay.SYNAPTIC),
            synapses("hidden_out", "hidden", "out", (CLASSES, HIDDEN), 12, Delay.NONE),
        ),
        learning=learning(),
    )


def recordings(number):
    """Return counts of about EVENTS events a recording, some in the same step, and labels."""
    rng = np.random.default_rng(1)
    counts = rng.poisson(EVENTS / STEPS / CHANNELS, (number, STEPS, CHANNELS))
    return np.minimum(counts, 31).astype(np.uint8), rng.integers(0, CLASSES, number)


def seconds(work):
    """Time `work`."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def learn_on(cores, image, counts, labels, batch):
    """Learn with so many threads."""
    numba.set_num_threads(cores)
    return learn(image, counts, labels, batch=batch)


def speed(rounds, batch, number):
    """Return samples per second of every row."""
    image, (counts, labels) = network(), recordings(number)
    rows = {
        "learning, one core": lambda: learn_on(1, image, counts, labels, batch),
        "learning, two cores": lambda: learn_on(2, image, counts, labels, batch),
        "learning, one core, an update per sample": lambda: learn_on(1, image, counts, labels, 1),
        "inference, one core": lambda: run(image, counts),
    }
    best = dict.fromkeys(rows, float("inf"))
    for n in range(rounds + 1):
        for name, work in rows.items():
            numba.set_num_threads(1)
            spent = seconds(work)
            best[name] = min(best[name], spent) if n else best[name]
    figures = {name: number / spent for name, spent in best.items()}
    numba.set_num_threads(1)
    done = learn(image, counts, labels, batch=batch)
    spikes = done.spike_counts["hidden"].sum() / number
    return figures | {
        "hidden spikes a recording": float(spikes),
        "recordings with a gradient out of range": int(done.learn_saturated.sum()),
    }


def cold():
    """Seconds of a fresh process that learns from one recording."""
    code = (
        "import numba; numba.set_num_threads(1)\n"
        "from learning_speed import *\n"
        "learn(network(), *recordings(1), batch=1)"
    )
    return seconds(
        lambda: subprocess.run([sys.executable, "-c", code], check=True, cwd=sys.path[0])
    )


def main():
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--recordings", type=int, default=64)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    figures = speed(args.rounds, args.batch, args.recordings) | {"cold, s": cold()}
    if args.json:
        print(json.dumps(figures, indent=2))
        return
    table = Table("", "")
    for name, value in figures.items():
        table.add_row(name, f"{value:.1f}")
    Console().print(table)


if __name__ == "__main__":
    main()
