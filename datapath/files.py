"""Images on disk: one `*.ranvier` file or a folder, checked to the last bit when it is read."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from datapath.archive import MANIFEST, read, read_file, write
from datapath.arrays import narrow, packed, unpacked
from datapath.chip import Chip, Learn
from datapath.format import Format
from datapath.image import Delay, Image, Population, Projection
from datapath.learning import Learning, PopulationRule, ProjectionRule
from datapath.memory_formats import RANDOM
from datapath.schema import (
    SCHEMA,
    canonical,
    chip_digest,
    chip_from_json,
    chip_to_json,
    members,
    parse,
    readable,
    shown,
    typed,
    versioned,
)

__all__ = [
    "CHIP",
    "IMAGE",
    "MANIFEST",
    "chip_digest",
    "chip_from_json",
    "chip_to_json",
    "digest",
    "image_files",
    "load",
    "load_chip",
    "names",
    "read_extra",
    "save",
]

CHIP, IMAGE = "chip.json", "image.npz"

_HEADER = {
    "input_name": str,
    "channels": int,
    "units": int,
    "dt_us": int,
    "steps": int,
    "labels": list,
    "provenance": dict,
    "populations": list,
    "projections": list,
    "learning": object,
}
_POPULATION = {"name": str, "kind": str, "size": int, "reset": str, "emit": bool}
_PROJECTION = {
    "name": str,
    "pre": str,
    "post": str,
    "scale": int,
    "delay": str,
    "resolution": int,
}
_LEARNING = {
    "surrogate_shift": int,
    "error_shift": int,
    "keep_weights": int,
    "keep_delays": int,
    "sign_of_weight": bool,
    "nearest": bool,
}
_POPULATION_RULE = {
    "learns": bool,
    "coefficient": int,
    "drive_shift": int,
    "signal_shift": int,
    "strength": int,
    "target": int,
}
_PROJECTION_RULE = {
    "weights": bool,
    "delays": bool,
    "weight_limit": int,
    "weight_rate": int,
    "weight_shift": int,
    "delay_scale": int,
    "delay_limit": int,
    "delay_rate": int,
    "delay_shift": int,
    "largest": int,
}


def _header(image: Image) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "input_name": image.input_name,
        "channels": image.channels,
        "units": image.units,
        "dt_us": image.dt_us,
        "steps": image.steps,
        "labels": [str(label) for label in image.labels],
        "populations": [{key: getattr(p, key) for key in _POPULATION} for p in image.populations],
        "projections": [{key: getattr(p, key) for key in _PROJECTION} for p in image.projections],
        "learning": None if image.learning is None else _learning_header(image.learning),
    }


def _learning_header(learning: Learning) -> dict[str, Any]:
    return {
        **{key: getattr(learning, key) for key in _LEARNING},
        "populations": [
            {
                **{key: getattr(rule, key) for key in _POPULATION_RULE},
                "fixed_feedback": rule.feedback is not None,
            }
            for rule in learning.populations
        ],
        "projections": [
            {key: getattr(rule, key) for key in _PROJECTION_RULE} for rule in learning.projections
        ],
    }


def _of_neurons(chip: Chip) -> tuple[tuple[str, Format], ...]:
    """Return the parameters that every neuron has, and their formats."""
    of_membrane = (
        ("threshold", chip.lif.v),
        ("bias", chip.lif.bias),
        ("coefficient", chip.lif.coefficient),
    )
    if chip.current is None:
        return of_membrane
    return (*of_membrane, ("current_coefficient", chip.current.coefficient))


def _arrays(image: Image) -> dict[str, np.ndarray]:
    chip = image.chip
    arrays = {}
    for n, population in enumerate(image.populations):
        for name, fmt in _of_neurons(chip):
            arrays[f"populations.{n}.{name}"] = narrow(getattr(population, name), fmt)
    for n, projection in enumerate(image.projections):
        fmt = chip.axon.delay if projection.delay is Delay.AXONAL else chip.synapse.delay
        arrays[f"projections.{n}.weights"] = narrow(projection.weights, chip.synapse.weight)
        arrays[f"projections.{n}.delays"] = narrow(projection.delays, fmt)
    if chip.learn is not None and image.learning is not None:
        arrays |= _learning_arrays(chip, chip.learn, image.learning)
    return arrays


def _learning_arrays(chip: Chip, learn: Learn, learning: Learning) -> dict[str, np.ndarray]:
    arrays = {
        "learning.surrogate": narrow(learning.surrogate, learn.lookup),
        "learning.levels": narrow(learning.levels, learn.lookup),
        "learning.taps": narrow(learning.taps, learn.tap),
        "learning.random": narrow(learning.random, RANDOM),
    }
    for n, population in enumerate(learning.populations):
        if population.feedback is not None:
            name = f"learning.populations.{n}.feedback"
            arrays[name] = narrow(population.feedback, chip.synapse.weight)
    for n, projection in enumerate(learning.projections):
        for name, fmt in (
            ("weight_fractions", learn.weight_fraction),
            ("weight_gradients", learn.weight_gradient),
            ("delay_fractions", learn.delay_fraction),
            ("delay_gradients", learn.delay_gradient),
        ):
            arrays[f"learning.projections.{n}.{name}"] = narrow(getattr(projection, name), fmt)
    return arrays


def digest(image: Image) -> str:
    """SHA-256 over chip, names and integers of `image`, in hexadecimal.

    Equal images have equal digests on every machine, whatever their provenance.
    """
    whole = hashlib.sha256(canonical([chip_to_json(image.chip), _header(image)]))
    for name, array in _arrays(image).items():
        whole.update(f"\n{name} {array.shape}\n".encode())
        whole.update(array.astype("<i8").tobytes())
    return whole.hexdigest()


def image_files(image: Image) -> dict[str, bytes]:
    """Files that hold `image`, `chip.json` and `image.npz`, by name.

    Raises
    ------
    ValueError
        The provenance is neither text nor whole numbers.
    """
    chip = {
        "schema": SCHEMA,
        "digest": chip_digest(image.chip),
        "chip": chip_to_json(image.chip),
    }
    header = {**_header(image), "provenance": _provenance(dict(image.provenance))}
    return {CHIP: readable(chip), IMAGE: packed(header, _arrays(image))}


def save(image: Image, path: str | os.PathLike[str], *, extras: Mapping[str, bytes] = {}) -> None:
    """Write `image` to `path`: one zip file if it ends in `.ranvier`, or else a folder.

    extras : further files by name, carried along unchanged and listed in the manifest.
    The same image and extras give the same bytes. What was there is replaced in one step; a folder
    only if it is empty or holds nothing but an earlier export.

    Raises
    ------
    ValueError, OSError
        As `datapath.archive.write` and `image_files`.
    """
    files = image_files(image)
    for name in extras:
        if name in files:
            raise ValueError(f"{path}: {name} holds the image; call the extra file something else")
    write(path, {**files, **extras})


def load(path: str | os.PathLike[str]) -> Image:
    """Read the image in `path`, a `*.ranvier` file or a folder; every byte and range is checked.

    Raises
    ------
    ValueError, OSError
        One sentence that names the file, the field and its value.
    """
    files = read(path)
    for name in (CHIP, IMAGE):
        if name not in files:
            raise ValueError(f"{path}: {MANIFEST} lists no {name}; export the image again")
    chip = _chip(files[CHIP], f"{os.fspath(path)}: {CHIP}", by_hand=False)
    where = f"{os.fspath(path)}: {IMAGE}"
    header, arrays = unpacked(files[IMAGE], where)
    try:
        return _image(chip, header, arrays)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None


def load_chip(path: str | os.PathLike[str]) -> Chip:
    """Read the chip in `path`: a `*.ranvier` file, a folder, or a `*.json` file alone.

    A `*.json` file is what `chip.json` is; written by hand, it may leave out `digest`.

    Raises
    ------
    ValueError, OSError
        One sentence that names the file, the field and its value.
    """
    if Path(path).suffix == ".json":
        return _chip(read_file(path), os.fspath(path), by_hand=True)
    return _chip(read_extra(path, CHIP), f"{os.fspath(path)}: {CHIP}", by_hand=False)


def names(path: str | os.PathLike[str]) -> tuple[str, ...]:
    """Names of all files in `path` in alphabetical order, without the manifest; all are checked."""
    return tuple(sorted(read(path)))


def read_extra(path: str | os.PathLike[str], name: str) -> bytes:
    """Read the file `name` in `path`; all files are checked.

    Raises
    ------
    ValueError, OSError
        There is no such file (the sentence says which there are), or something is damaged.
    """
    files = read(path)
    if name not in files:
        raise ValueError(f"{path}: has no {name}; there are {', '.join(sorted(files))}")
    return files[name]


def _chip(data: bytes, where: str, *, by_hand: bool) -> Chip:
    document = parse(data, where)
    try:
        signed = not by_hand or (isinstance(document, dict) and "digest" in document)
        keys = {"digest": str, "chip": dict} if signed else {"chip": dict}
        found = versioned(document, keys)
        chip = chip_from_json(found["chip"])
        if signed and found["digest"] != chip_digest(chip):
            raise ValueError(
                f"digest is {shown(found['digest'])}, and the parameters give "
                f'"{chip_digest(chip)}"; they were changed, '
                f"{'take the digest out if you meant to' if by_hand else 'export the chip again'}"
            )
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None
    return chip


def _provenance(provenance: dict[Any, Any]) -> dict[str, str | int]:
    for key, value in provenance.items():
        typed(key, str, "a key of provenance")
        if type(value) not in (str, int):
            raise ValueError(f"provenance.{key} must be text or a whole number, not {value!r:.60}")
    return provenance


def _image(chip: Chip, document: object, arrays: dict[str, np.ndarray]) -> Image:
    header = versioned(document, _HEADER)
    entries: dict[str, list[dict[str, Any]]] = {}
    for table, keys in (("populations", _POPULATION), ("projections", _PROJECTION)):
        most = getattr(chip, table)
        if len(header[table]) > most:
            raise ValueError(f"{table} has {len(header[table])} entries, and the chip has {most}")
        entries[table] = [
            members(entry, keys, f"{table}[{n}]") for n, entry in enumerate(header[table])
        ]
    arrays = dict(arrays)
    image = Image(
        chip=chip,
        input_name=header["input_name"],
        channels=header["channels"],
        units=header["units"],
        dt_us=header["dt_us"],
        steps=header["steps"],
        populations=tuple(
            _population(entry, f"populations.{n}", arrays, current=chip.current is not None)
            for n, entry in enumerate(entries["populations"])
        ),
        projections=tuple(
            _projection(entry, f"projections.{n}", arrays)
            for n, entry in enumerate(entries["projections"])
        ),
        labels=tuple(typed(label, str, f"labels[{n}]") for n, label in enumerate(header["labels"])),
        provenance=_provenance(header["provenance"]),
        learning=_learning(header["learning"], arrays),
    )
    for name in arrays:
        raise ValueError(f"{name}.npy belongs to nothing in the header; export the image again")
    return image


def _population(
    entry: dict[str, Any], where: str, arrays: dict[str, np.ndarray], *, current: bool
) -> Population:
    shape = (entry["size"],)
    return Population(
        **entry,
        threshold=_take(arrays, f"{where}.threshold", shape),
        bias=_take(arrays, f"{where}.bias", shape),
        coefficient=_take(arrays, f"{where}.coefficient", shape),
        current_coefficient=_take(arrays, f"{where}.current_coefficient", shape)
        if current
        else None,
    )


def _projection(entry: dict[str, Any], where: str, arrays: dict[str, np.ndarray]) -> Projection:
    weights = _take(arrays, f"{where}.weights", None)
    delays = _take(arrays, f"{where}.delays", None)
    projection = Projection(**entry, weights=weights, delays=delays)
    if projection.delays.shape != delays.shape:
        raise ValueError(
            f"{where}.delays must have shape {projection.delays.shape}, not {delays.shape}"
        )
    return projection


def _learning(header: object, arrays: dict[str, np.ndarray]) -> Learning | None:
    if header is None:
        return None
    keys = {**_LEARNING, "populations": list, "projections": list}
    found = members(header, keys, "learning")
    populations, projections = [], []
    for n, value in enumerate(found["populations"]):
        where = f"learning.populations[{n}]"
        entry = members(value, {**_POPULATION_RULE, "fixed_feedback": bool}, where)
        feedback = None
        if entry.pop("fixed_feedback"):
            feedback = _take(arrays, f"learning.populations.{n}.feedback", None)
        populations.append(PopulationRule(**entry, feedback=feedback))
    for n, value in enumerate(found["projections"]):
        entry = members(value, _PROJECTION_RULE, f"learning.projections[{n}]")
        own = f"learning.projections.{n}"
        projections.append(
            ProjectionRule(
                **entry,
                weight_fractions=_take(arrays, f"{own}.weight_fractions", None),
                weight_gradients=_take(arrays, f"{own}.weight_gradients", None),
                delay_fractions=_take(arrays, f"{own}.delay_fractions", None),
                delay_gradients=_take(arrays, f"{own}.delay_gradients", None),
            )
        )
    return Learning(
        **{key: found[key] for key in _LEARNING},
        surrogate=_take(arrays, "learning.surrogate", None),
        levels=_take(arrays, "learning.levels", None),
        taps=_take(arrays, "learning.taps", None),
        random=_take(arrays, "learning.random", None),
        populations=tuple(populations),
        projections=tuple(projections),
    )


def _take(arrays: dict[str, np.ndarray], name: str, shape: tuple[int, ...] | None) -> np.ndarray:
    """Take an array out of `arrays`; a scalar would be spread, so its shape has to be right."""
    if name not in arrays:
        raise ValueError(f"{name}.npy is missing; export the image again")
    array = arrays.pop(name)
    if shape not in (None, array.shape):
        raise ValueError(f"{name} must have shape {shape}, not {array.shape}")
    return array
