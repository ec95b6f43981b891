"""Networks on disk: one npz file per network, without pickle.

The header is JSON (format, version, populations, projections, labels, provenance); the arrays are
float64, named `populations/NAME/FIELD` and `projections/NAME/FIELD`.  Version 2 says of every
population how it compares and how its synaptic current decays; a network that needs neither is
written as version 1, which releases before it read.
"""

from __future__ import annotations

import os
import reprlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from model.archive import HEADER, Archive, write
from model.network import (
    Compare,
    Delay,
    Input,
    Lif,
    Network,
    Population,
    Projection,
    Readout,
    Reset,
)

FORMAT = "ranvier network"
VERSIONS = (1, 2)
POPULATION_ARRAYS = {
    "input": (),
    "lif": ("alpha", "threshold", "bias"),
    "readout": ("alpha", "bias"),
}
CURRENT = "alpha_syn"
"""The array that version 2 adds to every population but the input."""
Field = TypeVar("Field")
Choice = TypeVar("Choice", Compare, Delay, Reset)
KIND = {Input: "input", Lif: "lif", Readout: "readout"}


def save(network: Network, path: str | os.PathLike[str]) -> None:
    """Write `network` to `path`, an npz file; the same network gives the same bytes.

    Raises
    ------
    ValueError
        An entry of the provenance is neither a string nor a finite number.
    OSError
        The folder does not exist or cannot be written; a file already there is left as it was.
    """
    write(Path(path), described(network), arrays_of(network))


def arrays_of(network: Network) -> dict[str, NDArray[Any]]:
    """Return what is not in the header of `network`: float64 arrays by name."""
    arrays: dict[str, NDArray[Any]] = {}
    version = _version(network)
    for population in network.populations:
        for name in _arrays_of(KIND[type(population)], version):
            arrays[f"populations/{population.name}/{name}"] = getattr(population, name)
    for projection in network.projections:
        for name in ("weights", "delays"):
            arrays[f"projections/{projection.name}/{name}"] = getattr(projection, name)
    return arrays


def _version(network: Network) -> int:
    """Return the oldest version that holds `network`."""
    strict = any(isinstance(p, Lif) and p.compare is Compare.GT for p in network.populations)
    return 2 if strict or network.has_currents else 1


def _arrays_of(kind: str, version: int) -> tuple[str, ...]:
    """Return the arrays of a population of the `kind`."""
    arrays = POPULATION_ARRAYS[kind]
    return (*arrays, CURRENT) if arrays and version > 1 else arrays


def described(network: Network) -> dict[str, Any]:
    """Return the header of `network`, which JSON can hold.

    Raises
    ------
    ValueError
        An entry of the provenance is neither a string nor a finite number.
    """
    version = _version(network)
    return {
        "format": FORMAT,
        "version": version,
        "dt_ms": float(network.dt_ms),
        "steps": network.steps,
        "labels": list(network.labels),
        "provenance": {name: _plain(name, value) for name, value in network.provenance.items()},
        "populations": [_population_described(p, version) for p in network.populations],
        "projections": [
            {
                "name": p.name,
                "pre": p.pre,
                "post": p.post,
                "delay": p.delay.value,
                "max_delay": p.max_delay,
            }
            for p in network.projections
        ],
    }


def _population_described(population: Population, version: int) -> dict[str, Any]:
    described: dict[str, Any] = {
        "name": population.name,
        "kind": KIND[type(population)],
        "size": population.size,
    }
    if isinstance(population, Input):
        described["units"] = population.units
    if isinstance(population, Lif):
        described["reset"] = population.reset.value
        if version > 1:
            described["compare"] = population.compare.value
    return described


def _plain(name: str, value: object) -> str | int | float:
    if isinstance(value, str):
        return value
    if isinstance(value, int | np.integer) and not isinstance(value, bool):
        return int(value)
    if isinstance(value, float | np.floating) and np.isfinite(value):
        return float(value)
    raise ValueError(
        f"provenance[{name!r}] must be a string or a finite number, not {reprlib.repr(value)}"
    )


def load(path: str | os.PathLike[str]) -> Network:
    """Read the network in `path`.

    Sizes are compared with the size of the file before anything is allocated, and nothing in the
    file is executed.

    Raises
    ------
    ValueError
        The file is damaged, cut short, of another kind or version, or describes no valid network.
    OSError
        The file does not exist or cannot be read.
    """
    with Archive(Path(path)) as archive:
        network = assembled(archive)
        archive.close_complete()
    return network


class Source(Protocol):
    """Where a header and its arrays come from."""

    path: Path

    def header(self) -> dict[str, Any]:
        """Return the JSON header."""

    def array(self, name: str, dtype: type[np.generic], shape: tuple[int, ...]) -> NDArray[Any]:
        """Return the array called `name`, which must have this dtype and shape."""


