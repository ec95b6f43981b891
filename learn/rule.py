"""The three-factor rule's choices, and the taps by which it looks around an arrival.

Derived from e-prop; `learn.three_factor` has the equations.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray


class Eligibility(StrEnum):
    """How the error of a leaky readout meets the eligibility of a hidden neuron.

    deferred : the error is filtered backwards at the end of the recording, which equals an
    eligibility that passes the readout's filter.  instantaneous : error and eligibility of the
    same step; exact only for a readout with alpha = 0.
    """

    DEFERRED = "deferred"
    INSTANTANEOUS = "instantaneous"


class Taps(StrEnum):
    """Derivative of a delay smoothed by a kernel, in steps; sigma is the kernel's width.

    gauss : u / sigma^2 times a normal density, |u| <= 3 sigma.  hat : sign(u) / (1 + sigma)^2,
    |u| < 1 + sigma.  central : -1/2, +1/2 at u = -1, +1.
    """

    GAUSS = "gauss"
    HAT = "hat"
    CENTRAL = "central"


class Feedback(StrEnum):
    """What carries the readout's error to a hidden population that projects to the readout.

    symmetric : the weights of that projection, transposed, with its delays.  random : fixed normal
    numbers, without delay.  A hidden population that does not project to the readout always
    gets random feedback.
    """

    SYMMETRIC = "symmetric"
    RANDOM = "random"


class Optimizer(StrEnum):
    """What becomes of a mini-batch's mean gradient.

    adam, sgd : as usual.  sign : a step of the rate against the sign of the running mean of
    gradients, which an integer chip can afford.
    """

    ADAM = "adam"
    SGD = "sgd"
    SIGN = "sign"


class ErrorKind(StrEnum):
    """What the error of a readout is, beside -1 for the target.

    softmax : of y.  exponential : exp(-(y_max - y) / width), divided not by the sum over readouts
    but by the power of two next to it.  linear : the same of max(0, 1 - (y_max - y) / width).
    """

    SOFTMAX = "softmax"
    EXPONENTIAL = "exponential"
    LINEAR = "linear"


@dataclass(frozen=True, slots=True)
class Rule:
    """Choices of the three-factor rule.

    weight_rate, delay_rate, bias_rate : step sizes at the start of a cosine schedule that ends
        at 0 with the last epoch; a rate of 0 leaves its numbers as they are.  Delays in steps.
    optimizer : Adam has moments .9 and .999.  momentum : of the sign optimizer's running mean.
    error, error_width : what the readout is told in every step; the width in units of y.
    batch : recordings per update.
    eligibility, feedback : see there.
    taps, sigma_start, sigma_end : the delay's derivative; sigma moves geometrically from the
        first epoch to the last.
    surrogate_width : psi = exp(-((u - threshold) / width)^2 / 2), in units of u.
    reset_path : let the eligibility pass the reset, too.
    sign_of_weight : a delay's gradient takes the sign of its weight instead of the weight.
    hidden_bias : learn the bias of hidden neurons, too, not only the readout's.
    channel_shift : each recording of a batch is shifted by up to this many channels, drawn anew;
        what leaves the array at its edge is lost.
    redrawn : share of the delays of a projection that are drawn anew after an epoch, those whose
        weights are the smallest in all, in the first three quarters of the epochs.
    rate_strength, rate_target : adds strength * (rate - target), rate in spikes per step of this
        neuron in this recording, to the error of a spike in every step, past the readout's filter;
        strength 0 is off.
    """

    weight_rate: float = 2e-3
    delay_rate: float = 0.1
    bias_rate: float = 1e-4
    optimizer: Optimizer = Optimizer.ADAM
    momentum: float = 0.875
    error: ErrorKind = ErrorKind.SOFTMAX
    error_width: float = 1.0
    batch: int = 64
    eligibility: Eligibility = Eligibility.DEFERRED
    feedback: Feedback = Feedback.SYMMETRIC
    taps: Taps = Taps.GAUSS
    sigma_start: float = 4.0
    sigma_end: float = 1.0
    surrogate_width: float = 0.5
    reset_path: bool = False
    sign_of_weight: bool = False
    hidden_bias: bool = False
    channel_shift: int = 0
    redrawn: float = 0.0
    rate_strength: float = 0.0
    rate_target: float = 0.05

    def __post_init__(self) -> None:
        for name, kind in (
            ("optimizer", Optimizer),
            ("error", ErrorKind),
            ("eligibility", Eligibility),
            ("feedback", Feedback),
            ("taps", Taps),
        ):
            object.__setattr__(self, name, member(name, getattr(self, name), kind))
        for name in ("weight_rate", "delay_rate", "bias_rate", "rate_strength", "rate_target"):
            at_least_zero(name, getattr(self, name))
        for name in ("sigma_start", "sigma_end", "surrogate_width", "error_width"):
            positive(name, getattr(self, name))
        if not 0 <= self.redrawn <= 1:
            raise ValueError(f"redrawn must be between 0 and 1, not {self.redrawn}")
        check_batches(self.momentum, self.batch, self.channel_shift)

    def sigma(self, epoch: int, epochs: int) -> float:
        """Return the taps' width in epoch 0 <= `epoch` < `epochs`, in steps."""
        return annealed(self.sigma_start, self.sigma_end, epoch, epochs)


