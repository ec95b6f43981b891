"""Training for the integers of a chip: numbers are rounded forwards, and not backwards.

The master numbers stay float.  Every forward pass sees them rounded to what a chip will hold, the
gradient of the rounded numbers moves the masters (straight through), and masters stay inside the
range of their words, as those of a chip that learns do.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from learn.gradient import Parameters
from model import Network
from model.layout import by_pre, rebuild
from model.network import Floats, Projection


@dataclass(frozen=True, slots=True, eq=False)
class Grid:
    """What a chip holds of one projection.

    unit : float64[post], of a weight, in float units.  weight_bits : signed.
    age : steps of the delay word 0.  largest : delay word, 0 for a projection without delays.
    resolution : log2 of the steps of a delay word.
    """

    unit: Floats
    weight_bits: int
    age: int
    largest: int
    resolution: int

    def __post_init__(self) -> None:
        if not (self.unit.ndim == 1 and np.all(np.isfinite(self.unit) & (self.unit > 0))):
            raise ValueError("unit must be positive numbers, one per post neuron")
        if self.weight_bits < 2:
            raise ValueError(f"weight_bits must be at least 2, not {self.weight_bits}")
        for name in ("age", "largest", "resolution"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must be at least 0, not {getattr(self, name)}")


@dataclass(frozen=True, slots=True, eq=False)
class Grids:
    """What a chip holds of a network.

    projections : by name.  biases : by population that integrates, float64[size], the unit of
    its biases.  bias_bits : signed.
    """

    projections: Mapping[str, Grid]
    biases: Mapping[str, Floats]
    bias_bits: int


class Rounded:
    """The numbers of a network as a chip holds them, in the order of the network's layout.

    Raises
    ------
    ValueError
        `grids` are not of `network`.
    """

    def __init__(self, network: Network, grids: Grids) -> None:
        self._network = network
        _check(network, grids)
        projections = by_pre(network)
        held = [(p, grids.projections[p.name]) for p in projections]
        sizes = [p.weights.size for p in projections]
        tops = [float((1 << (grid.weight_bits - 1)) - 1) for _, grid in held]
        units = [np.tile(grid.unit, p.weights.shape[1]) for p, grid in held]
        self._unit = np.concatenate([np.zeros(0), *units])
        self._top = np.repeat(tops, sizes)
        counts = [p.delays.size for p in projections]
        self._age = np.repeat([float(grid.age) for _, grid in held], counts)
        self._step = np.repeat([float(1 << grid.resolution) for _, grid in held], counts)
        self._largest = np.repeat([float(_largest(*pair)) for pair in held], counts)
        integrating = (p.name for p in network.populations if p.name != network.input.name)
        self._bias_unit = np.concatenate([grids.biases[name] for name in integrating])
        self._bias_top = float((1 << (grids.bias_bits - 1)) - 1)

    def clamp(self, masters: Parameters) -> None:
        """Keep `masters`, changed in place, within the range of their words."""
        for values, low, high in (
            (masters.weights, -self._unit * (self._top + 1), self._unit * self._top),
            (masters.delays, self._age, self._age + self._step * self._largest),
            (masters.bias, -self._bias_unit * self._bias_top, self._bias_unit * self._bias_top),
        ):
            np.clip(values, low.astype(np.float32), high.astype(np.float32), out=values)

    def numbers(self, masters: Parameters) -> tuple[Floats, Floats, Floats]:
        """Return weights, delays and biases as the chip holds them, float64."""
        weights = np.clip(np.rint(masters.weights / self._unit), -self._top - 1, self._top)
        words = np.clip(np.rint((masters.delays - self._age) / self._step), 0, self._largest)
        bias = np.rint(masters.bias / self._bias_unit)
        bias = np.clip(bias, -self._bias_top - 1, self._bias_top)
        return weights * self._unit, self._age + words * self._step, bias * self._bias_unit

    def applied(self, masters: Parameters) -> Parameters:
        """Return what the forward pass sees of `masters`."""
        return Parameters(*(values.astype(np.float32) for values in self.numbers(masters)))

    def network(self, masters: Parameters) -> Network:
        """Return the network whose numbers are the chip's."""
        return rebuild(self._network, *self.numbers(masters))

    def digest(self) -> str:
        """Return the SHA-256 of the grids, in hexadecimal."""
        sha = hashlib.sha256()
        arrays: tuple[NDArray[np.float64], ...] = (
            self._unit, self._top, self._age, self._step, self._largest, self._bias_unit,
        )  # fmt: skip
        for array in arrays:
            sha.update(np.ascontiguousarray(array, np.float64).data)
        sha.update(repr(self._bias_top).encode())
        return sha.hexdigest()


def _largest(projection: Projection, grid: Grid) -> int:
    """Largest delay word that is within the reach of `projection`, too."""
    return min(grid.largest, (projection.max_delay - grid.age) >> grid.resolution)


def _check(network: Network, grids: Grids) -> None:
    for projection in network.projections:
        grid = grids.projections.get(projection.name)
        if grid is None:
            raise ValueError(f"grids must name {projection.name}")
        if grid.unit.shape != projection.weights.shape[:1]:
            raise ValueError(
                f"{projection.name}: unit must have shape {projection.weights.shape[:1]}, "
                f"not {grid.unit.shape}"
            )
    for population in network.populations:
        if population.name == network.input.name:
            continue
        unit = grids.biases.get(population.name)
        if unit is None or unit.shape != (population.size,) or not np.all(unit > 0):
            raise ValueError(
                f"{population.name}: biases must have {population.size} positive units"
            )
