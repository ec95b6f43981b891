"""Networks of DelGrad (https://github.com/JulianGoeltz/fastAndDeep): exact times of first spikes.

Whole pickled modules `networks.Net`, whose `layers` delay spikes (`DelayLayer`), spread them
(`BroadcastLayer`), or integrate them (`NeuronLayer`, `weights` [in, out]):

    tau_syn I' = -I + sum(w spikes);  V' = -V / tau_mem + I;  a spike where V > threshold

Here that is a neuron with a current in steps of dt, exact between events; with a = exp(-dt /
tau_mem), b = exp(-dt / tau_syn), weights are multiplied by

    g = (a - b) tau_mem tau_syn / (tau_mem - tau_syn),  or dt a where both are equal

In the original every neuron fires once; here it may fire again.  The readout adds up all
steps since a spike, so that the first to fire wins.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from model.continuous import gain
from model.importers.chain import Layer, Synapses
from model.importers.lowering import identity
from model.importers.reading import Reading
from model.importers.settings import Settings
from model.importers.torch_parts import LARGEST, Floats, Part, logistic, peek, read_parts
from model.importers.verdict import Imported, Unsupported, Verdict
from model.network import Compare, Delay, Lif, Readout, Reset

NOISE = ("jitter", "threshold_noise_s2s_std", "threshold_noise_b2b_std", "threshold_noise_fp_std")


def recognizes(path: Path) -> bool:
    """Whether `path` looks like a network of DelGrad."""
    return any(_kind(part) == "NeuronLayer" and "weights" in part.tensors for part in peek(path))


def read(path: Path, settings: Settings) -> Imported:
    """Read `path`.

    Settings: dt_ms, steps; tau_syn_ms, how long the synaptic time constant of the file, its
    unit of time, shall last; units.
    """
    parts = read_parts(path)
    reading = Reading(settings)
    steps = settings.whole("steps")

    def build() -> tuple[int, int, list[Layer]]:
        builder = _Builder(reading)
        layers = builder.layers([part for part in parts if _kind(part) != "Net"])
        return builder.inputs, steps, layers

    return reading.finish(build)


def _kind(part: Part) -> str:
    return part.kind.rpartition(".")[2]


class _Builder:
    """Turns parts into layers."""

    def __init__(self, reading: Reading) -> None:
        self.reading, self.settings = reading, reading.settings
        self.inputs = 0
        # Of what comes next: delays in the unit of the file, with their part; and the part that has
        # the times of events which every recording needs.
        self.delay: Floats | None = None
        self.delays: Part | None = None
        self.bias: Part | None = None

    def layers(self, parts: list[Part]) -> list[Layer]:
        """Return the layers; Unsupported if a part is."""
        layers: list[Layer] = []
        for part in parts:
            kind = _kind(part)
            if kind == "NeuronLayer":
                layers.append(self._neurons(part, len(layers) + 1))
            elif kind == "DelayLayer":
                self._delay(part)
            elif kind == "BiasesLayer":
                self._bias(part, bool(layers))
            elif kind == "BroadcastLayer":
                self.reading.say(part.name, Verdict.FAITHFUL, "every spike goes to every neuron")
            else:
                raise Unsupported(part.name, f"is a {part.kind}, which no network here has")
        if not layers or self.delay is not None:
            raise Unsupported("layers", "must end with a NeuronLayer")
        size = layers[-1].population.size
        said = "a readout that adds up all steps since a spike: the first to fire wins"
        self.reading.say("output", Verdict.APPROXIMATE, f"{said}, unless others fire more often")
        first = Readout("output", size, np.ones(size), np.zeros(size))
        return [*layers, Layer(first, [Synapses(identity("output", size))])]

    def _delay(self, part: Part) -> None:
        if self.delay is not None:
            raise Unsupported(part.name, "follows another delay; one before each NeuronLayer")
        value = part.need("_delay_parameters", 2)
        scale, shift = (part.attributes.get(f"sigmoid_{name}") for name in ("scale", "shift"))
        if scale is not None or shift is not None:
            value = _number(part, shift) + _number(part, scale) * logistic(value)
        repeats = [part.attributes.get(f"{side}syn_sharing_factor", 1) for side in ("pre", "post")]
        if not all(type(n) is int and 1 <= n <= 4096 for n in repeats):
            raise Unsupported(part.name, "its sharing factors must be whole numbers up to 4096")
        self.delay, self.delays = np.tile(value, repeats), part
        if (self.delay < 0).any():
            raise Unsupported(part.name, f"has a delay of {self.delay.min():.3g}")

    def _bias(self, part: Part, late: bool) -> None:
        if late or self.bias is not None:
            raise Unsupported(part.name, "can only be the first layer")
        part.need("_times", 1)
        self.bias = part

    def _neurons(self, part: Part, number: int) -> Layer:
        """Return a population, and what comes into it."""
        weights = part.need("weights", 2).T
        outs, ins = weights.shape
        self.inputs = self.inputs or ins
        given = part.attributes.get("neuron_params")
        if not isinstance(given, dict):
            raise Unsupported(part.name, "has no neuron_params")
        tau_mem, tau_syn, threshold = (
            _number(part, given.get(name)) for name in ("tau_mem", "tau_syn", "threshold")
        )
        if (
            min(tau_mem, tau_syn, threshold) < 1 / LARGEST
            or _number(part, given.get("leak", 0.0)) != 0
        ):
            raise Unsupported(
                part.name, "needs positive tau_mem, tau_syn, threshold, and a leak of 0"
            )
        # One step in the unit of the file.
        unit = self.settings.number("tau_syn_ms")
        if unit <= 0:
            raise ValueError(f"{self.settings.source}: tau_syn_ms must be positive, not {unit:g}")
        dt = self.settings.number("dt_ms") * tau_syn / unit
        a, b = np.exp(-dt / tau_mem), np.exp(-dt / tau_syn)
        if number == 1 and self.bias is not None:
            self._say_biases(self.bias, dt, ins)
        population = Lif(
            f"hidden{number}", outs, a, np.array(threshold), np.zeros(outs), Reset.ZERO,
            Compare.GT, b,
        )  # fmt: skip
        noisy = [name for name in NOISE if given.get(name, 0)]
        said = f"{outs} neurons, which may fire again after their first spike"
        said += f"; without the noise of {', '.join(noisy)}" if noisy else ""
        self.reading.say(part.name, Verdict.APPROXIMATE, said)
        return Layer(population, [self._synapses(gain(dt, tau_mem, tau_syn) * weights, dt)])

    def _say_biases(self, part: Part, dt: float, ins: int) -> None:
        times = part.tensors["_times"]
        steps = (f"{n} in step {t / dt:.4g}" for n, t in enumerate(times, ins - len(times)))
        said = f"needs one event in every recording: channel {', '.join(steps)}"
        self.reading.say(part.name, Verdict.APPROXIMATE, said)

    def _synapses(self, weights: Floats, dt: float) -> Synapses:
        """Return `weights` with the delays before them, rounded to steps."""
        if self.delay is None or self.delays is None:
            return Synapses(weights)
        outs, ins = weights.shape
        steps, part = self.delay.T / dt, self.delays
        self.delay = self.delays = None
        modes = {(1, ins): Delay.AXONAL, (outs, 1): Delay.DENDRITIC, (outs, ins): Delay.SYNAPTIC}
        mode = modes.get(steps.shape)
        if mode is None:
            raise Unsupported(
                part.name, f"has delays of shape {steps.T.shape} for {ins} x {outs} synapses"
            )
        off = float(np.abs(steps - np.rint(steps)).max())
        said = f"{mode} delays of up to {steps.max():.4g} steps, rounded by up to {off:.3g}"
        verdict = Verdict.APPROXIMATE if off > 0 else Verdict.FAITHFUL
        self.reading.say(part.name, verdict, said)
        shaped = steps if mode is Delay.SYNAPTIC else steps.reshape(-1)
        return Synapses(weights, mode, shaped)


def _number(part: Part, value: Any) -> float:
    if isinstance(value, np.ndarray) and value.size == 1:
        value = value.flat[0]
    if not isinstance(value, int | float) or not abs(value) <= LARGEST:
        raise Unsupported(part.name, "has a parameter that is no number")
    return float(value)
