"""A writer of torch.save's format: what tests read back, and what nobody should write."""

import struct
import zipfile
from dataclasses import dataclass, field

import numpy as np

STORAGES = {
    "float64": "Double", "float32": "Float", "float16": "Half", "int64": "Long", "int32": "Int",
    "int16": "Short", "int8": "Char", "uint8": "Byte", "bool": "Bool",
}  # fmt: skip


@dataclass
class Module:
    """An object of a class, as a pickled torch.nn.Module is one."""

    kind: str
    tensors: dict = field(default_factory=dict)
    children: dict = field(default_factory=dict)
    attributes: dict = field(default_factory=dict)

    def state(self):
        return {
            "training": False,
            "_parameters": self.tensors,
            "_buffers": {},
            "_modules": self.children,
            **self.attributes,
        }


@dataclass
class Tensor:
    """A view of a storage, with whatever sizes and steps."""

    storage: np.ndarray
    offset: int
    shape: tuple
    strides: tuple
    kind: str = ""
    count: int | None = None


@dataclass
class Call:
    """A call of a class or function, as a pickle bomb has it."""

    name: str
    arguments: tuple = ()


class Pickle:
    """Emits the instructions of protocol 2; storages are collected beside them."""

    def __init__(self, order="<"):
        self.out, self.records, self.order = bytearray(b"\x80\x02"), [], order

    def program(self, value):
        self.add(value)
        return bytes(self.out + b".")

    def add(self, value):
        if value is None or isinstance(value, bool):
            self.out += {None: b"N", True: b"\x88", False: b"\x89"}[value]
        elif isinstance(value, int):
            data = value.to_bytes(9, "little", signed=True)
            self.out += b"\x8a" + bytes([len(data)]) + data
        elif isinstance(value, float):
            self.out += b"G" + struct.pack(">d", value)
        elif isinstance(value, str):
            data = value.encode()
            self.out += b"X" + struct.pack("<I", len(data)) + data
        elif isinstance(value, tuple | list):
            self.out += b"(" if isinstance(value, tuple) else b"]("
            for one in value:
                self.add(one)
            self.out += b"t" if isinstance(value, tuple) else b"e"
        else:
            self.object(value)

    def object(self, value):
        if isinstance(value, dict):
            self.out += b"ccollections\nOrderedDict\n)R("
            for key, one in value.items():
                self.add(key)
                self.add(one)
            self.out += b"u"
        elif isinstance(value, np.ndarray):
            steps = tuple(s // value.itemsize for s in value.strides)
            flat = np.ascontiguousarray(value.T if value.flags.f_contiguous else value).reshape(-1)
            self.object(Tensor(flat, 0, value.shape, steps))
        elif isinstance(value, Tensor):
            self.tensor(value)
        elif isinstance(value, Call):
            self.name(value.name)
            self.add(value.arguments)
            self.out += b"R"
        else:
            self.name(value.kind)
            self.out += b")\x81"
            self.add(value.state())
            self.out += b"b"

    def name(self, dotted):
        module, _, member = dotted.rpartition(".")
        self.out += b"c" + f"{module}\n{member}\n".encode()

    def tensor(self, value):
        storage = np.ascontiguousarray(value.storage)
        kind = value.kind or f"torch.{STORAGES[storage.dtype.name]}Storage"
        self.name("torch._utils._rebuild_tensor_v2")
        self.out += b"("
        self.out += b"("
        self.add("storage")
        self.name(kind)
        self.add(str(len(self.records)))
        self.add("cpu")
        self.add(storage.size if value.count is None else value.count)
        self.out += b"tQ"
        self.add(value.offset)
        self.add(value.shape)
        self.add(value.strides)
        self.add(False)
        self.add({})
        self.out += b"tR"
        self.records.append(storage.astype(storage.dtype.newbyteorder(self.order)).tobytes())


def write_torch(path, content, order="<", folder="archive", more=(), compression=0):
    """Write `content` to `path` as torch.save does; `more`: records that do not belong there."""
    pickle = Pickle(order)
    program = content if isinstance(content, bytes) else pickle.program(content)
    with zipfile.ZipFile(path, "w", compression) as file:
        file.writestr(f"{folder}/data.pkl", program)
        file.writestr(f"{folder}/byteorder", b"little" if order == "<" else b"big")
        for number, record in enumerate(pickle.records):
            file.writestr(f"{folder}/data/{number}", record)
        file.writestr(f"{folder}/version", b"3\n")
        for name, data in more:
            file.writestr(name, data)
    return path