def annealed(start: float, end: float, epoch: int, epochs: int) -> float:
    """Return what falls geometrically from `start` in epoch 0 to `end` in the last of `epochs`."""
    done = epoch / max(1, epochs - 1)
    return float(start * (end / start) ** done)


def member(name: str, value: str, kind: type[StrEnum]) -> StrEnum:
    """Return the member of `kind` that `value` names; ValueError if there is none."""
    known = [one.value for one in kind]
    if value not in known:
        raise ValueError(f"{name} must be one of {', '.join(known)}, not {value!r}")
    return kind(value)


def at_least_zero(name: str, value: float) -> None:
    """Refuse a value that is negative or not finite."""
    if not (math.isfinite(value) and value >= 0):
        raise ValueError(f"{name} must be a number of at least 0, not {value}")


def positive(name: str, value: float) -> None:
    """Refuse a value that is 0, negative or not finite."""
    if not (math.isfinite(value) and value > 0):
        raise ValueError(f"{name} must be a positive number, not {value}")


def check_batches(momentum: float, batch: int, channel_shift: int) -> None:
    """Refuse what no descent over mini-batches of shifted recordings can have."""
    if not 0 <= momentum < 1:
        raise ValueError(f"momentum must be at least 0 and less than 1, not {momentum}")
    if batch < 1:
        raise ValueError(f"batch must be at least 1, not {batch}")
    if channel_shift < 0:
        raise ValueError(f"channel_shift must be at least 0, not {channel_shift}")


def half_taps(kind: Taps, sigma: float) -> NDArray[np.float64]:
    """Return the taps c_u of u = 1, 2, ... K; c_0 = 0 and c_-u = -c_u, so all sum to 0.

    A longer delay removes drive at u < 0 and gives it at u > 0.
    """
    if kind is Taps.CENTRAL:
        return np.array([0.5])
    if kind is Taps.HAT:
        u = np.arange(1, math.ceil(1 + sigma))
        return np.full(u.size, 1 / (1 + sigma) ** 2)
    u = np.arange(1, math.ceil(3 * sigma) + 1)
    density = np.exp(-(u**2) / (2 * sigma**2))
    result: NDArray[np.float64] = u / sigma**2 * density / (1 + 2 * density.sum())
    return result


def fold(half: NDArray[np.floating]) -> NDArray[np.floating]:
    """Return what gathers at u = -v when the taps before it are moved there, v = 0 ... K.

    A delay of n steps, n - v being the smallest possible one, cannot become shorter by more than
    v: taps further ahead act at u = -v, where a delay that is clamped at its smallest acts.
    They still sum to 0, and no spike is read before it has been emitted.
    """
    gathered = np.cumsum(half[::-1])[::-1]
    folded: NDArray[np.floating] = -np.concatenate([gathered[:1], gathered])
    return folded
