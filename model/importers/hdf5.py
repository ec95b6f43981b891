"""HDF5 files read without trusting them: no link leads out, and sizes are looked at first."""

from __future__ import annotations

from math import prod
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

MOST_NUMBERS = 1 << 27
"""All parameters of a file together; 1 GiB as float64."""


class Reader:
    """Reads groups, numbers and strings of an open file; ValueError for what should not be."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.numbers_read = 0

    def linked(self, parent: h5py.Group, name: str) -> bool:
        """Whether something called `name` lies in the file itself."""
        return isinstance(parent.get(name, getlink=True), h5py.HardLink)

    def group(self, parent: h5py.Group, name: str) -> h5py.Group:
        """Return a group that lies in the file itself."""
        # A link may lead into another file, or nowhere.
        if not self.linked(parent, name):
            raise ValueError(f"{self.path}: {parent.name}/{name} must be a group of this file")
        group = parent[name]
        if not isinstance(group, h5py.Group):
            raise ValueError(f"{self.path}: {group.name} must be a group")
        return group

    def dataset(self, group: h5py.Group, name: str) -> h5py.Dataset:
        """Return a dataset that lies in the file and is not larger than it should be."""
        if not self.linked(group, name):
            raise ValueError(f"{self.path}: {group.name}/{name} must lie in this file")
        data = group[name]
        if not isinstance(data, h5py.Dataset) or data.external is not None or data.is_virtual:
            raise ValueError(f"{self.path}: {group.name}/{name} must be data of this file")
        self.numbers_read += prod(data.shape)
        if self.numbers_read > MOST_NUMBERS:
            raise ValueError(
                f"{self.path}: {data.name} has shape {data.shape}; all parameters together may be "
                f"{MOST_NUMBERS} numbers"
            )
        return data

    def numbers(self, group: h5py.Group, name: str) -> Floats:
        """Return a dataset of finite numbers."""
        return self.values(self.dataset(group, name))

    def text(self, group: h5py.Group, name: str) -> str:
        """Return a dataset that is one string."""
        if name not in group:
            raise ValueError(f"{self.path}: {group.name} has no {name}")
        return self.string(self.dataset(group, name))

    def values(self, data: h5py.Dataset) -> Floats:
        """Return what `dataset` found, which must be finite numbers."""
        if data.dtype.kind not in "iufb":
            raise ValueError(f"{self.path}: {data.name} is of type {data.dtype}, not numbers")
        values = np.asarray(data[()], np.float64)
        if not np.isfinite(values).all():
            raise ValueError(f"{self.path}: {data.name} holds numbers that are not finite")
        return values

    def string(self, data: h5py.Dataset) -> str:
        """Return what `dataset` found, which must be one string."""
        if data.shape not in ((), (1,)):
            raise ValueError(f"{self.path}: {data.name} must be one string")
        return self.word(np.asarray(data[()]).reshape(-1)[0])

    def document(self, data: h5py.Dataset) -> str:
        """Return what `dataset` found, which must be one text, however long."""
        value = data[()] if data.shape == () else None
        if not isinstance(value, bytes):
            raise ValueError(f"{self.path}: {data.name} must be one text")
        return value.decode(errors="replace")

    def word(self, value: object) -> str:
        """Return a string of the file, which names something."""
        if isinstance(value, bytes):
            try:
                value = value.decode()
            except UnicodeDecodeError:
                value = None
        if not isinstance(value, str) or not value.isprintable() or not value or len(value) > 1000:
            raise ValueError(f"{self.path}: holds a name that is no printable text")
        return value
