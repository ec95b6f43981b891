"""What a spike of snnTorch resets, and what its neurons tell themselves."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from model.importers.chain import Synapses
from model.importers.late_reset import late_reset
from model.importers.lowering import identity
from model.importers.settings import LateReset, Settings
from model.importers.torch_parts import Floats, Part
from model.importers.verdict import Unsupported, Verdict
from model.network import Delay, Reset

KINDS = ("Leaky", "RLeaky", "Synaptic", "RSynaptic")
RESETS = (Reset.SUBTRACT, Reset.ZERO, None)
"""By `reset_mechanism_val`; None never resets."""


@dataclass(frozen=True, slots=True, eq=False)
class Neurons:
    """A population of snnTorch.

    alpha, current, threshold, bias : float64[size]; the bias is that of the recurrent layer.
    tells : float64[size, size], weights onto itself, None for none.  events : what a spike counts.
    """

    part: Part
    kind: str
    alpha: Floats
    current: Floats
    threshold: Floats
    tells: Floats | None
    bias: Floats
    events: float
    reset: Reset | None

    @property
    def size(self) -> int:
        """Neurons."""
        return len(self.alpha)


@dataclass(frozen=True, slots=True, eq=False)
class Met:
    """How well a reset is met: the reset here, what is to be said, and the recurrent synapses."""

    reset: Reset
    verdict: Verdict
    remark: str
    recurrent: list[Synapses]


def is_neuron(part: Part) -> bool:
    """Whether `part` is a population of snnTorch."""
    return "threshold" in part.tensors and "beta" in part.tensors


def neurons(part: Part, recurrent: Part | None, size: int, settings: Settings) -> Neurons:
    """Read a population of `size`; recurrent : the part that holds its weights onto itself."""
    kind = part.kind.rpartition(".")[2]
    if kind and kind not in KINDS:
        raise Unsupported(part.name, f"is a {part.kind}; {', '.join(KINDS)} can be imported")
    for option in ("inhibition", "state_quant"):
        if part.attributes.get(option) not in (None, False):
            raise Unsupported(part.name, f"uses {option}, which no network here has")
    events = np.ones(1)
    if "graded_spikes_factor" in part.tensors:
        events = part.spread("graded_spikes_factor", 1)
    bias = np.zeros(size)
    if recurrent is not None and "bias" in recurrent.tensors:
        bias = recurrent.spread("bias", size)
    tells = _recurrence(part, recurrent, size)
    return Neurons(
        part,
        kind or "neurons",
        # As snnTorch does in every step.
        alpha=part.spread("beta", size).clip(0, 1),
        current=part.spread("alpha", size).clip(0, 1) if "alpha" in part.tensors else 0 * bias,
        threshold=part.spread("threshold", size),
        tells=None if tells is None else events[0] * tells,
        bias=bias,
        events=float(events[0]),
        reset=_mechanism(part, settings),
    )


def _recurrence(part: Part, recurrent: Part | None, size: int) -> Floats | None:
    if recurrent is None and "V" not in part.tensors:
        return None
    if recurrent is None or "V" in recurrent.tensors:
        return identity(part.name, size) * (recurrent or part).spread("V", size)
    made = recurrent.need("weight", 2)
    if made.shape != (size, size):
        raise Unsupported(recurrent.name, f"has shape {made.shape} for {size} neurons")
    return made


def _mechanism(part: Part, settings: Settings) -> Reset | None:
    value = part.tensors.get("reset_mechanism_val")
    if value is None:
        return settings.choice("reset", Reset)
    if value.size != 1 or value.flat[0] not in (0, 1, 2):
        raise Unsupported(part.name, "reset_mechanism_val must be 0, 1 or 2")
    return RESETS[int(value.flat[0])]


def met(its: Neurons, settings: Settings) -> Met:
    """Return what a spike of `its` resets here."""
    if its.reset is None:
        raise Unsupported(its.part.name, "never resets; only the last neurons may, as the score")
    recurrent = [] if its.tells is None else [Synapses(its.tells, Delay.NONE, 1.0)]
    if not its.part.attributes.get("reset_delay", True):
        return Met(its.reset, Verdict.FAITHFUL, f"reset by {its.reset} with the spike", recurrent)
    make = _zero if its.reset is Reset.ZERO else _subtract
    return make(its, settings, recurrent)


def _zero(its: Neurons, settings: Settings, recurrent: list[Synapses]) -> Met:
    if its.tells is None and not its.current.any():
        return Met(Reset.ZERO, Verdict.FAITHFUL, "reset to zero", recurrent)
    if settings.get("reset") != Reset.ZERO:
        raise Unsupported(
            its.part.name,
            "loses what arrives in the step after a spike, which no network here does; "
            "--set reset=zero accepts that it is kept",
        )
    remark = "reset to zero; what arrives in the step after a spike is kept, not lost"
    return Met(Reset.ZERO, Verdict.APPROXIMATE, remark, recurrent)


def _subtract(its: Neurons, settings: Settings, recurrent: list[Synapses]) -> Met:
    if settings.choice("late_reset", LateReset) is LateReset.EXACT:
        own = late_reset(its.part.name, its.threshold, its.alpha, its.current)
        if its.tells is not None:
            own[0] = replace(own[0], weights=its.tells + own[0].weights)
        remark = "reset by subtraction one step late, by synapses of each neuron on itself"
        return Met(Reset.SUBTRACT, Verdict.FAITHFUL, remark, own)
    excess = its.threshold * (1 - its.alpha)
    remark = (
        "reset by subtraction with the spike, not after the next leak: every spike takes off up to "
        f"{excess.max():.3g} less"
    )
    return Met(Reset.SUBTRACT, Verdict.APPROXIMATE, remark, recurrent)
