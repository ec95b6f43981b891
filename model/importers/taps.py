"""Delays as kernels over time: DCLS convolutions and DelRec's recurrent kernels.

DCLS     a kernel of K taps per synapse, one of which is 1 at evaluation: that at P + K//2, rounded.
         The convolution is a correlation after K - 1 zeros, so tap k acts after K - 1 - k steps:
         n = K - 1 - K//2 - round(P); a larger P is a shorter delay.
DelRec   at tap t >= 1: max(0, s - |t - (1 + d)|) / s**2, s = 1 + sigma, or 1 + 2 sigma
         sigmoid(p_spread) per source.  At sigma 0 and a whole d one tap is 1, that at 1 + d.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model.importers.chain import Synapses
from model.importers.settings import Fraction, Settings
from model.importers.torch_parts import Floats, Part, logistic
from model.importers.verdict import Unsupported, Verdict
from model.network import Delay

MOST_TAPS = 8
"""Synapses that one split synapse becomes."""
LONGEST = 4096
"""Of recurrent delays, in steps."""


@dataclass(frozen=True, slots=True, eq=False)
class Taken:
    """Synapses, how well they do what the file does, and what is to be said."""

    synapses: list[Synapses]
    verdict: Verdict
    remark: str


def positions(part: Part, size: int) -> Floats:
    """Return the delays of the DCLS positions `P` in a kernel of `size` taps, in steps.

    Returns
    -------
    float64 of the shape of P without its first axis.
    """
    if part.need("P", 4).shape[0] != 1:
        raise Unsupported(part.name, f"P must have one position per tap, {part.tensors['P'].shape}")
    position = np.rint(part.tensors["P"][0])
    steps: Floats = size - 1 - size // 2 - position
    largest = np.abs(position).max(initial=0)
    if steps.min(initial=0) < 0 or steps.max(initial=0) >= size:
        raise Unsupported(
            part.name,
            f"has positions of up to {largest:g}, outside a kernel of kernel_size = {size} taps, "
            f"which needs {2 * largest + 1:g}",
        )
    return steps


def moved(part: Part) -> str:
    """Say how far positions are rounded, as the evaluation of the original does."""
    position = part.tensors["P"]
    off = float(np.abs(position - np.rint(position)).max(initial=0))
    return f", positions rounded by up to {off:.3g} as its own evaluation does" if off else ""


def dcls(part: Part, size: int) -> Taken:
    """Return a dense DCLS layer: `weight` [out, in, taps], `P` [1, out, in, taps]."""
    weight, steps = part.need("weight", 3), positions(part, size)
    if steps.shape != weight.shape:
        raise Unsupported(part.name, f"P has shape {steps.shape} for weights of {weight.shape}")
    made = [
        Synapses(weight[..., tap], Delay.SYNAPTIC, steps[..., tap])
        for tap in range(weight.shape[2])
    ]
    longest = steps.max(initial=0)
    said = f"synaptic delays of up to {longest:g} steps{moved(part)}"
    return Taken(made, Verdict.FAITHFUL, said)


def delrec(part: Part, settings: Settings) -> Taken:
    """Return the recurrent synapses of DelRec: `recurrent_weights` [post, pre], `recurrent_delays`.

    Settings: sigma; fraction, where a delay is not whole or sigma is not 0.
    """
    weights = part.need("recurrent_weights", 2)
    size = len(weights)
    delays = part.need("recurrent_delays", 1, 2)
    if weights.shape != (size, size) or delays.shape not in ((size,), (size, size)):
        raise Unsupported(
            part.name,
            f"recurrent_delays of shape {delays.shape} do not fit weights of {weights.shape}",
        )
    if not size or delays.min() < 0 or delays.max() > LONGEST:
        what = f"from {delays.min(initial=0):g} to {delays.max(initial=0):g}"
        raise Unsupported(part.name, f"recurrent_delays are {what}, not from 0 to {LONGEST} steps")
    mode = Delay.AXONAL if delays.ndim == 1 else Delay.SYNAPTIC
    sigma = settings.number("sigma")
    spread = np.full(size, 1 + sigma)
    if "p_spread" in part.tensors:
        spread = 1 + 2 * sigma * logistic(part.spread("p_spread", size))
    said = f"{mode} recurrent delays of up to {1 + delays.max():g} steps"
    if sigma == 0 and (delays == np.rint(delays)).all():
        return Taken([Synapses(weights, mode, 1 + delays)], Verdict.FAITHFUL, said)
    kernel = _Kernel(1 + delays, spread)
    if kernel.taps > LONGEST:
        raise Unsupported(part.name, f"spreads an event over {kernel.taps} steps; is sigma right?")
    said += f", each over up to {kernel.taps} steps"
    if settings.choice("fraction", Fraction) is Fraction.SPLIT:
        return _split(part, weights, mode, kernel, said)
    off = float(np.abs(delays - np.rint(delays)).max())
    made = Synapses(weights * kernel.mass(), mode, 1 + np.rint(delays))
    said += f", taken together at one, rounded by up to {off:.3g}"
    return Taken([made], Verdict.APPROXIMATE, said)


def _split(part: Part, weights: Floats, mode: Delay, kernel: _Kernel, said: str) -> Taken:
    if kernel.taps > MOST_TAPS:
        raise Unsupported(
            part.name,
            f"spreads an event over {kernel.taps} steps, and {MOST_TAPS} projections may take the "
            "place of one; choose --set fraction=round",
        )
    made = [
        Synapses(weights * kernel.at(tap), mode, kernel.first + tap) for tap in range(kernel.taps)
    ]
    used = [one for one in made if one.weights.any()] or made[:1]
    return Taken(used, Verdict.FAITHFUL, f"{said}, in {len(used)} projections")


class _Kernel:
    """DelRec's kernel.

    centre : float64[pre] or [post, pre], in steps.  spread : float64[pre], half its width.
    """

    def __init__(self, centre: Floats, spread: Floats) -> None:
        self.centre, self.spread = centre, np.broadcast_to(spread, centre.shape)
        self.first: NDArray[np.float64] = np.maximum(np.floor(centre - spread) + 1, 1)
        last = np.ceil(centre + spread) - 1
        self.taps = int((last - self.first).max(initial=0)) + 1

    def at(self, tap: int) -> Floats:
        """Value of tap `first` + `tap`."""
        off = np.abs(self.first + tap - self.centre)
        value: Floats = np.maximum(self.spread - off, 0) / self.spread**2
        return value

    def mass(self) -> Floats:
        """Sum over all taps."""
        total: Floats = np.sum([self.at(tap) for tap in range(self.taps)], axis=0)
        return total
