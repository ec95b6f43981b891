"""Where the commands find networks, images, chips and data."""

from __future__ import annotations

import json
import os
import tempfile
from importlib.resources import as_file, files
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click
import numpy as np

import datapath.files
import model
from datapath import Chip, Image
from datapath.catalog import CHIPS
from datapath.schema import members, parse, typed
from events import Counts, Recordings, load, spoken_digits, yin_yang
from model import Network

if TYPE_CHECKING:
    from learn import Examples
    from quant import Loss

Data = TypeVar("Data", bound=Recordings | Counts)

NETWORK, LOSS, CURVE = "network.npz", "loss.json", "learning.json"
"""What an image file carries beside the image: the float network, what quantizing changed, and how
it learned."""

DIGITS, YIN_YANG = "digits", "yin-yang"
EMBEDDED = (DIGITS, YIN_YANG)
"""Data sets that need no file."""


def shipped() -> tuple[str, ...]:
    """Names of the networks that come with the package."""
    folder = files("ranvier") / "models"
    names = (Path(entry.name) for entry in folder.iterdir())
    return tuple(sorted(name.stem for name in names if name.suffix == ".npz"))


def is_image(path: str) -> bool:
    """Whether `path` is an image (a folder or a `*.ranvier` file), not a network."""
    return Path(path).is_dir() or Path(path).suffix == ".ranvier"


def open_network(name: str) -> Network:
    """Read a network: a shipped one by its name, an npz file, or the one an image carries."""
    if name in shipped():
        with as_file(files("ranvier") / "models" / f"{name}.npz") as path:
            return model.load(path)
    if not Path(name).exists():
        raise ValueError(
            f"{name}: there is no such file; shipped networks are {', '.join(shipped())}"
        )
    if is_image(name):
        if NETWORK not in datapath.files.names(name):
            raise ValueError(f"{name}: carries no float network; quantize it again with ranvier")
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / NETWORK
            path.write_bytes(datapath.files.read_extra(name, NETWORK))
            try:
                return model.load(path)
            except ValueError as error:
                inside = str(error).replace(str(path), f"{name}: {NETWORK}")
                raise ValueError(inside) from None
    return model.load(name)


def open_loss(path: str) -> Loss:
    """Read what quantizing changed, which an image carries."""
    from quant import Loss

    if LOSS not in datapath.files.names(path):
        raise ValueError(f"{path}: carries no {LOSS}; quantize the network again with ranvier")
    try:
        return Loss.from_json(datapath.files.read_extra(path, LOSS).decode())
    except UnicodeDecodeError:
        raise ValueError(f"{path}: {LOSS} is not text; quantize the network again") from None


def open_curve(path: str) -> list[dict[str, Any]]:
    """Read how an image has learned on its chip: no epochs if it has not."""
    if CURVE not in datapath.files.names(path):
        return []
    document = parse(datapath.files.read_extra(path, CURVE), f"{path}: {CURVE}")
    keys = {
        "number": int,
        "train_accuracy": float,
        "held_out_accuracy": object,
        "cycles": int,
        "saturated": float,
    }
    try:
        return [members(entry, keys, "epoch") for entry in typed(document, list, "the file")]
    except ValueError as error:
        raise ValueError(f"{path}: {CURVE}: {error}") from None


