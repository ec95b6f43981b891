"""Files of a JSON header and named arrays (npz) that can be read from strangers.

`write` gives the same bytes for the same content; `Archive` compares every size with the size of
the file before it allocates, and executes nothing.
"""

from __future__ import annotations

import io
import json
import os
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

HEADER = "header"
# One byte of a real header describes several bytes of array: a longer one is not ours.
MAX_HEADER_BYTES = 16 * 2**20
# The header of a member of dtype and shape alone; NumPy pads it to a multiple of 64.
MAX_NPY_HEADER_BYTES = 4096


def write(path: Path, header: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write header and arrays to `path`, or leave whatever was there untouched.

    header : what JSON can hold, NaN and infinity excepted.  arrays : little-endian in the file.

    Raises
    ------
    OSError
        The folder does not exist or cannot be written.
    """
    text = json.dumps(header, allow_nan=False, sort_keys=True).encode()
    members = {HEADER: np.frombuffer(text, np.uint8), **arrays}
    with complete(path) as part, zipfile.ZipFile(part, "w", zipfile.ZIP_STORED) as file:
        for name, array in members.items():
            # ZipInfo has a fixed date, writestr(str) would take the clock's.
            file.writestr(zipfile.ZipInfo(f"{name}.npy"), _npy(array))


@contextmanager
def complete(path: Path) -> Iterator[Path]:
    """Give a file beside `path` to write to, and move it there once it is complete.

    Raises
    ------
    OSError
        The folder does not exist or cannot be written; what was at `path` is left as it was.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield part
        part.replace(path)
    except OSError as error:
        raise OSError(f"{path}: cannot be written: {error.strerror or error}") from None
    finally:
        with suppress(OSError):
            part.unlink()


def _npy(array: NDArray[Any]) -> bytes:
    buffer = io.BytesIO()
    little = np.ascontiguousarray(array).reshape(array.shape)
    np.lib.format.write_array(
        buffer, little.astype(little.dtype.newbyteorder("<"), copy=False), allow_pickle=False
    )
    return buffer.getvalue()


class Archive:
    """An open file of header and arrays; a context manager.

    Raises
    ------
    ValueError
        The file is damaged, cut short, or not of this kind.
    OSError
        The file does not exist or cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._bytes = path.stat().st_size
            self._file = zipfile.ZipFile(path)
        except OSError as error:
            raise OSError(f"{path}: cannot be read: {error.strerror or error}") from None
        except (zipfile.BadZipFile, ValueError, NotImplementedError):
            raise self._damaged() from None
        self._unread = {member.filename for member in self._file.infolist()}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()

    def _damaged(self) -> ValueError:
        return ValueError(
            f"{self.path}: is not a complete npz file (cut short, damaged or of another kind): "
            "make or copy it again"
        )

    def header(self) -> dict[str, Any]:
        """Return the JSON header."""
        text = self._read(HEADER, np.dtype(np.uint8), None, MAX_HEADER_BYTES)
        try:
            header = json.loads(text.tobytes())
        except (ValueError, RecursionError):
            raise ValueError(f"{self.path}: {HEADER} is not JSON text") from None
        if not isinstance(header, dict):
            raise ValueError(f"{self.path}: {HEADER} is not a JSON object")
        return header

    def array(self, name: str, dtype: type[np.generic], shape: tuple[int, ...]) -> NDArray[Any]:
        """Return the array called `name`, which must have this dtype and shape."""
        return self._read(name, np.dtype(dtype).newbyteorder("<"), shape, self._bytes)

    def close_complete(self) -> None:
        """Refuse a file that holds arrays nobody asked for."""
        for member in sorted(self._unread):
            raise ValueError(f"{self.path}: holds {member!r}, which its {HEADER} does not mention")

    def _read(
        self, name: str, dtype: np.dtype[Any], shape: tuple[int, ...] | None, limit: int
    ) -> NDArray[Any]:
        member = f"{name}.npy"
        if member not in self._unread:
            raise ValueError(f"{self.path}: has no field {name!r}")
        self._unread.remove(member)
        info = self._file.getinfo(member)
        # Stored, not compressed: then no member can be larger than the file that is already here.
        if info.compress_type != zipfile.ZIP_STORED:
            raise ValueError(f"{self.path}: {name} is compressed: store it uncompressed")
        if info.file_size > min(limit, self._bytes):
            raise ValueError(
                f"{self.path}: {name} claims {info.file_size} bytes, more than the "
                f"{min(limit, self._bytes)} it may have"
            )
        try:
            content = self._file.read(info)
        except (zipfile.BadZipFile, EOFError, OSError, RuntimeError, NotImplementedError):
            raise self._damaged() from None
        return self._parse(name, content, dtype, shape)

    def _parse(
        self, name: str, content: bytes, dtype: np.dtype[Any], shape: tuple[int, ...] | None
    ) -> NDArray[Any]:
        stream = io.BytesIO(content)
        try:
            if np.lib.format.read_magic(stream) != (1, 0):
                raise ValueError
            found, fortran, kind = np.lib.format.read_array_header_1_0(
                stream, max_header_size=MAX_NPY_HEADER_BYTES
            )
        except (ValueError, EOFError, SyntaxError, TypeError):
            raise ValueError(f"{self.path}: {name} is not an npy array") from None
        size = len(content) - stream.tell()
        if kind != dtype or fortran:
            raise ValueError(
                f"{self.path}: {name} must be {dtype.name} in C order, not {kind}"
                + (" in Fortran order" if fortran else "")
            )
        wanted = (size // dtype.itemsize,) if shape is None else shape
        if found != wanted:
            raise ValueError(f"{self.path}: {name} must have shape {wanted}, not {found}")
        if size != int(np.prod(wanted, dtype=object)) * dtype.itemsize:
            raise ValueError(f"{self.path}: {name} holds {size} bytes, not those of {wanted}")
        return np.frombuffer(content, dtype, offset=stream.tell()).reshape(wanted)
