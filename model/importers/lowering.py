"""Convolutions, pools and projections one to one as the dense matrices that they are."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.importers.verdict import Unsupported

Floats = NDArray[np.float64]

LARGEST = 1 << 22
"""Elements of a matrix that takes the place of a convolution."""


def identity(node: str, size: int) -> Floats:
    """Return the matrix of a projection one to one.

    Raises
    ------
    Unsupported
        It would be larger than `LARGEST`, which a file can ask for with few numbers.
    """
    if size * size > LARGEST:
        raise Unsupported(
            node,
            f"its {size} neurons one to one would be a matrix of more than {LARGEST} elements",
        )
    return np.eye(size)


def convolution(
    weight: Floats,
    shape: Sequence[int],
    *,
    stride: Sequence[int],
    padding: Sequence[int] | str,
    dilation: Sequence[int],
    groups: int,
) -> tuple[Floats, tuple[int, ...]]:
    """Return the matrix of a convolution without bias (a correlation, as in every framework).

    weight : float64[out channels, in channels / groups, *kernel].  shape : of the input, channels
    first.  padding : zeros at either side of each axis, or "same" or "valid".

    Returns
    -------
    float64[outputs, inputs], both flattened in C order, and the shape of the output.

    Raises
    ------
    ValueError
        Sizes do not fit, or the matrix would be larger than `LARGEST`.
    """
    outs, ins, *kernel = weight.shape
    channels, *extent = shape
    if len(kernel) != len(extent) or channels != ins * groups or outs % groups:
        raise ValueError(f"a kernel of shape {weight.shape} does not fit an input of {shape}")
    before = _before(padding, kernel, dilation, stride)
    if isinstance(padding, str) and padding == "same":
        sizes = list(extent)
    else:
        sizes = [
            (n + 2 * p - d * (k - 1) - 1) // s + 1
            for n, p, d, k, s in zip(extent, before, dilation, kernel, stride, strict=True)
        ]
    if min(sizes, default=1) < 1:
        raise ValueError(f"a kernel of shape {weight.shape} is larger than an input of {shape}")
    if outs * prod(sizes) * prod(shape) > LARGEST:
        raise ValueError(
            f"its matrix would be {outs * prod(sizes)} x {prod(shape)}, and the largest has "
            f"{LARGEST} elements"
        )
    matrix = np.zeros((outs, *sizes, channels, *extent))
    per_group = outs // groups
    for at in product(*map(range, sizes)):
        for tap in product(*map(range, kernel)):
            source = [
                a * s - p + t * d
                for a, s, p, t, d in zip(at, stride, before, tap, dilation, strict=True)
            ]
            if any(not 0 <= i < n for i, n in zip(source, extent, strict=True)):
                continue
            here: tuple[Any, ...] = (*at, slice(None), *source)
            kernel_tap: tuple[Any, ...] = (..., *tap)
            for group in range(groups):
                rows = slice(group * per_group, (group + 1) * per_group)
                columns = slice(group * ins, (group + 1) * ins)
                # [out, in] of one position: whatever other taps reach it from elsewhere.
                block = matrix[(slice(None), *here)][rows, columns]
                block += weight[kernel_tap][rows]
    return matrix.reshape(outs * prod(sizes), prod(shape)), (outs, *sizes)


def _before(
    padding: Sequence[int] | str, kernel: Sequence[int], dilation: Sequence[int],
    stride: Sequence[int],
) -> list[int]:  # fmt: skip
    """Zeros before the first element of every axis."""
    if not isinstance(padding, str):
        return list(padding)
    if padding == "valid":
        return [0] * len(kernel)
    if padding == "same" and set(stride) == {1}:
        return [d * (k - 1) // 2 for k, d in zip(kernel, dilation, strict=True)]
    raise ValueError(f"padding {padding!r} with strides {tuple(stride)} is not known")


def pool(
    shape: Sequence[int],
    kernel: Sequence[int],
    *,
    stride: Sequence[int],
    padding: Sequence[int],
    mean: bool,
) -> tuple[Floats, tuple[int, ...]]:
    """Return the matrix of a sum or mean pool, and the shape of its output; see `convolution`."""
    weight = np.full((shape[0], 1, *kernel), 1 / prod(kernel) if mean else 1.0)
    return convolution(
        weight, shape, stride=stride, padding=padding, dilation=[1] * len(kernel), groups=shape[0]
    )
