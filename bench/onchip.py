"""On-chip fine-tuning as the last step: what a chip learns that starts from a quantized network.

    python -m bench.onchip [--shd TRAIN TEST] [--networks NAME ...] [--bits 4 4] [--epochs 10]

For every network: float, rounded (`ranvier quantize --search outputs`), rounded and then learned on
the chip (`ranvier learn --from`), tuned (`ranvier finetune`), tuned and then learned on the chip.
The chip learns in the emulator from the training speakers but those held out, who choose the
epoch; 0 is the image it started from.  Test recordings choose nothing.  Prints a Markdown table.
"""

import argparse

from bench.quantization import DIGITS, HELD_OUT, SHD, Bench
from emulator.chip import run
from quant.calibrate import taken
from quant.learnable import Tuning, learnable
from ranvier.defaults import LEARN_OPTIONS
from ranvier.onchip import Schedule, learn_epoch
from ranvier.sources import split

TUNING = Tuning(weight_rate=1e-3, delay_rate=0.03, half_taps=(), linear=True, error_width=3.0)
"""That of `ranvier learn`."""


def learned(bench, image, epochs):
    """Let the chip of `image` learn; return the image of the best epoch, and its number."""
    examples, held_out = split(bench.train, HELD_OUT[bench.family])
    heard, told = taken(image, held_out.counts), held_out.labels
    schedule = Schedule(epochs=epochs, batch=16, tuning=TUNING)
    known = [((run(image, heard).classes == told).mean(), image)]
    now = learnable(image, schedule.at(0), LEARN_OPTIONS, seed=0)
    counts = taken(image, examples.counts)
    for epoch in range(epochs):
        now, came = learn_epoch(
            now, counts, examples.labels, schedule, epoch, seed=0, held_out=(heard, told)
        )
        known.append((came.held_out_accuracy, now))
    best = max(range(len(known)), key=lambda n: known[n][0])
    return known[best][1], best


def row(bench, bits, epochs):
    """Return the cells of one network."""
    rounded, tuned = bench.image(*bits, "outputs"), bench.fine(*bits).image
    cells = []
    for image in (rounded, tuned):
        cells.append(f"{bench.answered(image)['accuracy']:.2f}")
        further, epoch = learned(bench, image, epochs)
        found = bench.answered(further)
        lost = f"{found['lost']:.2f} +- {found['half_interval']:.2f}"
        cells.append(f"{found['accuracy']:.2f} ({lost}; epoch {epoch})")
    return [f"{bench.answered(rounded)['float']:.2f}", *cells]


def main():
    """Print a line as soon as it is measured."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shd", nargs=2, metavar=("TRAIN", "TEST"), help="files of SHD")
    parser.add_argument("--networks", nargs="+", choices=DIGITS + SHD, default=DIGITS + SHD)
    parser.add_argument("--bits", nargs=2, type=int, default=(4, 4), metavar=("WEIGHT", "DELAY"))
    parser.add_argument("--epochs", type=int, default=10)
    args = parser.parse_args()
    print("| network | float % | rounded | then learned on the chip | tuned | then learned |")
    print("|---" * 6 + "|", flush=True)
    for name in args.networks:
        if name in SHD and not args.shd:
            continue
        given = ("digits:train", "digits") if name in DIGITS else args.shd
        cells = row(Bench(name, *given), args.bits, args.epochs)
        print(f"| `{name}` | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
