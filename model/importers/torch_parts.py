"""What a torch file holds, as parts: one per module, in the order in which they were made.

A state dict and a whole pickled module give the same parts; the latter also says of what class they
are, and with which attributes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.importers.torch_file import is_torch, read_torch
from model.importers.torch_pickle import Stub
from model.importers.verdict import Unsupported

Floats = NDArray[np.float64]

WRAPPERS = ("net", "model", "state_dict", "model_state_dict")
"""Keys under which checkpoints keep the state dict of a network."""
DEEPEST = 32
MOST_PARTS = 4096
LARGEST = 1e30
"""Of all parameters; far below what overflows when two are multiplied."""
EPSILON = 1e-5
"""What torch adds to the variance of a batch norm; no file says it, and no code here changes it."""


@dataclass(frozen=True, slots=True)
class Part:
    """One module: its tensors as float64, by field.

    kind : the dotted name of its class, "" if the file has names alone.  attributes : of a pickled
    module, whatever else it has.
    """

    name: str
    kind: str
    tensors: Mapping[str, Floats]
    attributes: Mapping[str, Any] = field(default_factory=dict)

    def need(self, tensor: str, *axes: int) -> Floats:
        """Return a tensor, which has to be there and to have one of these numbers of axes."""
        if tensor not in self.tensors:
            raise Unsupported(self.name, f"has no {tensor}")
        values = self.tensors[tensor]
        if values.ndim not in axes:
            counts = " or ".join(map(str, axes))
            raise Unsupported(
                self.name, f"{tensor} must have {counts} axes, and has shape {values.shape}"
            )
        # Also true of what is not a number.
        odd = values[~(np.abs(values) <= LARGEST)]
        if odd.size:
            raise Unsupported(self.name, f"{tensor} holds {odd.flat[0]:g}, which no network has")
        return values

    def spread(self, tensor: str, size: int) -> Floats:
        """Return a tensor of one element, or of `size`, as float64[size]."""
        values = self.need(tensor, 0, 1).reshape(-1)
        if values.size not in (1, size):
            raise Unsupported(self.name, f"{tensor} has {values.size} elements for {size} neurons")
        return np.array(np.broadcast_to(values, (size,)))


def read_parts(path: Path, *, values: bool = True) -> list[Part]:
    """Return the parts of `path`; see `read_torch`, also for `values`.

    Raises
    ------
    ValueError
        The file is damaged, hostile, or holds no network.
    """
    content = read_torch(path, values=values)
    for _ in range(2):
        if isinstance(content, dict):
            inner = [content[key] for key in WRAPPERS if isinstance(content.get(key), dict | Stub)]
            content = inner[0] if inner else content
    if isinstance(content, Stub):
        parts = list(_modules(path, content))
    elif isinstance(content, dict):
        parts = _state_dict(content)
    else:
        parts = []
    if not parts:
        raise ValueError(f"{path}: holds neither a state dict nor a module with tensors")
    return parts


def peek(path: Path) -> list[Part]:
    """Return the parts of `path` without their numbers; none if it is no torch file."""
    if not is_torch(path):
        return []
    try:
        return read_parts(path, values=False)
    except ValueError:
        return []


def _state_dict(content: Mapping[str, Any]) -> list[Part]:
    """Group the tensors of a state dict by the module in their names."""
    groups: dict[str, dict[str, Floats]] = {}
    for key, value in content.items():
        if isinstance(key, str) and isinstance(value, np.ndarray):
            # What torch.nn.DataParallel puts before every name.
            module, _, name = key.removeprefix("module.").rpartition(".")
            groups.setdefault(module, {})[name] = np.asarray(value, np.float64)
    return [Part(name, "", tensors) for name, tensors in groups.items()]


def _modules(path: Path, root: Stub) -> Iterator[Part]:
    """Yield the modules below `root` that have tensors or nothing below them."""
    waiting: list[tuple[Stub, str, int]] = [(root, "", 0)]
    seen = 0
    while waiting:
        stub, name, depth = waiting.pop()
        seen += 1
        if depth > DEEPEST or seen > MOST_PARTS:
            raise ValueError(
                f"{path}: its modules lie inside each other more than {DEEPEST} deep, or are more "
                f"than {MOST_PARTS}"
            )
        children = _dict(stub, "_modules")
        # Tensors that are not trained may be plain attributes.
        own = {**_dict(stub, "_parameters"), **_dict(stub, "_buffers"), **stub.state}
        tensors = {
            str(key): np.asarray(value, np.float64)
            for key, value in own.items()
            if isinstance(value, np.ndarray)
        }
        if tensors or not children:
            yield Part(name, stub.kind, tensors, stub.state)
        below = [
            (child, f"{name}.{key}" if name else str(key), depth + 1)
            for key, child in children.items()
            if isinstance(child, Stub)
        ]
        # The first child comes off the stack first.
        waiting += reversed(below)


def _dict(stub: Stub, name: str) -> dict[Any, Any]:
    value = stub.state.get(name)
    return value if isinstance(value, dict) else {}


def logistic(x: Floats) -> Floats:
    """Return 1 / (1 + exp(-x)), also where exp would overflow."""
    value: Floats = np.exp(-np.logaddexp(0, -x))
    return value


def is_batch_norm(part: Part) -> bool:
    """Whether `part` normalizes by the means of its training."""
    return "running_mean" in part.tensors


def batch_norm(part: Part, size: int) -> tuple[Floats, Floats]:
    """Return a batch norm at evaluation as scale and shift, y = scale x + shift; float64[size].

    Raises
    ------
    Unsupported
        Its tensors do not fit.
    """
    mean, variance = part.spread("running_mean", size), part.spread("running_var", size)
    if (variance < 0).any():
        raise Unsupported(part.name, f"running_var = {variance.min()} must not be negative")
    scale = 1 / np.sqrt(variance + EPSILON)
    if "weight" in part.tensors:
        scale = scale * part.spread("weight", size)
    shift = -mean * scale
    if "bias" in part.tensors:
        shift = shift + part.spread("bias", size)
    return scale, shift