def assembled(source: Source) -> Network:
    """Return the network that `described` and `arrays_of` were asked of.

    Raises
    ------
    ValueError
        It is of another kind or version, or describes no valid network.
    """
    path = source.path
    fields = _Fields(path, HEADER, source.header())
    if fields.get("format", str) != FORMAT:
        raise ValueError(f"{path}: is not a {FORMAT} file")
    version = fields.get("version", int)
    if version not in VERSIONS:
        known = " and ".join(map(str, VERSIONS))
        raise ValueError(
            f"{path}: has version {version}, but only versions {known} can be read: "
            "install the release that wrote it"
        )
    try:
        return _network(source, fields, version)
    except ValueError as error:
        # The network's own sentences name population, field and value, but not the file.
        sentence = str(error)
        named = sentence.startswith(str(path))
        raise ValueError(sentence if named else f"{path}: {sentence}") from None


def _network(archive: Source, described: _Fields, version: int) -> Network:
    populations = tuple(_population(archive, p, version) for p in described.each("populations"))
    sizes = {p.name: p.size for p in populations}
    return Network(
        dt_ms=described.get("dt_ms", float),
        steps=described.get("steps", int),
        populations=populations,
        projections=tuple(_projection(archive, p, sizes) for p in described.each("projections")),
        labels=tuple(_label(archive.path, x) for x in described.get("labels", list)),
        provenance={
            name: _plain(name, value) for name, value in described.get("provenance", dict).items()
        },
    )


def _label(path: Path, value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{path}: labels must be strings, not {reprlib.repr(value)}")
    return value


def _population(archive: Source, described: _Fields, version: int) -> Population:
    name, kind = described.get("name", str), described.get("kind", str)
    size = described.get("size", int)
    if kind not in POPULATION_ARRAYS:
        raise ValueError(
            f"{archive.path}: population {name!r} has the unknown kind {kind!r}: "
            f"it must be one of {', '.join(POPULATION_ARRAYS)}"
        )
    arrays = {
        field: archive.array(f"populations/{name}/{field}", np.float64, (size,))
        for field in _arrays_of(kind, version)
    }
    current = arrays.get(CURRENT, np.zeros(size))
    if kind == "input":
        return Input(name, size, described.get("units", int))
    if kind == "lif":
        return Lif(
            name,
            size,
            alpha=arrays["alpha"],
            threshold=arrays["threshold"],
            bias=arrays["bias"],
            reset=described.choice("reset", Reset),
            compare=described.choice("compare", Compare) if version > 1 else Compare.GE,
            alpha_syn=current,
        )
    return Readout(name, size, arrays["alpha"], arrays["bias"], current)


def _projection(archive: Source, described: _Fields, sizes: Mapping[str, int]) -> Projection:
    name, pre, post = (described.get(field, str) for field in ("name", "pre", "post"))
    for end in (pre, post):
        if end not in sizes:
            raise ValueError(f"{archive.path}: {name}: there is no population {end!r}")
    delay = described.choice("delay", Delay)
    shape = delay.shape(sizes[post], sizes[pre])
    return Projection(
        name=name,
        pre=pre,
        post=post,
        weights=archive.array(f"projections/{name}/weights", np.float64, (sizes[post], sizes[pre])),
        delay=delay,
        delays=archive.array(f"projections/{name}/delays", np.float64, shape),
        max_delay=described.get("max_delay", int),
    )


class _Fields:
    """A JSON object of the header, read field by field with its type."""

    def __init__(self, path: Path, where: str, content: Mapping[str, Any]) -> None:
        self.path, self.where, self.content = path, where, content

    def get(self, name: str, kind: type[Field]) -> Field:
        if name not in self.content:
            raise ValueError(f"{self.path}: {self.where} has no field {name!r}")
        value = self.content[name]
        # JSON writes 10.0 as 10 in some hands.
        if kind is float and type(value) is int and abs(value) < 2**53:
            value = float(value)
        # bool is an int to isinstance, but not to a reader of the file.
        if type(value) is not kind:
            raise ValueError(
                f"{self.path}: {self.where}: {name} must be of type {kind.__name__}, "
                f"not {reprlib.repr(value)}"
            )
        return value

    def choice(self, name: str, kind: type[Choice]) -> Choice:
        value = self.get(name, str)
        known = [member.value for member in kind]
        if value not in known:
            raise ValueError(
                f"{self.path}: {self.where}: {name} must be one of {', '.join(known)}, "
                f"not {value!r}"
            )
        return kind(value)

    def each(self, name: str) -> list[_Fields]:
        items = self.get(name, list)
        for index, item in enumerate(items):
            if not isinstance(item, dict):
                raise ValueError(
                    f"{self.path}: {self.where}: {name}[{index}] must be an object, "
                    f"not {reprlib.repr(item)}"
                )
        return [_Fields(self.path, f"{name}[{n}]", item) for n, item in enumerate(items)]
