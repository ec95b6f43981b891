"""`ranvier evaluate`: accuracy, float and on the chip."""

from __future__ import annotations

from typing import Any

import click

from ranvier.options import as_json, recordings


@click.command(name="evaluate")
@click.argument("model")
@click.argument("data", default="digits")
@recordings
@as_json
def command(model: str, data: str, recordings: int | None, as_json: bool) -> None:
    """Accuracy of MODEL on DATA: a float network, or an image together with its float network."""
    from ranvier.sources import (
        for_image,
        for_network,
        is_image,
        labelled,
        open_data,
        open_image,
        open_network,
        show,
        some,
    )

    given = labelled(some(open_data(data), recordings), data)
    network = open_network(model)
    if is_image(model):
        image = open_image(model)
        found = _both(network, image, for_image(given, image))
    else:
        found = _float(network, for_network(given, network))
    found = {"model": model, "data": data, **found}
    if as_json:
        show(found)
    else:
        click.echo(said(found))


def _float(network: Any, counts: Any) -> dict[str, Any]:
    from model import simulate
    from quant.evaluate import checked_labels
    from ranvier.progress import bar

    labels = checked_labels(counts.labels, len(counts), network.readout.size)
    with bar("float") as progress:
        classes = simulate(network, counts.counts, progress=progress).classes
    return {"recordings": len(counts), "float_accuracy": float((classes == labels).mean())}


def _both(network: Any, image: Any, counts: Any) -> dict[str, Any]:
    from quant.evaluate import evaluate
    from ranvier.progress import bar

    with bar("float and chip") as progress:
        result = evaluate(network, image, counts.counts, counts.labels, progress)
    lost, half = result.lost
    return {
        "recordings": len(counts),
        "float_accuracy": result.float_accuracy,
        "chip_accuracy": result.chip_accuracy,
        "lost_points": 100 * lost,
        "lost_points_half_interval": 100 * half,
        "agreement": result.agreement,
    }


def said(found: dict[str, Any]) -> str:
    """Say the accuracies in one line."""
    line = f"{found['model']}: float {100 * found['float_accuracy']:.2f} %"
    if "chip_accuracy" in found:
        line += (
            f", chip {100 * found['chip_accuracy']:.2f} %: {found['lost_points']:.2f} "
            f"+- {found['lost_points_half_interval']:.2f} points lost, "
            f"same class in {100 * found['agreement']:.2f} %"
        )
    return f"{line} ({found['recordings']} recordings of {found['data']})"
