"""npz files of strangers: sizes are checked before memory is taken, and nothing is executed."""

from __future__ import annotations

import lzma
import math
import os
import zipfile
import zlib
from collections.abc import Collection, Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from events.recordings import check_bytes

DAMAGED = (
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError),
    *(RuntimeError, NotImplementedError),  # encrypted, or packed by an unknown method
)


def listed(names: Collection[str]) -> str:
    """Name the fields of a file in a sentence, the first few of very many."""
    return ", ".join(sorted(names)[:12]) or "nothing"


class Archive:
    """An npz file, open for reading; a context manager.

    Raises
    ------
    ValueError
        If the file is not a complete npz file.  Sentences do not name the file.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._file = zipfile.ZipFile(path)
        except (*DAMAGED, ValueError):
            raise ValueError(
                "is not a complete npz file; copy it again from where it came"
            ) from None
        self.names = {n.removesuffix(".npy") for n in self._file.namelist() if n.endswith(".npy")}
        self._taken = 0

    def __enter__(self) -> Archive:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()

    def read(self, name: str, kinds: str, ndim: int) -> NDArray[Any]:
        """Read array `name` of `ndim` dimensions, its dtype of one of the numpy `kinds`."""
        if name not in self.names:
            raise ValueError(f"has no field {name!r}, but {listed(self.names)}")
        try:
            with self._file.open(f"{name}.npy") as member:
                return self._array(name, member, kinds, ndim)
        except DAMAGED as error:
            raise ValueError(
                f"field {name!r} is damaged ({error}); copy the file again from where it came"
            ) from None

    def _array(self, name: str, member: IO[bytes], kinds: str, ndim: int) -> NDArray[Any]:
        try:
            version = np.lib.format.read_magic(member)
            header = {
                (1, 0): np.lib.format.read_array_header_1_0,
                (2, 0): np.lib.format.read_array_header_2_0,
            }[version]
            shape, fortran, dtype = header(member)
        except (ValueError, KeyError):
            raise ValueError(f"field {name!r} is not an array in npy format 1 or 2") from None
        if dtype.kind not in kinds or len(shape) != ndim:
            raise ValueError(
                f"field {name!r} must have {ndim} dimensions and a dtype of kind "
                f"{' or '.join(kinds)}, not {dtype} of shape {shape}"
            )
        size = math.prod(shape) * dtype.itemsize
        held = self._file.getinfo(f"{name}.npy").file_size - member.tell()
        if size != held:
            raise ValueError(f"field {name!r} claims {size} bytes, but the file holds {held}")
        self._taken += size
        check_bytes("this file", self._taken)
        flat = np.frombuffer(member.read(), dtype)
        return flat.reshape(shape, order="F" if fortran else "C")

    def text(self, name: str) -> str:
        """Read the string `name`."""
        return str(self.read(name, "U", 0))

    def texts(self, name: str) -> tuple[str, ...]:
        """Read the row of strings `name`."""
        return tuple(str(text) for text in self.read(name, "U", 1))

    def number(self, name: str, kinds: str) -> Any:
        """Read the number `name`, a Python int or float."""
        return self.read(name, kinds, 0).item()


def write(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write a compressed npz file, whole or not at all; equal arrays give equal bytes."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as file:
            for name, array in arrays.items():
                # A ZipInfo made by name alone has a fixed date, where writestr puts today's.
                info = zipfile.ZipInfo(f"{name}.npy")
                info.compress_type = zipfile.ZIP_DEFLATED
                with file.open(info, "w", force_zip64=True) as member:
                    np.lib.format.write_array(member, np.asarray(array), allow_pickle=False)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
