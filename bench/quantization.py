"""Accuracy against bits: networks rounded after training, tuned for the rounding, and by others.

usage: python -m bench.quantization RESULTS.json [--shd TRAIN TEST] [--networks NAME ...]
       [--parts rounded pruned tuned gently peers] [--peer-python PATH] [--plot FIGURE.svg]

RESULTS.json is written after every measurement; what it holds is not measured again.  TRAIN and
TEST are files of SHD; without them the networks trained on SHD are left out.  PATH is another
Python that has the packages of `quantizers.py`.  NAME is a shipped network or an npz file whose
name begins with `digits-` or `shd-`, which says whose recordings it is for.

Networks are calibrated, and scales searched, on 256 training recordings.  Tuning (`ranvier
finetune` as it is, and gently: a tenth of its steps, fewer epochs) trains on the training speakers
but those whom the network was trained without.  The last epoch counts; tuned gently, that which
these speakers choose.  Test recordings choose nothing.  Prints Markdown tables.
"""

import argparse
import json
import os
import subprocess
import tempfile
from dataclasses import replace
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from bench.quantizers import QUANTIZERS
from emulator.chip import run
from model import Lif, Readout, simulate
from quant import Granularity, Search, quantize
from quant.calibrate import taken
from quant.charts import STYLE
from quant.evaluate import Evaluation
from ranvier.defaults import OPTIONS
from ranvier.sources import for_network, open_data, open_network, some, split
from ranvier.tuning import RULE, finetune

WEIGHTS, DELAYS = (2, 3, 4, 6, 8), (2, 3, 4, 6)
SAID = {
    "layer/range": "one scale a layer, nothing clipped",
    "range": "per neuron, nothing clipped",
    "weights": "per neuron, by error",
    "outputs": "per neuron, by outputs",
    "tuned": "tuned",
    "gently": "tuned gently",
} | {f"{peer}{leak}": f"{peer}{leak}" for peer in QUANTIZERS for leak in ("", " with its leak")}
"""What a row of the tables is called, by its key."""
PRUNED = (0.25, 0.5, 0.75)
CALIBRATION = 256
SHIFT = 4
"""Channel augmentation, as the networks were trained with."""
DIGITS = ("digits-axonal", "digits-synaptic", "digits-none")
SHD = ("shd-axonal", "shd-none")
HELD_OUT = {"digits": "2,9,16,23,30,37", "shd": "3,9"}
EPOCHS = 30
GENTLE_EPOCHS = {"digits": 10, "shd": 3}
TUNED_SHD = {(8, 6), (4, 4)}
"""Weight and delay bits at which the larger network with delays is tuned with large steps."""


