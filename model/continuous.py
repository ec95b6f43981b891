"""Neurons in continuous time, as the steps of `model.Lif` sample them."""

from __future__ import annotations

import math


def gain(dt: float, tau_mem: float, tau_syn: float) -> float:
    """Return the weight in steps of `dt` that does what a weight of 1 does in continuous time.

    There an event raises I by its weight, I' = -I / tau_syn and V' = -V / tau_mem + I; all times
    are in one unit.
    """
    a, b = math.exp(-dt / tau_mem), math.exp(-dt / tau_syn)
    return dt * a if tau_mem == tau_syn else (a - b) * tau_mem * tau_syn / (tau_mem - tau_syn)
