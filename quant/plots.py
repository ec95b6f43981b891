"""Plots of a report, as inline SVG that is the same for the same numbers."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

FLOAT, CHIP, GREY = "#3465a4", "#c4501b", "#888888"
STYLE: Any = {
    "svg.hashsalt": "ranvier",
    "svg.fonttype": "path",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e6e6e6",
    "axes.axisbelow": True,
}


def _svg(figure: Figure) -> str:
    out = io.StringIO()
    # Without a date, or the page would differ from run to run.
    figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
    text = out.getvalue()
    return text[text.index("<svg") :]


def _figure(width: float, height: float) -> Figure:
    return Figure(figsize=(width, height), layout="constrained")


def weights(name: str, wanted: NDArray[np.float64], applied: NDArray[np.float64]) -> str:
    """Histogram of weights, float and on the chip, in float units."""
    with mpl.rc_context(STYLE):
        figure = _figure(4.6, 2.4)
        axes = figure.add_subplot()
        both = np.concatenate([wanted.ravel(), applied.ravel()])
        edges = np.linspace(both.min(), max(both.max(), both.min() + 1e-9), 61).tolist()
        axes.hist(wanted.ravel(), edges, color=FLOAT, alpha=0.45, label="float")
        axes.hist(applied.ravel(), edges, color=CHIP, histtype="step", label="chip")
        axes.set_title(f"weights of {name}")
        axes.set_xlabel("weight, float units")
        axes.set_ylabel("synapses")
        axes.legend(frameon=False)
        return _svg(figure)


def delays(name: str, wanted: NDArray[np.int64], applied: NDArray[np.int64]) -> str:
    """Histogram of applied delays, float and on the chip, in steps."""
    with mpl.rc_context(STYLE):
        figure = _figure(4.6, 2.4)
        axes = figure.add_subplot()
        edges = (np.arange(0, max(wanted.max(), applied.max()) + 2) - 0.5).tolist()
        axes.hist(wanted.ravel(), edges, color=FLOAT, alpha=0.45, label="float")
        axes.hist(applied.ravel(), edges, color=CHIP, histtype="step", label="chip")
        axes.set_title(f"delays of {name}")
        axes.set_xlabel("steps from emission to integration")
        axes.set_ylabel("delays")
        axes.legend(frameon=False)
        return _svg(figure)


def errors(name: str, edges: NDArray[np.float64], histogram: Sequence[int], unit: str) -> str:
    """Histogram of the membrane error."""
    with mpl.rc_context(STYLE):
        figure = _figure(4.6, 2.4)
        axes = figure.add_subplot()
        share = 100 * np.array(histogram) / max(sum(histogram), 1)
        axes.stairs(share, edges, fill=True, color=CHIP, alpha=0.6)
        axes.set_yscale("symlog", linthresh=0.01)
        axes.set_title(f"membrane error of {name}")
        axes.set_xlabel(f"chip - float, in {unit}")
        axes.set_ylabel("% of updates")
        return _svg(figure)


def raster(name: str, wanted: NDArray[np.bool_], got: NDArray[np.bool_], steps: int) -> str:
    """Spikes of one recording, bool[steps, neurons]: in both, in float only, on the chip only."""
    with mpl.rc_context(STYLE):
        figure = _figure(9.4, 3.2)
        axes = figure.add_subplot()
        for which, colour, marker, label in (
            (wanted & got, GREY, "|", "both"),
            (wanted & ~got, FLOAT, "x", "float only"),
            (got & ~wanted, CHIP, "+", "chip only"),
        ):
            step, neuron = np.nonzero(which)
            axes.plot(
                step, neuron, marker, color=colour, markersize=3.5, label=f"{label} ({len(step)})"
            )
        axes.set_xlim(-1, steps)
        axes.set_ylim(-1, wanted.shape[1])
        axes.set_title(f"spikes of {name} in one recording")
        axes.set_xlabel("step")
        axes.set_ylabel("neuron")
        axes.legend(frameon=False, loc="upper right", ncols=3, bbox_to_anchor=(1, 1.16))
        return _svg(figure)


def confusion(title: str, table: NDArray[np.int64], labels: Sequence[str]) -> str:
    """Draw counts by label (row) and class (column)."""
    with mpl.rc_context({**STYLE, "axes.grid": False}):
        figure = _figure(4.6, 4.4)
        axes = figure.add_subplot()
        share = table / np.maximum(table.sum(axis=1, keepdims=True), 1)
        axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
        axes.set_xticks(range(len(labels)), labels, rotation=90, fontsize=7)
        axes.set_yticks(range(len(labels)), labels, fontsize=7)
        axes.set_title(title)
        axes.set_xlabel("class")
        axes.set_ylabel("label")
        return _svg(figure)


def cycles(clocks: NDArray[np.int64]) -> str:
    """Histogram of the clocks of a tick."""
    with mpl.rc_context(STYLE):
        figure = _figure(4.6, 2.4)
        axes = figure.add_subplot()
        axes.hist(clocks.ravel(), 60, color=CHIP, alpha=0.6)
        axes.set_title("clocks per tick")
        axes.set_xlabel("clocks")
        axes.set_ylabel("ticks")
        return _svg(figure)
