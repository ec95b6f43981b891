"""`ranvier info`: what a file holds."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ranvier.options import as_json

if TYPE_CHECKING:
    from datapath import Chip, Image
    from events import Counts, Recordings
    from model import Network


@click.command(name="info")
@click.argument("file")
@as_json
def command(file: str, as_json: bool) -> None:
    """Say what FILE holds: a network, an image, a chip or a data set."""
    from ranvier.sources import show

    found = describe(file)
    if as_json:
        show(found)
    else:
        _print(found, "")


def _print(document: dict[str, Any], indent: str) -> None:
    for key, value in document.items():
        if isinstance(value, dict):
            click.echo(f"{indent}{key}")
            _print(value, indent + "  ")
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            click.echo(f"{indent}{key}")
            for entry in value:
                click.echo(f"{indent}  " + "  ".join(f"{k}={v}" for k, v in entry.items()))
        else:
            text = ", ".join(map(str, value)) if isinstance(value, list) else value
            click.echo(f"{indent}{key}: {text}")


def describe(name: str) -> dict[str, Any]:
    """Describe whatever `name` is, as JSON holds it."""
    from datapath.catalog import CHIPS
    from ranvier.sources import (
        EMBEDDED,
        is_image,
        open_chip,
        open_data,
        open_image,
        open_network,
        shipped,
    )

    if name in CHIPS or name.endswith(".json"):
        return _chip(open_chip(name))
    if is_image(name):
        return _image(open_image(name))
    if name in shipped():
        return _network(open_network(name))
    if name.partition(":")[0] in EMBEDDED:
        return _data(open_data(name))
    path = name.removesuffix(":train").removesuffix(":test")
    if Path(path).exists() and not _has_header(path):
        return _data(open_data(name))
    return _network(open_network(name))


def _has_header(name: str) -> bool:
    """Whether `name` is an npz file as networks are, with a header of JSON; data sets have none."""
    from model.archive import HEADER

    try:
        with zipfile.ZipFile(name) as file:
            return f"{HEADER}.npy" in file.namelist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError):
        return False


def _network(network: Network) -> dict[str, Any]:
    return {
        "kind": "network",
        "dt_ms": network.dt_ms,
        "steps": network.steps,
        "parameters": network.parameters,
        "populations": [
            {"name": p.name, "kind": type(p).__name__.lower(), "size": p.size}
            for p in network.populations
        ],
        "projections": [
            {
                "name": p.name,
                "synapses": int(p.weights.size),
                "delay": str(p.delay),
                "steps": f"{network.steps_of(p).min()}..{network.steps_of(p).max()}",
            }
            for p in network.projections
        ],
        "labels": list(network.labels),
        "provenance": dict(network.provenance),
    }


def _chip(chip: Chip) -> dict[str, Any]:
    from datapath.files import chip_to_json
    from datapath.memory import memories

    return {
        "kind": "chip",
        **chip_to_json(chip),
        "memories": [
            {"name": m.name, "words": m.words, "width": m.width, "bits": m.bits}
            for m in memories(chip)
        ],
        "memory_bits": sum(m.bits for m in memories(chip)),
    }


def _image(image: Image) -> dict[str, Any]:
    from datapath.files import digest

    chip = _chip(image.chip)
    del chip["kind"]
    return {
        "kind": "image",
        "digest": digest(image),
        "dt_us": image.dt_us,
        "steps": image.steps,
        "channels": image.channels,
        "populations": [
            {"name": p.name, "kind": str(p.kind), "size": p.size, "emit": p.emit}
            for p in image.populations
        ],
        "projections": [
            {
                "name": p.name,
                "synapses": int(p.weights.size),
                "delay": str(p.delay),
                "ticks": f"{image.steps_of(p).min()}..{image.steps_of(p).max()}",
                "scale": p.scale,
                "resolution": p.resolution,
            }
            for p in image.projections
        ],
        "labels": list(image.labels),
        "provenance": dict(image.provenance),
        "chip": chip,
    }


def _data(data: Recordings | Counts) -> dict[str, Any]:
    from events import Counts

    found: dict[str, Any] = {
        "kind": "counts" if isinstance(data, Counts) else "events",
        "recordings": len(data),
        "units": data.n_units,
        "classes": len(set(data.labels.tolist())),
        "labels": list(data.label_names),
        "speakers": 0 if data.speakers is None else len(set(data.speakers.tolist())),
        "source": data.source,
    }
    if isinstance(data, Counts):
        found |= {"steps": data.steps, "channels": data.channels, "dt_ms": data.dt_ms}
        found["cut"] = data.cut
    else:
        found["events"] = int(data.times_ms.size)
    return found
