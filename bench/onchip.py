"""On-chip fine-tuning as the last step: what a chip learns that starts from a quantized network.

    python -m bench.onchip [--shd TRAIN TEST] [--networks NAME ...] [--bits 4 4] [--epochs 10]

For every network: float, rounded (`ranvier quantize --search outputs`), rounded and then learned on
the chip (`ranvier learn --from`), tuned (`ranvier finetune`), tuned and then learned on the chip.
The chip learns in the emulator, from the speakers that the network was trained on; the last epoch
counts.  In brackets what is lost against float.  Prints a Markdown table.
"""

import argparse

from bench.quantization import DIGITS, HELD_OUT, SHD, Bench
from quant.calibrate import taken
from quant.learnable import Tuning, learnable
from ranvier.defaults import LEARN_OPTIONS
from ranvier.onchip import Schedule, learn_epoch
from ranvier.sources import split

TUNING = Tuning(weight_rate=3e-4, delay_rate=0.0, half_taps=(), linear=True, error_width=3.0)
"""`ranvier learn --weight-rate 0.0003 --delay-rate 0`: words of coarse delays are several ticks."""


def learned(bench, image, epochs):
    """Let the chip of `image` learn; return the image after the last epoch."""
    examples, _ = split(bench.train, HELD_OUT[bench.family])
    schedule = Schedule(epochs=epochs, batch=16, tuning=TUNING)
    now = learnable(image, schedule.at(0), LEARN_OPTIONS, seed=0)
    counts = taken(image, examples.counts)
    for epoch in range(epochs):
        now, _ = learn_epoch(now, counts, examples.labels, schedule, epoch, seed=0)
    return now


def row(bench, bits, epochs):
    """Return the cells of one network."""
    rounded, tuned = bench.image(*bits, "outputs"), bench.fine(*bits).image
    cells = []
    for image in (rounded, tuned):
        cells.append(f"{bench.answered(image)['accuracy']:.2f}")
        found = bench.answered(learned(bench, image, epochs))
        lost = f"{found['lost']:.2f} +- {found['half_interval']:.2f}"
        cells.append(f"{found['accuracy']:.2f} ({lost})")
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
