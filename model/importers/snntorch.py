"""Networks of snnTorch, as state dicts or whole modules.

    Leaky, RLeaky         mem = beta mem + x (+ V spk) - reset
    Synaptic, RSynaptic   syn = alpha syn + x (+ V spk);  mem = beta mem + syn - reset

spk is mem > threshold, and what it resets comes one step later, after the leak:
    subtract   threshold is taken off in the next step.  Here it is taken off at once and leaks
               with the membrane, which leaves threshold (1 - beta) too much; synapses of each
               neuron on itself make up for it (`late_reset`).
    zero       Leaky forgets its membrane before the next leak, as here.  The others also lose
               what arrives in the next step, which no network here does.
Layers follow each other as the file lists them, which is the order in which they were made.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from model.importers.chain import Layer, Synapses, counted
from model.importers.lowering import identity
from model.importers.reading import Reading
from model.importers.settings import Score, Settings
from model.importers.snntorch_neurons import Neurons, is_neuron, met, neurons
from model.importers.torch_parts import Floats, Part, batch_norm, is_batch_norm, peek, read_parts
from model.importers.verdict import Imported, Unsupported, Verdict
from model.network import Compare, Lif, Readout

IDLE = ("Flatten", "Dropout", "Identity", "Sequential", "ModuleList")


def recognizes(path: Path) -> bool:
    """Whether `path` looks like a network of snnTorch."""
    return any(is_neuron(part) for part in peek(path))


def read(path: Path, settings: Settings) -> Imported:
    """Read `path`.

    Settings: dt_ms, steps, score; late_reset for neurons that subtract; reset where the file does
    not say it, or to accept one that is not quite the same; units.
    """
    reading = Reading(settings)
    builder = _Builder(read_parts(path), reading)
    steps = settings.whole("steps")

    def build() -> tuple[int, int, list[Layer]]:
        layers = builder.layers()
        return builder.inputs, steps, layers

    return reading.finish(build)


class _Builder:
    """Turns parts into layers, and notes what became of them."""

    def __init__(self, parts: list[Part], reading: Reading) -> None:
        self.settings, self.say = reading.settings, reading.say
        self.recurrent = {p.name: p for p in parts if p.name.rpartition(".")[2] == "recurrent"}
        self.parts = [p for p in parts if p.name not in self.recurrent]
        self.inputs = 0
        # What comes into the next neurons, and what one event counts there.
        self.weights: Floats | None = None
        self.bias: Floats = np.zeros(0)
        self.events = 1.0

    def layers(self) -> list[Layer]:
        """Return the layers; Unsupported if a part is."""
        last = [part.name for part in self.parts if is_neuron(part)][-1:]
        layers = [layer for part in self.parts for layer in self._layer(part, part.name in last)]
        if self.weights is not None:
            size = len(self.weights)
            self.say("output", Verdict.FAITHFUL, "a readout without memory: the largest sum")
            end = Readout("output", size, np.zeros(size), self.bias)
            return [*layers, Layer(end, [Synapses(self.weights)])]
        if layers and isinstance(layers[-1].population, Lif):
            self.say("output", Verdict.FAITHFUL, "a readout is added: the largest number of spikes")
            size = layers[-1].population.size
            return [*layers, counted(Synapses(self.events * identity("output", size)))]
        return layers

    def _layer(self, part: Part, last: bool) -> Iterator[Layer]:
        """Take in the next part; yield a layer where it ends one."""
        kind = part.kind.rpartition(".")[2]
        if is_neuron(part):
            yield self._population(part, last)
        elif is_batch_norm(part):
            self._normalize(part)
        elif part.tensors:
            self._multiply(part)
        elif kind in IDLE:
            self.say(part.name, Verdict.FAITHFUL, f"a {kind} does nothing to a trained network")
        else:
            raise Unsupported(part.name, f"is a {part.kind}, which no network here has")

    def _multiply(self, part: Part) -> None:
        """Let a linear layer follow what is there."""
        unknown = sorted(set(part.tensors) - {"weight", "bias"})
        if unknown or part.kind not in ("", "torch.nn.modules.linear.Linear"):
            what = part.kind or f"a part with {', '.join(unknown)}"
            raise Unsupported(part.name, f"is {what}, which no network here has")
        weights = part.need("weight", 2)
        outs, ins = weights.shape
        bias = part.spread("bias", outs) if "bias" in part.tensors else np.zeros(outs)
        if self.weights is None:
            self.inputs = self.inputs or ins
            self.weights, self.bias = self.events * weights, bias
        elif ins == len(self.weights):
            self.weights, self.bias = weights @ self.weights, weights @ self.bias + bias
        else:
            raise Unsupported(part.name, f"takes {ins} channels and is given {len(self.weights)}")
        self.say(part.name, Verdict.FAITHFUL, f"weights of shape {weights.shape}")

    def _normalize(self, part: Part) -> None:
        if self.weights is None:
            raise Unsupported(part.name, "normalizes events; put it behind a linear layer")
        scale, shift = batch_norm(part, len(self.weights))
        self.weights, self.bias = scale[:, None] * self.weights, scale * self.bias + shift
        self.say(part.name, Verdict.FAITHFUL, "folded into weights and a bias per step")

    def _population(self, part: Part, last: bool) -> Layer:
        """Return the population of `part`, with what comes into it."""
        if self.weights is None:
            raise Unsupported(part.name, "has no linear layer before it")
        weights = self.weights
        recurrent = self.recurrent.get(f"{part.name}.recurrent")
        its = neurons(part, recurrent, len(weights), self.settings)
        if recurrent is not None:
            self.say(recurrent.name, Verdict.FAITHFUL, "a projection that takes one step")
        bias, verdict, remark = self.bias + its.bias, Verdict.FAITHFUL, ""
        if bias.any() and its.current.any():
            bias = bias / np.maximum(1 - its.current, 1e-12)
            verdict = Verdict.APPROXIMATE
            remark = "; its bias, which fills the current, acts in full from the first step on"
        self.weights, self.events = None, its.events
        if last and self.settings.choice("score", Score) is Score.MEMBRANES:
            self.say(part.name, verdict, f"its membranes are the scores{remark}")
            return Layer(self._readout(its, bias), [Synapses(weights)])
        reset = met(its, self.settings)
        verdict = max(verdict, reset.verdict, key=list(Verdict).index)
        self.say(part.name, verdict, f"{its.kind} of {its.size}; {reset.remark}{remark}")
        # The name that snnTorch itself gives it in a NIR file.
        name = part.name if its.tells is None else f"{part.name}.lif"
        population = Lif(
            name, its.size, its.alpha, its.threshold, bias, reset.reset, Compare.GT, its.current
        )
        return Layer(population, [Synapses(weights)], reset.recurrent)

    def _readout(self, its: Neurons, bias: Floats) -> Readout:
        if its.reset is not None or its.tells is not None:
            raise Unsupported(
                its.part.name,
                "its membranes can be the score only without reset and recurrence; choose "
                "--set score=spikes",
            )
        return Readout(its.part.name, its.size, its.alpha, bias, its.current)
