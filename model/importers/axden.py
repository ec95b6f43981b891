"""Networks with axonal or dendritic delays (https://github.com/YounesBouhadjar/AxDenSynDelaySNN).

State dicts with `snn.{l}.W.weight` [out, in] and `snn.{l}.delay_layer.P`, one position per channel:
before W in the file it delays what comes in (axonal), after W what comes out (dendritic), without
W it is a dense DCLS layer.  `delay_scores` are a mask: the channels of highest score keep their
delay.  Those without one come K - 1 steps late all the same, because the original mixes them from
what it has padded.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from model.importers.chain import Layer, Synapses
from model.importers.reading import Reading
from model.importers.settings import Settings
from model.importers.spikingjelly import alpha, lengthened, normalized, population
from model.importers.taps import Taken, dcls, moved, positions
from model.importers.torch_parts import Floats, Part, peek, read_parts
from model.importers.verdict import Imported, Unsupported, Verdict
from model.network import Delay, Readout

KNOWN = ("W", "delay_layer", "norm", "neuron")
SCORES = "delay_scores"


def recognizes(path: Path) -> bool:
    """Whether `path` looks like such a network."""
    return any(part.name.endswith(".delay_layer") for part in peek(path))


def read(path: Path, settings: Settings) -> Imported:
    """Read `path`.

    Settings: dt_ms, steps, threshold, reset, kernel_size, right_padding; tau_ms and tau_readout_ms
    where time constants are not learned; sparsity where delays are masked; units.
    """
    parts = read_parts(path)
    reading = Reading(settings)

    def build() -> tuple[int, int, list[Layer]]:
        groups = _groups(parts)
        layers = [
            _layer(reading, number, group, number == len(groups))
            for number, group in enumerate(groups, 1)
        ]
        delayed = sum("delay_layer" in group for group in groups)
        inputs = layers[0].into[0].weights.shape[1]
        return inputs, lengthened(reading, delayed, len(groups)), layers

    return reading.finish(build)


def _groups(parts: list[Part]) -> list[dict[str, Part]]:
    """Group parts by layer, each by its place in it; Unsupported if one is not known."""
    groups: dict[str, dict[str, Part]] = {}
    for part in parts:
        layer, _, place = part.name.rpartition(".")
        if place not in KNOWN:
            raise Unsupported(part.name, f"is a {place}, which no network here has")
        groups.setdefault(layer, {})[place] = part
    return list(groups.values())


def _layer(reading: Reading, number: int, group: dict[str, Part], last: bool) -> Layer:
    taken, bias = _weights(reading, group)
    synapses, bias = normalized(reading, group.get("norm"), taken, bias)
    size, own = len(bias), group.get("neuron")
    if not last:
        return Layer(population(reading, f"hidden{number}", size, bias, own), synapses)
    kappa = alpha(reading, "tau_readout_ms", own)
    reading.say("output", Verdict.FAITHFUL, "its membranes are the scores: the largest sum")
    return Layer(Readout("output", size, np.array(kappa), bias), synapses)


def _weights(reading: Reading, group: dict[str, Part]) -> tuple[Taken, Floats]:
    """Return what comes into a layer, and its bias."""
    weights, delays = group.get("W"), group.get("delay_layer")
    if weights is None and delays is None:
        raise Unsupported(next(iter(group.values())).name, "belongs to a layer without weights")
    if delays is None:
        assert weights is not None
        taken = Taken([Synapses(weights.need("weight", 2))], Verdict.FAITHFUL, "weights")
    elif weights is None:
        taken = dcls(delays, reading.settings.whole("kernel_size"))
    else:
        axonal = list(group).index("delay_layer") < list(group).index("W")
        taken = _separable(reading, weights, delays, axonal)
    outs, ins = taken.synapses[0].weights.shape
    bias = np.zeros(outs)
    if weights is not None and "bias" in weights.tensors:
        bias = weights.spread("bias", outs)
    if delays is not None and "bias" in delays.tensors:
        if weights is not None and list(group).index("delay_layer") < list(group).index("W"):
            bias = bias + weights.need("weight", 2) @ delays.spread("bias", ins)
        else:
            bias = bias + delays.spread("bias", outs)
    for part in (weights, delays):
        if part is not None:
            reading.say(part.name, taken.verdict, f"{taken.remark}, shape {(outs, ins)}")
    return taken, bias


def _separable(reading: Reading, weights: Part, delays: Part, axonal: bool) -> Taken:
    """Return weights with a delay per channel on one side."""
    matrix = weights.need("weight", 2)
    size = matrix.shape[1] if axonal else matrix.shape[0]
    kernel = reading.settings.whole("kernel_size")
    steps, scale = positions(delays, kernel), delays.need("weight", 3)
    if steps.shape != scale.shape or steps.shape[:2] != (size, 1):
        raise Unsupported(
            delays.name,
            f"P of shape {steps.shape} and weights of {scale.shape} do not fit {size} channels",
        )
    mode = Delay.AXONAL if axonal else Delay.DENDRITIC
    said = f"{mode} delays of up to {steps.max(initial=0):g} steps{moved(delays)}"
    kept = np.ones(size, bool)
    if SCORES in delays.tensors:
        kept = _mask(reading, delays, size)
        said += f", {np.sum(~kept)} masked ones at {kernel - 1}, as the original pads them"
    made = []
    for tap in range(steps.shape[2]):
        late = np.where(kept, steps[:, 0, tap], kernel - 1)
        factor = np.where(kept, scale[:, 0, tap], float(tap == 0))
        made.append(Synapses(matrix * (factor if axonal else factor[:, None]), mode, late))
    return Taken(made, Verdict.FAITHFUL, said)


def _mask(reading: Reading, delays: Part, size: int) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Return which channels keep their delay: the share of the highest scores."""
    if "bias" in delays.tensors:
        raise Unsupported(delays.name, "masks delays and has a bias; no network here has both")
    scores = delays.spread(SCORES, size)
    sparsity = reading.settings.number("sparsity")
    count = min(max(int((1 - sparsity) * size), 1), size)
    return np.asarray(scores >= np.sort(scores)[-count])
