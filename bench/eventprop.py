"""EventProp: memory and time beside surrogate gradients, and what it reaches on two data sets.

usage: python -m bench.eventprop [--cost] [--accuracy] [--seeds 3]

Both tables go into docs/eventprop.md.  A measurement that is in the file of rows is not repeated.

Cost: one update on recordings as dense as those of SHD (8,000 events on 140 channels in 1,000 steps
of 1 ms), drawn at random, by a network 140-64-64-20 with synaptic delays drawn up to the largest;
every measurement in a process of its own on one core.  Memory is the peak of the process less its
peak before the update, when recordings were there and a small network had been trained.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from rich.progress import track

from bench.tables import into_page, mean_and_spread, row, rule
from events import spoken_digits, yin_yang
from learn import EventProp, Examples, make_network, train_eventprop
from model import simulate

PAGE = Path(__file__).parents[1] / "docs" / "eventprop.md"
CHANNELS, CLASSES, HIDDEN, STEPS, EVENTS = 140, 20, (64, 64), 1000, 8000
RECORDINGS = 64
LARGEST = (64, 256, 1000)
TRAINERS = {
    "eventprop": "EventProp",
    "whole": "surrogate, whole kernels",
    "compact": "surrogate, compact",
}
SIGMA = 4.0
"""Of the surrogate trainer's kernels, as in its first epoch."""

MODES = ("none", "axonal", "synaptic")
HELD_OUT = (2, 9, 16, 23, 30, 37)
EPOCHS = {"yin-yang": 80, "digits": 40}


def network_of(max_delay, hidden=HIDDEN):
    """Return the network to measure."""
    return make_network(
        channels=CHANNELS, hidden=hidden, classes=CLASSES, steps=STEPS, dt_ms=1.0, seed=0,
        tau_ms=20.0, tau_syn_ms=5.0, reset="zero", delay="synaptic", max_delay=max_delay,
    )  # fmt: skip


def drawn(recordings):
    """Draw recordings."""
    rng = np.random.default_rng(0)
    counts = np.zeros((recordings, STEPS, CHANNELS), np.uint8)
    # One after another, so that drawing them takes no memory worth speaking of.
    for recording in counts:
        recording[:] = rng.poisson(EVENTS / STEPS / CHANNELS, recording.shape)
    return Examples(counts, rng.integers(0, CLASSES, recordings))


def update(trainer, network, examples):
    """Train by one update, and return spikes per hidden neuron and recording."""
    if trainer == "eventprop":
        choices = EventProp(batch=len(examples))
        done = train_eventprop(network, examples, choices, epochs=1, seed=0)
        return STEPS * float(np.mean(list(done.history[0].spike_rates.values())))
    import torch

    from learn.surrogate.network import SpikingNetwork

    torch.set_num_threads(1)
    module = SpikingNetwork(network, "gauss", compact=trainer == "compact").float()
    module.sigma = SIGMA
    descent = torch.optim.Adam(module.parameters(), lr=2e-3)
    given = module.run(torch.from_numpy(examples.counts).float())
    labels = torch.from_numpy(examples.labels)
    torch.nn.functional.cross_entropy(given["readout"].mean(1), labels).backward()
    descent.step()
    hidden = [spikes for name, spikes in given.items() if name.startswith("hidden")]
    return float(np.mean([spikes.detach().sum(1).mean() for spikes in hidden]))


def cost(trainer, max_delay):
    """Measure in this process."""
    update(trainer, network_of(2, (4, 4)), drawn(1))
    network, examples = network_of(max_delay), drawn(RECORDINGS)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    since = time.process_time()
    spikes = update(trainer, network, examples)
    seconds = time.process_time() - since
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "trainer": trainer,
        "max_delay": max_delay,
        "recordings": RECORDINGS,
        "mib": (after - before) / 1024,
        "process_mib": after / 1024,
        "milliseconds": 1000 * seconds / RECORDINGS,
        "spikes": spikes,
    }


