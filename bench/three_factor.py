"""Train on binned SHD and report accuracy and speed.

usage: python bench/three_factor.py FOLDER --hidden 24 --delays zero --epochs 15

FOLDER holds shd_train_140x10ms.npz and shd_test_140x10ms.npz: `x`, uint8 counts of all recordings
one after another [steps, 140 channels]; `steps` of each recording; `label`; `speaker`.  Speakers 3
and 9 of the training set select the epoch; the test set is looked at once, at the end.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np

from learn import Examples, Rule, make_network, train
from model import save, simulate

STEPS, CHANNELS, CLASSES = 100, 140, 20
HELD_OUT_SPEAKERS = (3, 9)
TEST_ONLY_SPEAKERS = (4, 5)


def load(path):
    """Return counts of the first STEPS steps, padded with silence; labels; speakers."""
    with np.load(path, allow_pickle=False) as file:
        ends = np.cumsum(file["steps"].astype(int))
        rows = file["x"].reshape(-1, CHANNELS)
        counts = np.zeros((len(ends), STEPS, CHANNELS), np.uint8)
        for r, part in enumerate(np.split(rows, ends[:-1])):
            counts[r, : len(part)] = part[:STEPS]
        return counts, file["label"].astype(np.int64), file["speaker"]


def arguments():
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--hidden", type=int, nargs="+", default=[24])
    parser.add_argument("--delay", default="axonal")
    parser.add_argument("--delays", default="zero", choices=["zero", "random"])
    parser.add_argument("--recurrent")
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--max-delay", type=int, default=40)
    parser.add_argument("--tau-ms", type=float, default=15.0)
    parser.add_argument("--checkpoint", type=Path)
    parser.add_argument("--all", action="store_true", help="hold nobody out, take the last epoch")
    parser.add_argument("--out", type=Path, help="where to save the network")
    parser.add_argument("--rule", type=json.loads, default={}, help="JSON object of Rule's fields")
    return parser.parse_args()


def main():
    """Train, choose the epoch, test."""
    args = arguments()
    counts, labels, speakers = load(args.folder / "shd_train_140x10ms.npz")
    held_out = np.isin(speakers, HELD_OUT_SPEAKERS) & (not args.all)
    everything = Examples(counts, labels)
    network = make_network(
        channels=CHANNELS,
        units=700,
        hidden=args.hidden,
        classes=CLASSES,
        steps=STEPS,
        dt_ms=10.0,
        seed=args.seed,
        tau_ms=args.tau_ms,
        delay=args.delay,
        delays=args.delays,
        recurrent=args.recurrent,
        max_delay=args.max_delay,
    )
    print(f"{network.parameters} parameters, {(~held_out).sum()} recordings", flush=True)
    since = time.perf_counter()

    def tell(epoch):
        nonlocal since
        now = time.perf_counter()
        rates = ", ".join(f"{name} {rate:.3f}" for name, rate in epoch.spike_rates.items())
        print(
            f"epoch {epoch.number:2d}  sigma {epoch.sigma:.2f}  loss {epoch.loss:.3f}  "
            f"train {epoch.train_accuracy:.3f}  held out {epoch.held_out_accuracy or 0:.4f}  "
            f"spikes/step: {rates}  {now - since:.1f} s",
            flush=True,
        )
        since = now

    result = train(
        network,
        everything.take(~held_out),
        Rule(**args.rule),
        epochs=args.epochs,
        seed=args.seed,
        held_out=None if args.all else everything.take(held_out),
        checkpoint=args.checkpoint,
        progress=tell,
    )
    counts, labels, speakers = load(args.folder / "shd_test_140x10ms.npz")
    since = time.perf_counter()
    right = simulate(result.network, counts).classes == labels
    seconds = time.perf_counter() - since
    new = np.isin(speakers, TEST_ONLY_SPEAKERS)
    print(
        f"epoch {result.network.provenance['epoch']}: test {right.mean():.4f}, "
        f"speakers 4 and 5 {right[new].mean():.4f}; simulated in {seconds:.1f} s"
    )
    if args.out:
        save(result.network, args.out)


if __name__ == "__main__":
    main()
