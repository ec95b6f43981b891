"""Layers of SpikingJelly networks with delays: weights, batch norm, neurons, one after the other.

A neuron there is v <- v - v / tau + x, a spike where v >= threshold, and a reset with the spike.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from model.importers.chain import Layer, Synapses, chain
from model.importers.settings import Settings
from model.importers.taps import Taken, dcls, delrec
from model.importers.torch_parts import Floats, Part, batch_norm, is_batch_norm, read_parts
from model.importers.verdict import Finding, Imported, Unsupported, Verdict
from model.network import Compare, Delay, Lif, Readout, Reset


@dataclass(slots=True)
class Block:
    """Weights and what follows them, up to the next weights.

    before, after : batch norms before and after the neurons.  own : the parameters of neurons.
    """

    weights: Part
    before: Part | None = None
    recurrent: Part | None = None
    own: Part | None = None
    after: Part | None = None


@dataclass(slots=True)
class Reading:
    """What is being read: its settings, and what was found."""

    settings: Settings
    findings: list[Finding] = field(default_factory=list)

    def say(self, node: str, verdict: Verdict, reason: str) -> None:
        """Note what became of a part."""
        self.findings.append(Finding(node, verdict, reason))

    def finish(self, build: Callable[[], tuple[int, int, list[Layer]]]) -> Imported:
        """Build the network from what `build` returns: channels, steps, layers."""
        dt_ms, units = self.settings.number("dt_ms"), self.settings.get("units")
        try:
            inputs, steps, layers = build()
            made = chain(dt_ms, steps, inputs, None if units is None else int(units), layers)
        except Unsupported as error:
            self.say(error.node, Verdict.UNSUPPORTED, error.reason)
            made = None
        return Imported(made, tuple(self.findings))

    def alpha(self, name: str, own: Part | None) -> float:
        """Return the decay of neurons whose time constant is the setting `name`, or is learned."""
        if own is not None:
            if set(own.tensors) != {"w"} or own.tensors["w"].size != 1:
                what = ", ".join(sorted(own.tensors))
                raise Unsupported(own.name, f"has {what}, which no LIF neuron has")
            # tau = 1 / sigmoid(w), in steps.
            alpha = 1 - 1 / (1 + np.exp(-float(own.tensors["w"].flat[0])))
            self.say(own.name, Verdict.FAITHFUL, f"a learned decay of {alpha:.4g} per step")
            return float(alpha)
        tau, dt = self.settings.number(name), self.settings.number("dt_ms")
        if name == "tau_readout_ms" and tau == 0:
            return 0.0
        if tau < dt or dt == 0:
            raise ValueError(
                f"{self.settings.source}: {name} = {tau:g} must be at least dt_ms = {dt:g}, one "
                "step, after which nothing is left"
            )
        return 1 - dt / tau

    def population(self, name: str, size: int, bias: Floats, own: Part | None) -> Lif:
        """Return neurons that fire."""
        return Lif(
            name,
            size,
            np.array(self.alpha("tau_ms", own)),
            np.array(self.settings.number("threshold")),
            bias,
            self.settings.choice("reset", Reset),
            Compare.GE,
        )

    def normalized(
        self, norm: Part | None, taken: Taken, bias: Floats
    ) -> tuple[list[Synapses], Floats]:
        """Fold a batch norm between weights and neurons into both."""
        if norm is None:
            return taken.synapses, bias
        scale, shift = batch_norm(norm, len(bias))
        self.say(norm.name, Verdict.FAITHFUL, "folded into weights and a bias per step")
        folded = [replace(one, weights=scale[:, None] * one.weights) for one in taken.synapses]
        return folded, scale * bias + shift


def read_blocks(path: Path, settings: Settings) -> Imported:
    """Read `path`, whose layers are `Linear` or DCLS, and recurrent as in DelRec or not.

    Settings: dt_ms, steps, threshold, reset; tau_ms and tau_readout_ms where time constants are not
    learned; kernel_size and right_padding for DCLS; sigma and fraction for DelRec; units.
    """
    parts = read_parts(path)
    reading = Reading(settings)

    def build() -> tuple[int, int, list[Layer]]:
        blocks = _blocks(parts)
        layers = _layers(reading, blocks)
        inputs = layers[0].into[0].weights.shape[1]
        delayed = sum("P" in block.weights.tensors for block in blocks)
        return inputs, lengthened(reading, delayed, len(blocks)), layers

    return reading.finish(build)


def _blocks(parts: list[Part]) -> list[Block]:
    """Group parts; Unsupported if one is not known."""
    blocks: list[Block] = []
    for part in parts:
        if "weight" in part.tensors and not is_batch_norm(part):
            blocks.append(Block(part))
            continue
        if not blocks:
            raise Unsupported(part.name, "comes before all weights, where no network has anything")
        block = blocks[-1]
        if is_batch_norm(part):
            neurons = block.recurrent is not None or _number(part) - _number(block.weights) > 1
            slot = "after" if neurons else "before"
        elif "recurrent_weights" in part.tensors:
            slot = "recurrent"
        else:
            slot = "own"
        if getattr(block, slot) is not None:
            raise Unsupported(part.name, f"is a second one of its kind behind {block.weights.name}")
        setattr(block, slot, part)
    return blocks


def _number(part: Part) -> int:
    """Place of a part among all modules; those without tensors count, too."""
    last = part.name.rpartition(".")[2]
    if not last.isdecimal() or len(last) > 6:
        raise Unsupported(part.name, "is not numbered, so nobody knows what comes before it")
    return int(last)


def _layers(reading: Reading, blocks: list[Block]) -> list[Layer]:
    layers: list[Layer] = []
    events: Part | None = None
    for number, block in enumerate(blocks, 1):
        taken, bias = _weights(reading, block.weights, events)
        synapses, bias = reading.normalized(block.before, taken, bias)
        size = len(bias)
        if number == len(blocks):
            alpha = reading.alpha("tau_readout_ms", block.own)
            said = "its membranes are the scores: the class is the largest sum over time"
            reading.say("output", Verdict.FAITHFUL, said)
            if block.recurrent is not None or block.after is not None:
                raise Unsupported(block.weights.name, "comes last, and something follows it")
            layers.append(Layer(Readout("output", size, np.array(alpha), bias), synapses))
            break
        recurrent: list[Synapses] = []
        if block.recurrent is not None:
            own = delrec(block.recurrent, reading.settings)
            recurrent, bias = own.synapses, _rest(reading, block.recurrent, own, bias)
        population = reading.population(f"hidden{number}", size, bias, block.own)
        layers.append(Layer(population, synapses, recurrent))
        events = block.after
    return layers


def _rest(reading: Reading, part: Part, own: Taken, bias: Floats) -> Floats:
    """Return `bias` with that of a recurrent part, which is noted."""
    verdict, remark = own.verdict, own.remark
    if "recurrent_bias" in part.tensors:
        bias = bias + part.spread("recurrent_bias", len(bias))
        # Of this field only its name is known.
        verdict, remark = Verdict.APPROXIMATE, f"{remark}; recurrent_bias is added in every step"
    reading.say(part.name, verdict, remark)
    return bias


def _weights(reading: Reading, part: Part, events: Part | None) -> tuple[Taken, Floats]:
    """Return what comes into a layer, and its bias; events : a batch norm of what comes in."""
    if "P" in part.tensors:
        taken = dcls(part, reading.settings.whole("kernel_size"))
    else:
        taken = Taken([Synapses(part.need("weight", 2))], Verdict.FAITHFUL, "weights")
    outs, ins = taken.synapses[0].weights.shape
    bias = part.spread("bias", outs) if "bias" in part.tensors else np.zeros(outs)
    verdict, remark = taken.verdict, taken.remark
    if events is not None:
        scale, shift = batch_norm(events, ins)
        for one in taken.synapses:
            bias = bias + one.weights @ shift
        reading.say(events.name, Verdict.FAITHFUL, f"folded into weights and biases of {part.name}")
        made = [replace(one, weights=one.weights * scale) for one in taken.synapses]
        taken = replace(taken, synapses=made)
        if any(one.delay is not Delay.NONE for one in made):
            verdict = Verdict.APPROXIMATE
            remark += ", a constant that comes through them is not delayed"
    reading.say(part.name, verdict, f"{remark}, shape {(outs, ins)}")
    return taken, bias


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
