"""The leak coefficient of every neuron."""

from __future__ import annotations

import numpy as np

from datapath import Current, Leak
from datapath import Lif as LifParameters
from datapath.integers import Integers
from model.network import Floats


def coefficients(name: str, alpha: Floats, block: LifParameters | Current, bits: int) -> Integers:
    """Return the coefficient nearest to every `alpha`.

    name : of the population and what leaks, as `hidden: alpha`, for errors.  bits : of the
    coefficient in use, at most those of `block.coefficient`.

    Raises
    ------
    ValueError
        A state that decays would be cleared every tick, or one that is cleared would stay.
    """
    if block.leak is not Leak.MULTIPLY:
        return _shifts(name, alpha, bits)
    frac = block.coefficient.frac
    coarse = max(0, frac - (bits - 1))
    words = np.rint(alpha * 2.0 ** (frac - coarse)).astype(np.int64) << coarse
    killed = np.flatnonzero((alpha > 0) & (words == 0))
    if killed.size:
        n = killed[0]
        raise ValueError(
            f"{name}[{n}] = {alpha[n]:.6g} becomes 0 with coefficient_bits = {bits}: the "
            "neuron would forget all of its state every tick; give more bits, or set alpha to 0"
        )
    return words


def _shifts(name: str, alpha: Floats, bits: int) -> Integers:
    """Shift k of 1 - 2**-k, 0 being no leak."""
    cleared = np.flatnonzero(alpha == 0)
    if cleared.size:
        raise ValueError(
            f"{name}[{cleared[0]}] = 0 has no shift, a shift keeps at least half of the "
            "membrane: use leak = multiply"
        )
    offered = 1 - 2.0 ** -np.arange(1, 1 << bits)
    offered = np.concatenate([[1.0], offered])
    nearest: Integers = np.abs(alpha[:, None] - offered).argmin(axis=1)
    return nearest


def alphas(coefficient: Integers, block: LifParameters | Current) -> Floats:
    """Return the alpha that every coefficient stands for, rounding apart."""
    if block.leak is not Leak.MULTIPLY:
        kept: Floats = 1 - 2.0 ** -coefficient.astype(np.float64)
        return np.where(coefficient == 0, 1.0, kept)
    product: Floats = coefficient * np.float64(2.0**-block.coefficient.frac)
    return product


def tau_ms(alpha: Floats, dt_ms: float) -> Floats:
    """Return the time constants of `alpha`, in ms: 0 for alpha 0, infinite for alpha 1."""
    with np.errstate(divide="ignore"):
        # A logarithm of zero is minus infinity, not minus zero: both limits come out right.
        tau: Floats = dt_ms / np.abs(np.log(alpha))
    return tau
