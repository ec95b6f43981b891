"""Choices of training with surrogate gradients; needs no PyTorch."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from learn.eventprop import Objective
from learn.rule import Optimizer, annealed, at_least_zero, check_batches, member, positive

SURROGATE_SCALE = 0.1


class Kernel(StrEnum):
    """What an event is spread by around its delay d, in steps; all taps sum to 1.

    hat : max(0, 1 + sigma - |n - d|), that of DelRec and, for sigma 0 .. 1, of DCLS version 1.
    gauss : exp(-((n - d) / sigma)^2 / 2), that of DCLS-Gauss.
    """

    HAT = "hat"
    GAUSS = "gauss"


class Rewiring(StrEnum):
    """What happens to synapses and delays that a network may not have all of.

    fixed : those drawn at the start stay.  rigl : after an epoch the smallest weights go, and
    those absent synapses come whose loss would fall fastest (Evci et al. 2020); likewise the
    shortest delays go, and those come that the loss wants longer most.  deep-r : a synapse whose
    weight changes its sign goes, and another one is drawn (Bellec et al. 2018).
    """

    FIXED = "fixed"
    RIGL = "rigl"
    DEEP_R = "deep-r"


@dataclass(frozen=True, slots=True)
class Surrogate:
    """Choices of training with surrogate gradients and learned delays.

    weight_rate, delay_rate, bias_rate : step sizes at the start of a cosine schedule that ends
        at 0 with the last epoch; a rate of 0 leaves its numbers as they are.  Delays in steps.
    optimizer : Adam has moments .9 and .999.  momentum : of the sign optimizer's running mean.
    batch : recordings per update.
    objective : as for EventProp.
    kernel, sigma_start, sigma_end : what spreads an event around its delay while training; sigma
        moves geometrically from the first epoch to the last.
    surrogate_width, surrogate_scale : psi = scale exp(-((u - threshold) / width)^2 / 2), the width
        in units of u.  A gradient is multiplied by psi w / (1 - alpha) wherever it passes a neuron:
        with a scale of 1 it explodes in recurrent networks with slow membranes.
    reset_path : let the gradient pass the reset, too.
    hidden_bias : learn the bias of hidden neurons, too, not only the readout's.
    channel_shift : each recording of a batch is shifted by up to this many channels, drawn anew;
        what leaves the array at its edge is lost.
    rate_strength, rate_target : adds strength * (rate - target), rate in spikes per step of this
        neuron in this recording, to the loss's derivative by each step's spike; 0 is off.
    connections : share of the synapses between input and hidden populations that exist.
    active_delays : share of the synapses that exist, or of the axons or dendrites, that have a
        delay; the others take the smallest one there is.
    rewiring : see there.  rewired : share of what exists that `rigl` replaces after the first
        epoch; it falls to 0 as half a cosine.
    """

    weight_rate: float = 2e-3
    delay_rate: float = 0.1
    bias_rate: float = 1e-4
    optimizer: Optimizer = Optimizer.ADAM
    momentum: float = 0.875
    batch: int = 64
    objective: Objective = Objective.STEPS
    kernel: Kernel = Kernel.GAUSS
    sigma_start: float = 4.0
    sigma_end: float = 0.1
    surrogate_width: float = 0.5
    surrogate_scale: float = SURROGATE_SCALE
    reset_path: bool = False
    hidden_bias: bool = False
    channel_shift: int = 0
    rate_strength: float = 0.0
    rate_target: float = 0.05
    connections: float = 1.0
    active_delays: float = 1.0
    rewiring: Rewiring = Rewiring.FIXED
    rewired: float = 0.3

    def __post_init__(self) -> None:
        for name, kind in (
            ("optimizer", Optimizer),
            ("objective", Objective),
            ("kernel", Kernel),
            ("rewiring", Rewiring),
        ):
            object.__setattr__(self, name, member(name, getattr(self, name), kind))
        for name in ("weight_rate", "delay_rate", "bias_rate", "rate_strength", "rate_target"):
            at_least_zero(name, getattr(self, name))
        for name in ("sigma_start", "sigma_end", "surrogate_width", "surrogate_scale"):
            positive(name, getattr(self, name))
        for name in ("connections", "active_delays", "rewired"):
            value = getattr(self, name)
            if not 0 <= value <= 1:
                raise ValueError(f"{name} must be between 0 and 1, not {value}")
        if not self.connections:
            raise ValueError("connections must be above 0: a network needs synapses")
        check_batches(self.momentum, self.batch, self.channel_shift)

    def sigma(self, epoch: int, epochs: int) -> float:
        """Return the kernel's width in epoch 0 <= `epoch` < `epochs`, in steps."""
        return annealed(self.sigma_start, self.sigma_end, epoch, epochs)