def network_bytes(network: Network) -> bytes:
    """Return the npz file of `network`."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / NETWORK
        model.save(network, path)
        return path.read_bytes()


def open_image(path: str) -> Image:
    """Read an image."""
    if not Path(path).exists():
        raise ValueError(f"{path}: there is no such file; `ranvier quantize` makes one")
    if not is_image(path):
        raise ValueError(f"{path}: is not an image; `ranvier quantize` makes one of a network")
    return datapath.files.load(path)


def open_chip(name: str) -> Chip:
    """Read a chip: a catalogue name, a `chip.json`, or the chip of an image."""
    if name in CHIPS:
        return CHIPS[name]
    if not Path(name).exists():
        raise ValueError(f"{name}: there is no such file; chips with names are {', '.join(CHIPS)}")
    if not is_image(name) and Path(name).suffix != ".json":
        raise ValueError(f"{name}: is neither a chip.json nor an image, so it holds no chip")
    return datapath.files.load_chip(name)


def open_data(name: str) -> Recordings | Counts:
    """Read a data set: a path or one of `EMBEDDED`; `NAME:train` takes a part, the test part else.

    `yin-yang` has a part `validation`, too.
    """
    if name in (DIGITS, f"{DIGITS}:test"):
        return spoken_digits()[1]
    if name == f"{DIGITS}:train":
        return spoken_digits()[0]
    path, colon, part = name.rpartition(":")
    if name == YIN_YANG:
        return yin_yang.part("test")
    if path == YIN_YANG and part in yin_yang.PARTS:
        return yin_yang.part(part)
    if colon and part in ("train", "test") and not Path(name).exists():
        return load(path, part=part)
    if not Path(name).exists():
        raise ValueError(
            f"{name}: there is no such file; embedded data sets are {', '.join(EMBEDDED)}"
        )
    return load(name)


def binned(
    data: Recordings | Counts, *, units: int, channels: int, dt_ms: float, steps: int, maximum: int
) -> Counts:
    """Bin `data` as a network expects it, and say on standard error what was cut off."""
    if data.n_units != units:
        where = data.source or "the data"
        raise ValueError(f"{where}: has {data.n_units} units, and the network expects {units}")
    counts = data.binned(
        units_per_channel=-(-units // channels), dt_ms=dt_ms, steps=steps, maximum=maximum
    )
    if counts.late.any() or counts.excess.any():
        click.echo(counts.cut, err=True)
    return counts


def for_network(data: Recordings | Counts, network: Network, maximum: int = 255) -> Counts:
    """Bin `data` for `network`."""
    source = network.input
    return binned(
        data,
        units=source.units,
        channels=source.size,
        dt_ms=network.dt_ms,
        steps=network.steps,
        maximum=maximum,
    )


def for_image(data: Recordings | Counts, image: Image) -> Counts:
    """Bin `data` for `image`; more events than a channel takes in a tick are cut off."""
    return binned(
        data,
        units=image.units,
        channels=image.channels,
        dt_ms=image.dt_us / 1000,
        steps=image.steps,
        maximum=min(255, image.chip.axon.count.max),
    )


def ends(counts: Counts) -> dict[str, Any]:
    """Return what an untrained network takes from its recordings, for `learn.make_network`."""
    return {
        "channels": counts.channels,
        "units": counts.n_units,
        "classes": len(counts.label_names) or int(counts.labels.max()) + 1,
        "labels": counts.label_names,
        "steps": counts.counts.shape[1],
        "dt_ms": counts.dt_ms,
    }


def some(data: Data, recordings: int | None) -> Data:
    """Keep `recordings` of them, spread evenly over the data set; None keeps all."""
    if recordings is None or recordings >= len(data):
        return data
    even = np.linspace(0, len(data) - 1, recordings).round().astype(np.int64)
    return cast(Data, data.select(even))


def labelled(data: Data, name: str) -> Data:
    """Refuse a data set with recordings of which nobody has said what they are."""
    unknown = np.flatnonzero(data.labels < 0)
    if unknown.size:
        raise ValueError(f"{name}: recording {unknown[0]} has no label, so there is no accuracy")
    return data


def split(counts: Counts, hold_out: str | None) -> tuple[Examples, Examples | None]:
    """Split off the held-out speakers: examples to learn, and to test or None."""
    from learn import Examples

    if hold_out is None:
        return Examples(counts.counts, counts.labels), None
    if counts.speakers is None:
        raise ValueError("--hold-out names speakers, and the data set does not say who speaks")
    there = set(counts.speakers.tolist())
    try:
        wanted = {int(speaker) for speaker in hold_out.split(",")}
    except ValueError:
        raise ValueError(
            f"--hold-out must be numbers of speakers, as 3,9, not {hold_out!r}"
        ) from None
    if not wanted <= there or wanted == there:
        raise ValueError(
            f"--hold-out must name some of the speakers {sorted(there)}, not {sorted(wanted)}"
        )
    out = np.isin(counts.speakers, sorted(wanted))
    return (
        Examples(counts.counts[~out], counts.labels[~out]),
        Examples(counts.counts[out], counts.labels[out]),
    )


def check_writable(path: str | os.PathLike[str]) -> None:
    """Refuse, before the work and not after it, a file that cannot be written."""
    target = Path(path)
    if target.is_dir():
        raise ValueError(f"{target}: is a folder; name a file")
    if not target.parent.is_dir():
        raise ValueError(f"{target}: there is no folder {target.parent}; make it first")
    if not os.access(target.parent, os.W_OK):
        raise ValueError(f"{target}: the folder {target.parent} cannot be written")


def check_folder(path: str | os.PathLike[str]) -> None:
    """Refuse, before the work and not after it, a folder to write into that is not there."""
    if not Path(path).is_dir():
        raise ValueError(f"{path}: is not a folder; make it first")


def write(path: str | os.PathLike[str], text: str | bytes) -> None:
    """Write a file whole or not at all."""
    check_writable(path)
    target = Path(path)
    handle, part = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(text.encode() if isinstance(text, str) else text)
        os.chmod(part, 0o644)
        os.replace(part, target)
    except BaseException:
        os.unlink(part)
        raise


def show(document: Any) -> None:
    """Print a JSON document for machines."""
    click.echo(json.dumps(document, indent=2, sort_keys=True))
