"""Figures of what `bench.learning` has measured.

usage: python -m bench.learning_plots sweeps RESULTS FIGURE
       python -m bench.learning_plots curves RESULTS FIGURE --runs NAME ...

sweeps : a panel for each quantity of bench/plans/widths.json, whose runs are called QUANTITY VALUE,
"all wide" being the chip that the others differ from in one quantity; runs of which
", nearest" is said round steps to the nearest.  curves : accuracies over epochs, on the chip and by
the float rule, runs of one name being seeds; that of held-out speakers where there are any.
"""

import argparse
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from bench.learning import lines
from quant.charts import CHIP, FLOAT, STYLE

WIDE, NEAREST = "all wide", ", nearest"
COLUMNS = 4


def by_name(results):
    """Return the rows of each name, in the order of their names' first rows."""
    groups = {}
    for row in lines(results):
        groups.setdefault((row["case"]["name"], row["case"]["where"]), []).append(row)
    return groups


def value_of(row, quantity):
    """Return what `quantity` was in a run."""
    case = row["case"]
    return case["options"].get(quantity, case["mapping"].get(quantity))


def sweeps(groups, path):
    """Draw test accuracy against one width at a time."""
    quantities = {}
    for (name, _), rows in groups.items():
        plain = name.removesuffix(NEAREST)
        if plain != WIDE:
            quantity, value = plain.split()
            style = "nearest" if name.endswith(NEAREST) else "stochastic"
            accuracies = [100 * row["test"] for row in rows]
            quantities.setdefault(quantity, {}).setdefault(style, []).append(
                (int(value), np.mean(accuracies))
            )
    wide = groups[WIDE, "chip"]
    best = np.mean([100 * row["test"] for row in wide])
    defaults = {"weight_bits": 8, "delay_bits": 6, "membrane_bits": 20}
    height = -(-len(quantities) // COLUMNS)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(2.4 * COLUMNS, 2.0 * height), layout="constrained")
        panels = figure.subplots(height, COLUMNS, squeeze=False, sharey=True).ravel()
        for axes, (quantity, found) in zip(panels, quantities.items(), strict=False):
            there, ticks = value_of(wide[0], quantity) or defaults[quantity], set()
            for style, colour in (("stochastic", CHIP), ("nearest", FLOAT)):
                points = found.get(style, [])
                if not points:
                    continue
                if style == "stochastic":
                    points = [*points, (there, best)]
                x, y = zip(*sorted(points), strict=True)
                axes.plot(x, y, color=colour, marker="o", markersize=3, label=style)
                ticks |= {*x}
            axes.set(title=quantity.replace("_", " "), xticks=sorted(ticks))
            if len(found) > 1:
                axes.legend()
        for axes in panels[len(quantities) :]:
            axes.set_axis_off()
        for axes in panels[::COLUMNS]:
            axes.set_ylabel("test, %")
        save(figure, path)


def curves(groups, names, path):
    """Draw accuracies over epochs: a line for a run, a band over its seeds."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(5.2, 3.2), layout="constrained")
        axes = figure.add_subplot()
        colours = mpl.colormaps["tab10"].colors
        for (name, where), rows in groups.items():
            if names and name not in names:
                continue
            colour = (
                FLOAT
                if where == "float"
                else CHIP
                if len(names) <= 2
                else colours[len(axes.lines) // 2]
            )
            label = f"{name} ({where})" if where not in name else name
            last = rows[0]["history"][-1]
            for what, style in (("held_out_accuracy", "-"), ("train_accuracy", "--")):
                if last[what] is None:
                    continue
                accuracies = 100 * np.array([[e[what] for e in row["history"]] for row in rows])
                epochs = np.arange(1, accuracies.shape[1] + 1)
                axes.plot(
                    epochs, accuracies.mean(0), style, color=colour, marker="o", markersize=3,
                    label=label,
                )  # fmt: skip
                # One entry of the legend for a run.
                label = None
                low, high = accuracies.min(0), accuracies.max(0)
                axes.fill_between(epochs, low, high, color=colour, alpha=0.15, linewidth=0)
        axes.set(xlabel="epoch", ylabel="right, %")
        dashed = "dashed: while it learned"
        solid = any(line.get_linestyle() == "-" for line in axes.lines)
        axes.legend(title=f"held out; {dashed}" if solid else dashed, title_fontsize=8)
        save(figure, path)


def save(figure, path):
    """Write a figure, the same bytes for the same numbers."""
    plain = {"Date": None, "Creator": None} if path.suffix == ".svg" else None
    figure.savefig(path, metadata=plain, dpi=150)


def main():
    """Draw one figure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["sweeps", "curves"])
    parser.add_argument("results", type=Path)
    parser.add_argument("figure", type=Path)
    parser.add_argument("--runs", nargs="+", default=[])
    args = parser.parse_args()
    groups = by_name(args.results)
    if args.what == "sweeps":
        sweeps(groups, args.figure)
    else:
        curves(groups, args.runs, args.figure)


if __name__ == "__main__":
    main()
