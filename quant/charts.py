"""The charts of a report, as SVG text that is the same for the same figures."""

from __future__ import annotations

import io
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

FLOAT, CHIP, BOTH = "#c2611f", "#15607a", "#3a3a3a"
"""Colours of the float network, of the chip, and of where they agree."""

WIDTH = 4.8
"""Inches: a phone shows a chart of this width at about its own size."""

# Any: matplotlib types the keys one by one.
STYLE: Any = {
    "svg.hashsalt": "ranvier",
    "svg.fonttype": "none",
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "legend.fontsize": 8,
}


def _svg(figure: Figure) -> str:
    """Write `figure` without a date, from the element `svg` on."""
    text = io.StringIO()
    figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
    return text.getvalue()[text.getvalue().index("<svg") :]


def _axes(height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    return figure, figure.add_subplot()


def pair(found: dict[str, Any], xlabel: str, ylabel: str) -> str:
    """Draw two histograms of the same bins: float filled, chip as an outline."""
    with mpl.rc_context(STYLE):
        figure, axes = _axes(2.3)
        edges = found["edges"]
        axes.stairs(found["float"], edges, fill=True, color=FLOAT, alpha=0.35, label="float")
        axes.stairs(found["chip"], edges, color=CHIP, linewidth=1.2, label="chip")
        axes.set(xlabel=xlabel, ylabel=ylabel, ylim=(0, None))
        axes.legend()
        return _svg(figure)


def curve(epochs: list[dict[str, Any]]) -> str:
    """Draw accuracies over the epochs of learning: while it learned, and of who is held out."""
    with mpl.rc_context(STYLE):
        figure, axes = _axes(2.3)
        numbers = [epoch["number"] for epoch in epochs]
        learned = [100 * epoch["train_accuracy"] for epoch in epochs]
        axes.plot(numbers, learned, color=CHIP, marker="o", markersize=3, label="while it learned")
        held = [epoch["held_out_accuracy"] for epoch in epochs]
        if all(share is not None for share in held):
            shares = [100 * share for share in held]
            axes.plot(numbers, shares, color=FLOAT, marker="s", markersize=3, label="held out")
        axes.set(xlabel="epoch", ylabel="right, %", ylim=(0, 100))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.legend(loc="lower right")
        return _svg(figure)


def histogram(counts: list[int], edges: list[float], xlabel: str, ylabel: str, *, log: bool) -> str:
    """Draw one histogram of the chip."""
    with mpl.rc_context(STYLE):
        figure, axes = _axes(2.3)
        axes.stairs(counts, edges, fill=True, color=CHIP, alpha=0.8)
        axes.set(xlabel=xlabel, ylabel=ylabel)
        if log and max(counts) > 0:
            axes.set(yscale="log", ylim=(0.5, None))
        else:
            axes.set_ylim(0, None)
        return _svg(figure)


def confusion(found: dict[str, Any], which: str) -> str:
    """Draw a confusion matrix, the share of every label's recordings by class."""
    table = np.array(found[which], np.float64)
    share = table / np.maximum(1, table.sum(axis=1, keepdims=True))
    labels = found["labels"]
    with mpl.rc_context(STYLE):
        figure, axes = _axes(4.4)
        axes.imshow(share, cmap="Blues", vmin=0, vmax=1, interpolation="nearest")
        crowded = len(labels) > 6 and max(map(len, labels)) > 2
        axes.set_xticks(range(len(labels)), labels, rotation=90 if crowded else 0)
        axes.set_yticks(range(len(labels)), labels)
        if len(labels) <= 24:
            for (row, column), number in np.ndenumerate(table.astype(int)):
                if number:
                    shade = "white" if share[row, column] > 0.5 else "black"
                    place = {"ha": "center", "va": "center", "fontsize": 6}
                    axes.text(column, row, str(number), place, color=shade)
        axes.set(xlabel="class given", ylabel="label", title=which)
        axes.spines[:].set_visible(False)
        return _svg(figure)


def raster(found: dict[str, Any], index: int | None) -> str:
    """Draw the spikes of one population, or those of the input if `index` is None."""
    if index is None:
        name, size, wanted, got = "input", found["channels"], [], found["input"]
    else:
        population = found["populations"][index]
        name, size = population["name"], population["size"]
        wanted, got = population["float"], population["chip"]
    shape = (found["steps"], size)
    of_float, of_chip = _dots(wanted, shape), _dots(got, shape)
    seen = of_float + 2 * of_chip
    colours = np.array([_rgb(c) for c in ("#ffffff", FLOAT, CHIP, BOTH)], np.uint8)
    with mpl.rc_context(STYLE):
        figure, axes = _axes(2.8)
        axes.imshow(
            colours[seen.T],
            aspect="auto",
            interpolation="nearest",
            origin="lower",
            extent=(0, found["steps"] * found["dt_ms"], -0.5, size - 0.5),
        )
        if index is not None:
            # A few differing spikes among thousands are lost at the size of a step.
            for alone, colour in ((of_float > of_chip, FLOAT), (of_chip > of_float, CHIP)):
                step, neuron = np.nonzero(alone)
                time = (step + 0.5) * found["dt_ms"]
                axes.plot(time, neuron, "s", color=colour, markersize=2.5, linestyle="none")
        axes.set(xlabel="time in ms", ylabel="channel" if index is None else "neuron", title=name)
        return _svg(figure)


def _dots(spikes: list[list[int]], shape: tuple[int, int]) -> NDArray[np.int64]:
    table = np.zeros(shape, np.int64)
    if spikes:
        table[tuple(np.array(spikes).T)] = 1
    return table


def _rgb(colour: str) -> tuple[int, int, int]:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:], 16)
