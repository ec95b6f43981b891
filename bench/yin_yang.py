"""Yin-Yang by exact gradients of first spikes: which delays are worth what, at which size.

usage: python -m bench.yin_yang [--seeds 3] [--epochs 300] [--hidden 5 10 20 30]

Weights alone (W), with axonal (WA), dendritic (WD) or synaptic delays (WS).  A run that is in the
file of rows is not repeated; the table in docs/delgrad.md is written from all rows.
"""

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from rich.progress import track

from bench.tables import into_page, mean_and_spread, row, rule
from emulator.chip import run
from events import yin_yang
from learn import DelGrad, Examples, make_first_spike_network, train_delgrad
from learn.delgrad import first_spikes
from model import simulate
from quant import quantize
from ranvier.defaults import OPTIONS

PAGE = Path(__file__).parents[1] / "docs" / "delgrad.md"
DT_MS, STEPS, MAX_DELAY = 0.1, 500, 100
MODES = {"W": "none", "WA": "axonal", "WD": "dendritic", "WS": "synaptic"}
CALIBRATION = 256
# The leaks of steps this short, 0.990 and 0.995, want more bits than those of 10 ms.
CHIP = replace(OPTIONS, coefficient_bits=14, membrane_bits=24)
# Of the networks in the authors' repository (github.com/JulianGoeltz/fastAndDeep, 300 epochs, 30
# hidden), from the spike times stored beside them; one network each.
PUBLISHED = {("W", 30): 96.7, ("WA", 30): 97.5, ("WS", 30): 98.2}


def data(part):
    """Return the examples of one part."""
    counts = yin_yang.part(part).binned(units_per_channel=1, dt_ms=DT_MS, steps=STEPS)
    return Examples(counts.counts, counts.labels)


def parameters(network):
    """Weights and delays that were learned."""
    learned = (p for p in network.projections if p.pre != p.post and p.post != "readout")
    return sum(p.weights.size + (p.delays.size if p.delay != "none" else 0) for p in learned)


def measure(mode, hidden, seed, epochs, train, test):
    """Train and test one network."""
    network = make_first_spike_network(
        channels=4, hidden=(hidden,), classes=3, steps=STEPS, dt_ms=DT_MS, seed=seed,
        delay=MODES[mode], max_delay=MAX_DELAY,
    )  # fmt: skip
    since = time.perf_counter()
    choices = DelGrad()
    network = train_delgrad(network, train, choices, epochs=epochs, seed=seed).network
    seconds = time.perf_counter() - since
    engine = first_spikes(network, choices)
    everything, still = np.arange(len(test)), np.zeros(len(test), np.int64)
    exact = engine.find(
        engine.layout.weights, engine.layout.delays, test, everything, still, learn=False
    )
    stepped = simulate(network, test.counts)
    image, _ = quantize(network, chip=None, options=CHIP, calibration=train.counts[:CALIBRATION])
    return {
        "mode": mode,
        "hidden": hidden,
        "seed": seed,
        "epochs": epochs,
        "parameters": parameters(network),
        "exact": 100 * float((exact.classes == test.labels).mean()),
        "stepped": 100 * float((stepped.classes == test.labels).mean()),
        "chip": 100 * float((run(image, test.counts).classes == test.labels).mean()),
        "most_spikes": int(max(counts.max() for counts in stepped.spike_counts.values())),
        "seconds": seconds,
    }


def table(rows):
    """Return the lines of the table."""
    lines = [
        row("", "hidden", "parameters", "exact %", "steps %", "chip %", "published %", "runs"),
        rule(8),
    ]
    for hidden in sorted({r["hidden"] for r in rows}):
        for mode in MODES:
            own = [r for r in rows if (r["mode"], r["hidden"]) == (mode, hidden)]
            if not own:
                continue
            figures = (mean_and_spread([r[k] for r in own]) for k in ("exact", "stepped", "chip"))
            published = PUBLISHED.get((mode, hidden), "")
            lines.append(row(mode, hidden, own[0]["parameters"], *figures, published, len(own)))
    return lines


def main():
    """Run what is missing, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=300)
    parser.add_argument("--hidden", type=int, nargs="+", default=[5, 10, 20, 30])
    parser.add_argument("--rows", type=Path, default=Path("build/yin_yang.jsonl"))
    args = parser.parse_args()
    args.rows.parent.mkdir(exist_ok=True)
    there = args.rows.read_text().splitlines() if args.rows.exists() else []
    rows = [r for r in map(json.loads, there) if r["epochs"] == args.epochs]
    done = {(r["mode"], r["hidden"], r["seed"]) for r in rows}
    wanted = [(m, h, s) for s in range(args.seeds) for h in args.hidden for m in MODES]
    train, test = data("train"), data("test")
    for mode, hidden, seed in track([w for w in wanted if w not in done], "networks"):
        rows.append(measure(mode, hidden, seed, args.epochs, train, test))
        with args.rows.open("a") as file:
            file.write(json.dumps(rows[-1]) + "\n")
    into_page(PAGE, "bench.yin_yang", table(rows))


if __name__ == "__main__":
    main()