def in_a_process(trainer, max_delay):
    """Measure in a process of its own, on one core."""
    environment = {**os.environ, "NUMBA_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "bench.eventprop", "--child", trainer, str(max_delay)]
    ran = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    return json.loads(ran.stdout)


def data(name):
    """Return examples to learn, to choose the epoch by (or None), and to test."""
    if name == "digits":
        train, test = spoken_digits()
        out = np.isin(train.speakers, HELD_OUT)
        everything = Examples(train.counts, train.labels)
        return everything.take(~out), everything.take(out), Examples(test.counts, test.labels)
    parts = [
        yin_yang.part(part).binned(units_per_channel=1, dt_ms=0.5, steps=100)
        for part in ("train", "test")
    ]
    train, test = (Examples(counts.counts, counts.labels) for counts in parts)
    return train, None, test


def start_of(name, mode, seed):
    """Return the network to start from and the choices of the rule."""
    if name == "digits":
        network = make_network(
            channels=140, units=700, hidden=(64,), classes=20, steps=100, dt_ms=10.0, seed=seed,
            tau_ms=30.0, tau_syn_ms=10.0, reset="zero", delay=mode, max_delay=40,
        )  # fmt: skip
        return network, EventProp(weight_rate=5e-3, smallest_rise=0.3, channel_shift=2)
    network = make_network(
        channels=4, hidden=(30,), classes=3, steps=100, dt_ms=0.5, seed=seed, tau_ms=20.0,
        tau_syn_ms=10.0, reset="zero", readout_alpha=0.98, delay=mode, max_delay=20,
    )  # fmt: skip
    # Four events in all must make a neuron fire.
    projections = tuple(
        replace(p, weights=40 * p.weights) if p.post == "hidden" else p for p in network.projections
    )
    choices = EventProp(
        weight_rate=0.01, batch=150, smallest_rise=0.01, rate_strength=0.01, rate_target=1.0,
        hidden_bias=True,
    )  # fmt: skip
    return replace(network, projections=projections), choices


def accuracy(name, mode, seed):
    """Train and test one network."""
    train, held_out, test = data(name)
    network, choices = start_of(name, mode, seed)
    since = time.process_time()
    result = train_eventprop(
        network, train, choices, epochs=EPOCHS[name], seed=seed, held_out=held_out
    )
    seconds = time.process_time() - since
    right = simulate(result.network, test.counts).classes == test.labels
    return {
        "data": name,
        "mode": mode,
        "seed": seed,
        "parameters": network.parameters,
        "epochs": EPOCHS[name],
        "accuracy": 100 * float(right.mean()),
        "trained": 100 * result.history[-1].train_accuracy,
        "seconds_per_epoch": seconds / EPOCHS[name],
    }


def short(value):
    """Write a number with what digits it deserves."""
    return f"{value:.1f}" if value < 10 else f"{value:,.0f}"


def cost_table(rows):
    """Return the lines of the table of costs."""
    heads = [f"{d} steps" for d in LARGEST]
    lines = [row("trainer", *(f"MiB, {h}" for h in heads), *(f"ms, {h}" for h in heads)), rule(7)]
    for trainer, name in TRAINERS.items():
        own = {r["max_delay"]: r for r in rows if r["trainer"] == trainer}
        if own:
            mib = [short(own[d]["mib"]) if d in own else "" for d in LARGEST]
            ms = [short(own[d]["milliseconds"]) if d in own else "" for d in LARGEST]
            lines.append(row(name, *mib, *ms))
    return lines


def accuracy_table(rows):
    """Return the lines of the table of accuracies."""
    lines = [
        row("data", "delays", "parameters", "epochs", "test %", "trained %", "s per epoch", "runs"),
        rule(8),
    ]
    for name in EPOCHS:
        for mode in MODES:
            own = [r for r in rows if (r["data"], r["mode"]) == (name, mode)]
            if own:
                figures = [mean_and_spread([r[k] for r in own]) for k in ("accuracy", "trained")]
                seconds = f"{np.median([r['seconds_per_epoch'] for r in own]):.1f}"
                lines.append(
                    row(
                        f"`{name}`", mode, own[0]["parameters"], own[0]["epochs"], *figures,
                        seconds, len(own),
                    )
                )  # fmt: skip
    return lines


def rows_of(path, wanted, measure):
    """Return the rows of `wanted`, measuring those that are not in the file."""
    path.parent.mkdir(exist_ok=True)
    there = path.read_text().splitlines() if path.exists() else []
    rows = {tuple(key): r for key, r in map(json.loads, there)}
    for key in track([key for key in wanted if key not in rows], path.stem):
        rows[key] = measure(*key)
        with path.open("a") as file:
            file.write(json.dumps([key, rows[key]]) + "\n")
    return [rows[key] for key in wanted]


def main():
    """Measure what is asked for, both if nothing is, and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cost", action="store_true", help="memory and time")
    parser.add_argument("--accuracy", action="store_true")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--rows", type=Path, default=Path("build"), help="folder of rows")
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        print(json.dumps(cost(args.child[0], int(args.child[1]))))
        return
    both = args.cost == args.accuracy
    if args.cost or both:
        wanted = [(trainer, d) for trainer in TRAINERS for d in LARGEST]
        rows = rows_of(args.rows / "eventprop_cost.jsonl", wanted, in_a_process)
        into_page(PAGE, "bench.eventprop cost", cost_table(rows))
    if args.accuracy or both:
        wanted = [(n, m, s) for s in range(args.seeds) for n in EPOCHS for m in MODES]
        rows = rows_of(args.rows / "eventprop_accuracy.jsonl", wanted, accuracy)
        into_page(PAGE, "bench.eventprop accuracy", accuracy_table(rows))


if __name__ == "__main__":
    main()
