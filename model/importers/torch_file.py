"""Files of torch.save, read without torch.

Such a file is a zip with one pickle, `data.pkl`, and one record per storage of a tensor.  Nothing
in it is executed (`torch_pickle`); sizes are compared with what is really there before anything is
allocated.  Why: docs/decisions/0006-torch-files.md.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, NoReturn, TypeGuard

import numpy as np
from numpy.typing import NDArray

from model.importers.torch_pickle import Machine, Name, Stub

MOST_NUMBERS = 1 << 27
"""Elements of all tensors together; 1 GiB as float64."""
MOST_RECORDS = 1 << 16
LARGEST_PICKLE = 1 << 24
MOST_AXES = 16

DTYPES: Mapping[str, str] = {
    "DoubleStorage": "f8", "FloatStorage": "f4", "HalfStorage": "f2", "BFloat16Storage": "bf2",
    "LongStorage": "i8", "IntStorage": "i4", "ShortStorage": "i2", "CharStorage": "i1",
    "ByteStorage": "u1", "BoolStorage": "u1", "UntypedStorage": "u1",
    "float64": "f8", "float32": "f4", "float16": "f2", "bfloat16": "bf2", "int64": "i8",
    "int32": "i4", "int16": "i2", "int8": "i1", "uint8": "u1", "bool": "u1", "uint16": "u2",
    "uint32": "u4", "uint64": "u8",
}  # fmt: skip
"""Types of storages and of elements, as NumPy calls them; bf2 is the upper half of an f4."""


@dataclass(frozen=True, slots=True)
class Storage:
    """The memory of tensors: the record it lies in, and its elements."""

    record: str
    dtype: str
    count: int


def is_torch(path: Path) -> bool:
    """Whether `path` looks like a file of torch.save."""
    try:
        with zipfile.ZipFile(path) as file:
            names = file.namelist()
    except (OSError, zipfile.BadZipFile, ValueError, NotImplementedError):
        return False
    return any(name.endswith("/data.pkl") for name in names)


def read_torch(path: Path, *, values: bool = True) -> object:
    """Read `path`: dicts, lists, tuples, plain values, `Stub`s, and read-only arrays for tensors.

    values : without them, all numbers are 0 and only shapes and types are true.

    Raises
    ------
    ValueError
        The file is damaged, of another kind or hostile.
    OSError
        It cannot be read.
    """
    try:
        with zipfile.ZipFile(path) as file:
            return _Reader(path, file, values).content()
    except zipfile.BadZipFile:
        raise ValueError(
            f"{path}: is no complete file of torch.save (cut short, damaged, or of torch before "
            "1.6): save it again"
        ) from None
    except (EOFError, RuntimeError, NotImplementedError):
        raise ValueError(f"{path}: is damaged or encrypted: save it again") from None


class _Reader:
    """Reads an open file."""

    def __init__(self, path: Path, file: zipfile.ZipFile, values: bool) -> None:
        self.path, self.file, self.values = path, file, values
        self.members = self._members()
        pickles = [name for name in self.members if name.endswith("/data.pkl")]
        if len(pickles) != 1:
            self._refuse(f"must hold one data.pkl, not {len(pickles)}")
        self.folder = pickles[0].removesuffix("data.pkl")
        if f"{self.folder}constants.pkl" in self.members:
            self._refuse("is TorchScript, which is a program: save its state_dict() instead")
        order = self._optional("byteorder", b"little")
        if order not in (b"little", b"big"):
            self._refuse(f"its byteorder must be little or big, not {order[:20]!r}")
        self.order = "<" if order == b"little" else ">"
        self.numbers = 0
        self.records: dict[str, bytes] = {}

    def _refuse(self, what: str) -> NoReturn:
        raise ValueError(f"{self.path}: {what}")

    def _members(self) -> dict[str, zipfile.ZipInfo]:
        """Return what the zip holds, all of it harmless."""
        size = self.path.stat().st_size
        members: dict[str, zipfile.ZipInfo] = {}
        for info in self.file.infolist():
            name = info.filename
            if name in members:
                self._refuse(f"holds {name!r} twice")
            if name.startswith("/") or "\\" in name or ".." in name.split("/"):
                self._refuse(f"holds {name!r}, which leads out of the file")
            if info.compress_type != zipfile.ZIP_STORED:
                self._refuse(f"{name} is compressed, which torch.save never does: save it again")
            members[name] = info
        if len(members) > MOST_RECORDS:
            self._refuse(f"holds {len(members)} records, more than {MOST_RECORDS}")
        # Stored records that do not overlap are no larger than the file.
        if (claimed := sum(info.file_size for info in members.values())) > size:
            self._refuse(f"claims {claimed} bytes of records, and has {size}")
        return members

    def _optional(self, name: str, default: bytes) -> bytes:
        info = self.members.get(self.folder + name)
        return default if info is None else self.file.read(info)

    def content(self) -> object:
        """Return what was saved."""
        info = self.members[f"{self.folder}data.pkl"]
        if info.file_size > LARGEST_PICKLE:
            self._refuse(f"data.pkl has {info.file_size} bytes, more than {LARGEST_PICKLE}")
        return Machine(self.path, self._storage, self._call).run(self.file.read(info))

    def _storage(self, key: object) -> Storage:
        """Return the storage that a persistent id names."""
        if not isinstance(key, tuple) or len(key) != 5 or key[0] != "storage":
            self._refuse("its pickle names something outside that is no storage")
        _, kind, record, _, count = key
        dtype = self._dtype(kind)
        name = f"{self.folder}data/{record}"
        if not isinstance(record, str) or name not in self.members:
            self._refuse(f"has no record {name!r}")
        if not _whole(count):
            self._refuse(f"{name} must have a whole number of elements")
        there, wanted = self.members[name].file_size, count * _bytes(dtype)
        if there != wanted:
            self._refuse(f"{name} has {there} bytes, and {count} elements of {kind.text} {wanted}")
        return Storage(name, dtype, count)

    def _dtype(self, kind: object) -> str:
        name = kind.text.rpartition(".") if isinstance(kind, Name) else ("", "", "")
        if name[0] not in ("torch", "torch.storage") or name[2] not in DTYPES:
            self._refuse(f"holds numbers of the type {'.'.join(name[::2])!r}, which is not known")
        return DTYPES[name[2]]

    def _call(self, name: Name, arguments: tuple[Any, ...]) -> object:
        """Return what a call in the pickle stands for."""
        if name.text == "collections.OrderedDict" and not arguments:
            return {}
        if name.text == "torch._utils._rebuild_tensor_v2":
            return self._tensor(arguments[0], *arguments[1:4])
        if name.text == "torch._utils._rebuild_tensor_v3":
            return self._tensor(self._typed(arguments[0], arguments[6]), *arguments[1:4])
        if name.text.startswith("torch._utils._rebuild_parameter"):
            return arguments[0]
        if name.text == "torch.Size":
            return tuple(arguments[0])
        return Stub(name.text, arguments)

    def _typed(self, storage: object, kind: object) -> Storage:
        """Return a storage of bytes as one of elements."""
        dtype = self._dtype(kind)
        if not isinstance(storage, Storage):
            self._refuse("holds a tensor without a storage")
        return Storage(storage.record, dtype, storage.count // _bytes(dtype))

    def _tensor(self, storage: object, offset: object, shape: object, strides: object) -> object:
        """Return a tensor, after a look at where its elements would lie."""
        if not isinstance(storage, Storage):
            self._refuse("holds a tensor without a storage")
        if not (_wholes(shape) and _wholes(strides) and _whole(offset)):
            self._refuse(f"{storage.record}: a tensor must have whole sizes, steps and offset")
        if len(shape) != len(strides) or len(shape) > MOST_AXES:
            self._refuse(f"{storage.record}: a tensor has {len(shape)} axes, {len(strides)} steps")
        elements = prod(shape)
        last = offset + sum((n - 1) * step for n, step in zip(shape, strides, strict=True))
        if elements and last >= storage.count:
            self._refuse(
                f"{storage.record}: a tensor of shape {shape} needs {last + 1} elements, and there "
                f"are {storage.count}"
            )
        self.numbers += elements
        if elements > storage.count or self.numbers > MOST_NUMBERS:
            self._refuse(f"{storage.record}: a tensor of shape {shape} is larger than its record")
        if not self.values:
            return np.broadcast_to(np.zeros((), "f8"), shape)
        return self._elements(storage, offset, shape, strides)

    def _elements(
        self, storage: Storage, offset: int, shape: tuple[int, ...], strides: tuple[int, ...]
    ) -> NDArray[Any]:
        if storage.record not in self.records:
            self.records[storage.record] = self.file.read(self.members[storage.record])
        dtype = storage.dtype.replace("bf2", "u2")
        flat = np.frombuffer(self.records[storage.record], self.order + dtype)[: storage.count]
        step = flat.itemsize
        values = np.lib.stride_tricks.as_strided(
            flat[offset:], shape, [n * step for n in strides], writeable=False
        )
        if storage.dtype == "bf2":
            values = (values.astype(np.uint32) << 16).view(np.float32)
        values = values.astype(values.dtype.newbyteorder("="))
        values.flags.writeable = False
        return values


def _bytes(dtype: str) -> int:
    return int(dtype[-1])


def _whole(value: object) -> TypeGuard[int]:
    return type(value) is int and 0 <= value < 1 << 48


def _wholes(value: object) -> TypeGuard[tuple[int, ...]]:
    return isinstance(value, tuple) and all(_whole(one) for one in value)
