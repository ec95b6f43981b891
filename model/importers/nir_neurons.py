"""What a neuron of NIR does in discrete time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from model.importers.hdf5 import Floats
from model.importers.nir_file import Node
from model.importers.settings import Scheme
from model.importers.verdict import Unsupported

SPIKING: Mapping[str, tuple[str, ...]] = {
    "LIF": ("tau", "r", "v_leak", "v_threshold"),
    "CubaLIF": ("tau_syn", "tau_mem", "r", "v_leak", "v_threshold"),
    "IF": ("r", "v_threshold"),
    "Threshold": ("threshold",),
}
READING: Mapping[str, tuple[str, ...]] = {
    "LI": ("tau", "r", "v_leak"),
    "CubaLI": ("tau_syn", "tau_mem", "r", "v_leak"),
    "I": ("r",),
}
NEURONS: Mapping[str, tuple[str, ...]] = {**SPIKING, **READING}
"""Parameters that every neuron must have."""


@dataclass(frozen=True, slots=True, eq=False)
class Dynamics:
    """A neuron per step; float64 arrays of one size, or of size 1.

    gain : what weights into it are multiplied with.  threshold, v_reset : None if there is none,
    v_reset also if the file does not say.
    """

    shape: tuple[int, ...]
    alpha: Floats
    alpha_syn: Floats
    gain: Floats
    bias: Floats
    threshold: Floats | None
    v_reset: Floats | None
    v_leak: Floats


def dynamics(node: Node, dt_ms: float, scheme: Scheme) -> Dynamics:
    """Put `node` into steps of `dt_ms`; NIR counts in seconds."""
    given = {name: _numbers(node, name) for name in NEURONS[node.kind]}
    for name in ("w_in", "v_reset"):
        if name in node.fields:
            given[name] = _numbers(node, name)
    shape = max((value.shape for value in given.values()), key=lambda s: (np.prod(s), len(s)))
    flat = {name: _spread(node, name, value, shape) for name, value in given.items()}
    size = int(np.prod(shape))
    zero, one = np.zeros(size), np.ones(size)
    dt = dt_ms / 1000
    alpha_syn, gain, leak = zero, one, flat.get("v_leak", zero)
    if node.kind == "Threshold":
        alpha, bias = zero, zero
    elif node.kind in ("IF", "I"):
        alpha, gain, bias = one, dt * flat["r"], zero
    else:
        alpha = _decay(node, "tau" if "tau" in flat else "tau_mem", flat, dt, scheme)
        gain, bias = (1 - alpha) * flat["r"], (1 - alpha) * leak
        if "tau_syn" in flat:
            alpha_syn = _decay(node, "tau_syn", flat, dt, scheme)
            gain = (1 - alpha_syn) * flat.get("w_in", one) * gain
    threshold = flat.get("v_threshold", flat.get("threshold"))
    if threshold is not None and (threshold <= 0).any():
        raise Unsupported(node.name, f"its threshold {threshold.min()} must be positive")
    return Dynamics(shape, alpha, alpha_syn, gain, bias, threshold, flat.get("v_reset"), leak)


def _numbers(node: Node, name: str) -> Floats:
    value = node.fields.get(name)
    if value is None or isinstance(value, str):
        raise Unsupported(node.name, f"a {node.kind} needs the numbers {name!r}")
    return value


def _spread(node: Node, name: str, value: Floats, shape: tuple[int, ...]) -> Floats:
    """Return `value` flattened to the size of the neuron."""
    size = int(np.prod(shape))
    if value.size not in (1, size):
        raise Unsupported(
            node.name, f"{name} has shape {value.shape}, and others have shape {shape}"
        )
    return np.broadcast_to(value.reshape(-1), (size,))


def _decay(node: Node, name: str, flat: Mapping[str, Floats], dt: float, scheme: Scheme) -> Floats:
    tau = flat[name]
    if (tau <= 0).any():
        raise Unsupported(node.name, f"{name} must be positive, not {tau.min()}")
    if scheme is Scheme.EXPONENTIAL:
        return np.exp(-dt / tau)
    if (tau < dt * (1 - 1e-9)).any():
        raise Unsupported(
            node.name,
            f"{name} = {tau.min()} s is shorter than a step of {dt} s, which Euler's scheme does "
            "not survive; take a shorter dt_ms or the exponential scheme",
        )
    return np.maximum(1 - dt / tau, 0.0)