class Bench:
    """One network, its data, and what it answers in float."""

    def __init__(self, name, train, test):
        self.name, self.family = name, family(name)
        self.network = open_network(name)
        data = open_data(train)
        self.train = for_network(data, self.network)
        self.typical = some(self.train, CALIBRATION).counts
        self.test = for_network(open_data(test), self.network)
        self.float_classes = self.classes_of(self.network)
        self.delays = DELAYS if any(p.delay != "none" for p in self.network.projections) else (6,)

    def classes_of(self, network):
        parts = np.array_split(self.test.counts, max(1, len(self.test) // 256))
        return np.concatenate([simulate(network, part).classes for part in parts])

    def figures(self, classes):
        """Compare `classes` of the test recordings with the float network's."""
        labels = self.test.labels.astype(np.int64)
        found = Evaluation(labels, self.float_classes, classes, self.network.readout.size, 0)
        lost, half = found.lost
        return {
            "float": 100 * found.float_accuracy,
            "accuracy": 100 * found.chip_accuracy,
            "lost": 100 * lost,
            "half_interval": 100 * half,
            "same_class": 100 * found.agreement,
        }

    def options(self, weight_bits, delay_bits, search):
        granularity, search = search.split("/") if "/" in search else ("neuron", search)
        return replace(
            OPTIONS,
            weight_bits=weight_bits,
            delay_bits=delay_bits,
            granularity=Granularity(granularity),
            search=Search(search),
        )

    def image(self, weight_bits, delay_bits, search, prune=0.0):
        """Prune and round after training."""
        options = replace(self.options(weight_bits, delay_bits, search), prune=prune)
        image, _ = quantize(self.network, chip=None, options=options, calibration=self.typical)
        return image

    def fine(self, weight_bits, delay_bits, how="tuned"):
        """Tune for the rounding; return what comes of it after the last epoch."""
        examples, held_out = split(self.train, HELD_OUT[self.family])
        rule = RULE if how == "tuned" else replace(RULE, weight_rate=2e-4, delay_rate=0.03)
        return finetune(
            self.network,
            examples,
            replace(rule, channel_shift=SHIFT),
            options=self.options(weight_bits, delay_bits, "weights"),
            epochs=EPOCHS if how == "tuned" else GENTLE_EPOCHS[self.family],
            seed=0,
            # Few held-out speakers make a noisy choice among epochs of large steps.
            held_out=None if how == "tuned" else held_out,
        )

    def answered(self, image):
        """Compare what `image` answers to the test recordings with the float network's."""
        return self.figures(run(image, taken(image, self.test.counts)).classes)

    def tuned(self, weight_bits, delay_bits, how="tuned"):
        """Tune, and measure."""
        result = self.fine(weight_bits, delay_bits, how)
        return {**self.answered(result.image), "epochs": len(result.history)}

    def peer(self, python, script, bits, *, leak):
        """Round by another package; its leak as well if `leak`."""
        network, (first, last) = self.network, self.network.projections
        hidden, readout = network.populations[1:]
        with tempfile.TemporaryDirectory() as folder:
            given, made = Path(folder, "given.npz"), Path(folder, "made.npz")
            np.savez(
                given, forward=first.weights, out=last.weights, alpha=hidden.alpha[0],
                alpha_out=readout.alpha[0], dt_ms=network.dt_ms,
            )  # fmt: skip
            done = subprocess.run(
                [python, "-c", script, str(given), str(made), str(bits)],
                capture_output=True, text=True, check=False, cwd=folder,
                env=os.environ | {"PYTHONPATH": ""},
            )  # fmt: skip
            if done.returncode:
                why = (done.stderr.splitlines() or ["no message"])[-1]
                return {"missing": why}
            with np.load(made) as archive:
                new = dict(archive)
        threshold = new["threshold"]
        # A threshold rounded to 0 fires in every step; the float network asks for a positive one.
        kept = Lif(
            hidden.name, hidden.size, new["alpha"] if leak else hidden.alpha,
            np.where(threshold > 0, threshold, 1e-9), hidden.bias, hidden.reset,
        )  # fmt: skip
        alpha_out = new["alpha_out"] if leak else readout.alpha
        changed = replace(
            network,
            populations=(
                network.input, kept, Readout(readout.name, readout.size, alpha_out, readout.bias)
            ),
            projections=(replace(first, weights=new["forward"]), replace(last, weights=new["out"])),
        )  # fmt: skip
        return {**self.figures(self.classes_of(changed)), "version": done.stdout.strip()}


def family(name):
    """Return whose recordings the network `name`, a shipped one or a file, is for."""
    return Path(name).stem.split("-")[0]


def jobs(name, delays, parts, python):
    """Yield key and measurement of everything that is asked for of the network `name`."""
    settings = [(w, d) for w in WEIGHTS for d in delays]
    if "rounded" in parts:
        for w, d in settings:
            yield (
                f"{name} outputs {w} {d}",
                lambda b, w=w, d=d: b.answered(b.image(w, d, "outputs")),
            )
        for search in ("layer/range", "range", "weights"):
            for w in WEIGHTS:
                yield (
                    f"{name} {search} {w} 6",
                    lambda b, w=w, s=search: b.answered(b.image(w, 6, s)),
                )
    if "pruned" in parts:
        for share in PRUNED:
            key = f"{name} pruned {share:.2f} 8 6"
            yield key, lambda b, s=share: b.answered(b.image(8, 6, "outputs", s))
    for how in ("tuned", "gently"):
        for w, d in settings if how in parts else ():
            if how == "gently" or name != "shd-axonal" or (w, d) in TUNED_SHD:
                yield f"{name} {how} {w} {d}", lambda b, w=w, d=d, how=how: b.tuned(w, d, how)
    if "peers" in parts and python:
        for peer, (script, offered) in QUANTIZERS.items():
            for w in offered:
                for leak in (False, True):
                    key = f"{name} {peer}{' with its leak' if leak else ''} {w} 6"
                    yield key, lambda b, s=script, w=w, k=leak: b.peer(python, s, w, leak=k)


def measure(results, path, named, parts, python):
    """Add to `results` what it lacks, and write it to `path` after every measurement."""
    for name, train, test in named:
        bench = None
        delays = (6,) if name.endswith("none") else DELAYS
        for key, work in jobs(Path(name).stem, delays, parts, python):
            if key in results:
                continue
            bench = bench or Bench(name, train, test)
            results[key] = work(bench)
            part = path.with_suffix(".part")
            part.write_text(json.dumps(results, indent=1) + "\n")
            part.replace(path)
            print(key, {k: v for k, v in results[key].items() if k != "version"}, flush=True)


def cell(row):
    """Accuracy and the share of recordings with the float network's class."""
    if row is None:
        return ""
    if "missing" in row:
        return f"not run: {row['missing']}"
    return f"{row['accuracy']:.2f} ({row['same_class']:.1f})"


def headline(results, names):
    """Print what is lost at 8/6 and at 4/4 bits, with 95 % intervals of paired recordings."""
    print("| network | float % | 8/6 rounded | 8/6 tuned | 4/4 rounded | 4/4 tuned |")
    print("|---" * 6 + "|")
    for name in names:
        found = [
            results.get(f"{name} {how} {w} {6 if name.endswith('none') else d}")
            for w, d in ((8, 6), (4, 4))
            for how in ("outputs", "tuned")
        ]
        cells = (
            f"{r['lost']:.2f} +- {r['half_interval']:.2f}" if r else "not measured" for r in found
        )
        first = next(r for key, r in results.items() if key.startswith(f"{name} ") and "float" in r)
        print(f"| `{name}` | {first['float']:.2f} | " + " | ".join(cells) + " |")


def tables(results, names):
    """Print the tables of `names`."""
    for name in names:
        rows = {key: row for key, row in results.items() if key.startswith(f"{name} ")}
        delays = (6,) if name.endswith("none") else DELAYS
        print(f"\n### {name}\n")
        for how in ("outputs", "tuned", "gently"):
            if not any(key.startswith(f"{name} {how} ") for key in rows):
                continue
            print(f"| {SAID[how]}: weight bits |" + "".join(f" delays {d} |" for d in delays))
            print("|---" * (1 + len(delays)) + "|")
            for w in WEIGHTS:
                cells = (cell(rows.get(f"{name} {how} {w} {d}")) for d in delays)
                print(f"| {w} | " + " | ".join(cells) + " |")
            print()
        print("| delays of 6 bits: weight bits |" + "".join(f" {w} |" for w in WEIGHTS))
        print("|---" * (1 + len(WEIGHTS)) + "|")
        for how, said in SAID.items():
            cells = [cell(rows.get(f"{name} {how} {w} 6")) for w in WEIGHTS]
            if any(cells):
                print(f"| {said} | " + " | ".join(cells) + " |")
        shares = [(share, rows.get(f"{name} pruned {share:.2f} 8 6")) for share in PRUNED]
        told = ", ".join(f"{100 * share:.0f} %: {cell(row)}" for share, row in shares if row)
        if told:
            print(f"\nPruned, at 8 and 6 bits: {told}.")


def plot(results, names, path):
    """Draw accuracy against weight bits, a panel per network."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(2.6 * len(names), 3.4), layout="constrained")
        colours = dict(zip(DELAYS, ("#c2611f", "#b59a2b", "#4a8f6d", "#15607a"), strict=True))
        for axes, name in zip(figure.subplots(1, len(names), squeeze=False)[0], names, strict=True):
            delays = (6,) if name.endswith("none") else DELAYS
            for how, style in (("outputs", "--"), ("tuned", "-")):
                for d in delays:
                    found = [(w, results.get(f"{name} {how} {w} {d}")) for w in WEIGHTS]
                    there = [(w, row["accuracy"]) for w, row in found if row]
                    if there:
                        word = "tuned" if how == "tuned" else "rounded"
                        axes.plot(
                            *zip(*there, strict=True), style, color=colours[d], marker=".",
                            linewidth=1.2, label=f"{d}, {word}",
                        )  # fmt: skip
            measured = [r for k, r in results.items() if k.startswith(f"{name} ") and "float" in r]
            axes.axhline(measured[0]["float"], color="#3a3a3a", linewidth=0.8, linestyle=":")
            axes.set(title=name, xlabel="weight bits", xticks=WEIGHTS)
        figure.axes[0].set_ylabel("right, %")
        figure.axes[0].legend(title="delay bits", fontsize=6, title_fontsize=7, loc="lower right")
        figure.savefig(
            path, metadata={"Date": None, "Creator": None} if str(path).endswith(".svg") else None
        )


def main():
    """Measure what is asked for and not there yet, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", type=Path)
    parser.add_argument("--shd", nargs=2, metavar=("TRAIN", "TEST"), help="files of SHD")
    parts = ("rounded", "pruned", "tuned", "gently", "peers")
    parser.add_argument("--parts", nargs="*", choices=parts, default=parts)
    parser.add_argument("--networks", nargs="+", default=DIGITS + SHD, metavar="NAME")
    parser.add_argument("--peer-python", metavar="PATH", help="another Python that has the peers")
    parser.add_argument("--plot", type=Path, metavar="FIGURE", help="SVG or PNG to draw")
    args = parser.parse_args()
    results = json.loads(args.results.read_text()) if args.results.exists() else {}
    data = {"digits": ("digits:train", "digits"), "shd": args.shd}
    named = [(name, *data[family(name)]) for name in args.networks if data[family(name)]]
    measure(results, args.results, named, args.parts, args.peer_python)
    stems = [Path(name).stem for name in args.networks]
    names = [n for n in stems if any(key.startswith(f"{n} ") for key in results)]
    headline(results, names)
    tables(results, names)
    if args.plot:
        plot(results, names, args.plot)


if __name__ == "__main__":
    main()
