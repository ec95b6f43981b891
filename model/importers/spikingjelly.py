"""Neurons of SpikingJelly, as networks with delays use them.

v <- v - v / tau + x, a spike where v >= threshold, and a reset with the spike; a batch norm between
weights and neurons.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from model.importers.chain import Synapses
from model.importers.reading import Reading
from model.importers.taps import Taken
from model.importers.torch_parts import Floats, Part, batch_norm, logistic
from model.importers.verdict import Unsupported, Verdict
from model.network import Compare, Lif, Reset


def alpha(reading: Reading, name: str, own: Part | None) -> float:
    """Return the decay of neurons whose time constant is the setting `name`, or is learned."""
    if own is not None:
        if set(own.tensors) != {"w"} or own.tensors["w"].size != 1:
            what = ", ".join(sorted(own.tensors))
            raise Unsupported(own.name, f"has {what}, which no LIF neuron has")
        # tau = 1 / sigmoid(w), in steps.
        learned = float(1 - logistic(own.need("w", 0, 1)).reshape(-1)[0])
        reading.say(own.name, Verdict.FAITHFUL, f"a learned decay of {learned:.4g} per step")
        return learned
    tau, dt = reading.settings.number(name), reading.settings.number("dt_ms")
    if name == "tau_readout_ms" and tau == 0:
        return 0.0
    if tau < dt:
        raise ValueError(
            f"{reading.settings.source}: {name} = {tau:g} must be at least dt_ms = {dt:g}, one "
            "step, after which nothing is left"
        )
    return 1 - dt / tau


def population(reading: Reading, name: str, size: int, bias: Floats, own: Part | None) -> Lif:
    """Return neurons that fire."""
    return Lif(
        name,
        size,
        np.array(alpha(reading, "tau_ms", own)),
        np.array(reading.settings.number("threshold")),
        bias,
        reading.settings.choice("reset", Reset),
        Compare.GE,
    )


def normalized(
    reading: Reading, norm: Part | None, taken: Taken, bias: Floats
) -> tuple[list[Synapses], Floats]:
    """Fold a batch norm between weights and neurons into both."""
    if norm is None:
        return taken.synapses, bias
    scale, shift = batch_norm(norm, len(bias))
    reading.say(norm.name, Verdict.FAITHFUL, "folded into weights and a bias per step")
    folded = [replace(one, weights=scale[:, None] * one.weights) for one in taken.synapses]
    return folded, scale * bias + shift


def lengthened(reading: Reading, delayed: int, layers: int) -> int:
    """Return the steps of a recording, which DCLS layers lengthen."""
    steps = reading.settings.whole("steps")
    if not delayed:
        return steps
    padding = reading.settings.whole("right_padding")
    if padding == 0:
        return steps
    said = f"{padding} steps of silence for each of {delayed} layers follow {steps} steps"
    if layers == 1:
        reading.say("steps", Verdict.FAITHFUL, said)
    else:
        said += (
            "; the original cuts what a layer fires after its own end, so its last "
            f"{padding} steps may differ from the second layer on"
        )
        reading.say("steps", Verdict.APPROXIMATE, said)
    return steps + padding * delayed
