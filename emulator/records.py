"""What a run keeps of every tick, for whoever wants to look inside."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datapath import Image, Kind

RECORDS = ("spikes", "membranes", "sums", "saturated", "readout")
"""What can be kept."""

LARGEST = 4 << 30
"""Bytes that the records of one run may take."""


class Records:
    """Arrays [recordings, steps, size] by record and population."""

    def __init__(self, image: Image, record: Iterable[str], shape: tuple[int, ...]) -> None:
        wanted = frozenset([record] if isinstance(record, str) else record)
        for name in sorted(wanted - set(RECORDS)):
            raise ValueError(f"record takes {', '.join(RECORDS)}, not {name!r}")
        membrane = np.int32 if image.chip.lif.v.width <= 32 else np.int64
        kinds = {"spikes": np.bool_, "saturated": np.bool_, "readout": np.int64}
        only = {"spikes": Kind.LIF, "readout": Kind.READOUT}
        plan = {
            (name, p.name): (p.size, np.dtype(kinds.get(name, membrane)))
            for name in wanted
            for p in image.populations
            if only.get(name, p.kind) is p.kind
        }
        size = math.prod(shape) * sum(n * kind.itemsize for n, kind in plan.values())
        if size > LARGEST:
            raise ValueError(
                f"recording {', '.join(sorted(wanted))} of {shape[0]} recordings takes {size} "
                f"bytes, more than {LARGEST}: run fewer recordings at a time"
            )
        self.arrays = {key: np.zeros((*shape, n), kind) for key, (n, kind) in plan.items()}

    def __bool__(self) -> bool:
        """Whether anything is wanted."""
        return bool(self.arrays)

    def keep(
        self,
        recording: int,
        spans: dict[str, slice],
        trace: NDArray[np.int64],
        scores: NDArray[np.int64],
    ) -> None:
        """Copy one recording.

        spans : the neurons of every population.  trace : int64[3, steps, neurons], membranes, sums
        and whether a sum did not fit.  scores : int64[steps, classes].
        """
        v, u, beyond = trace
        values = {"spikes": v != u, "membranes": v, "sums": u, "saturated": beyond != 0}
        for (name, population), array in self.arrays.items():
            part = scores if name == "readout" else values[name][:, spans[population]]
            array[recording] = part

    def by_population(self, name: str) -> dict[str, NDArray[Any]]:
        """Return the records called `name`."""
        return {population: a for (kind, population), a in self.arrays.items() if kind == name}
