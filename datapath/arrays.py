"""Integer arrays with a JSON header as one npz file, whose bytes depend on its content alone."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Mapping

import numpy as np

from datapath.format import Format
from datapath.integers import Integers
from datapath.schema import parse, readable
from datapath.zipped import unzipped, zipped

HEADER = "header"
"""Array of the bytes of the JSON header."""

_MAGIC = b"\x93NUMPY\x01\x00"
# The only header that `packed` writes; it is matched, not evaluated.
_NPY = re.compile(
    rb"\{'descr': '(\|u1|\|i1|<i2|<i4|<i8)', 'fortran_order': False, "
    rb"'shape': \((|0,|[1-9]\d{0,8},|[1-9]\d{0,8}, [1-9]\d{0,8})\), \} *\n"
)


def narrow(array: Integers, fmt: Format) -> np.ndarray[tuple[int, ...], np.dtype[np.signedinteger]]:
    """Copy `array`, whose values are in `fmt`, into the narrowest signed type for `fmt`."""
    bits = fmt.width + (not fmt.signed)
    kind = next(t for t in (np.int8, np.int16, np.int32, np.int64) if bits <= np.iinfo(t).bits)
    return array.astype(kind)


def packed(header: object, arrays: Mapping[str, np.ndarray]) -> bytes:
    """Write an npz file of `header` and integer `arrays`, not compressed."""
    everything = {HEADER: np.frombuffer(readable(header), np.uint8), **arrays}
    files = {}
    for name, array in everything.items():
        buffer = io.BytesIO()
        little = array.astype(array.dtype.newbyteorder("<"), order="C")
        np.lib.format.write_array(buffer, little, version=(1, 0), allow_pickle=False)
        files[f"{name}.npy"] = buffer.getvalue()
    return zipped(files, deflate=False)


def unpacked(data: bytes, where: str) -> tuple[object, dict[str, np.ndarray]]:
    """Read header and arrays that `packed` wrote.

    Raises
    ------
    ValueError
        Damaged, a member that is no array of integers, or one whose shape is not its size;
        nothing is allocated for a shape before that. The sentence begins with `where`.
    """
    files = unzipped(data, where)
    arrays = {}
    for name, file in files.items():
        if not name.endswith(".npy"):
            raise ValueError(f"{where}: {name} is not an array; remove it or export the file again")
        arrays[name.removesuffix(".npy")] = _array(file, f"{where}: {name}")
    header = arrays.pop(HEADER, None)
    if header is None or header.dtype != np.uint8:
        raise ValueError(f"{where}: has no bytes called {HEADER}.npy; export the file again")
    return parse(header.tobytes(), f"{where}: {HEADER}.npy"), arrays


def _array(file: bytes, where: str) -> np.ndarray:
    start = len(_MAGIC) + 2
    end = start + int.from_bytes(file[len(_MAGIC) : start], "little")
    match = _NPY.fullmatch(file[start:end])
    if not file.startswith(_MAGIC) or match is None:
        raise ValueError(f"{where}: is not an array of integers as written here; export it again")
    kind = np.dtype(match[1].decode())
    shape = tuple(int(n) for n in match[2].decode().split(",") if n.strip())
    needed = math.prod(shape) * kind.itemsize
    if needed != len(file) - end:
        raise ValueError(
            f"{where}: has {len(file) - end} bytes, and an array of shape {shape} needs {needed}; "
            "export it again"
        )
    return np.frombuffer(file[end:], kind).reshape(shape)
