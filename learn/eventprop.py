r"""EventProp: exact gradients of spike times by weights and delays, backwards in time.

A network of CUBA-LIF neurons in continuous time: in units of a step,

    V_j' = log(alpha) V_j + gain I_j + drive bias_j,    I_j' = log(alpha_syn) I_j,

I_j rises by w_ji when a spike of neuron i arrives, d_ji after its time t_i, and neuron j fires when
V_j reaches its threshold.  gain and drive are such that the recursions of `model.Lif` are this
system sampled at the ends of steps.  Backwards in time, the derivatives of the loss by V and I,

    v' = -log(alpha) v,    c' = -log(alpha_syn) c - gain v,

grow at every readout's sample by dL/dy, and at a spike of j, V' being that just before the reset,

    v <- (1 - log(alpha) threshold / V') v - E / V',    E = sum_m w_mj a_m(t_j + d_mj),
    a = -(gain v + log(alpha_syn) c),

where a_m(t) is the derivative by the time of an arrival at m.  From this follow, summed over the
spikes of i, dL/dw_ji = sum c_j(t_i + d_ji) and dL/dd_ji = w_ji sum a_j(t_i + d_ji).

The trained network runs in steps: a spike is sent in the step of its crossing and its membrane is
emptied at the end of that step; delays are rounded.  What this moves in time is taken for a
constant, so that gradients are those of the continuous network through the spikes of the stepped
one.  Both resets, to zero and by subtraction, leave 0 at the crossing and have the same gradient.

The equations are those of Wunderlich and Pehle (Scientific Reports 11:12829, 2021), and with
delays of Meszaros, Knight and Nowotny (Nature Communications 16, 2025, s41467-025-65394-8).
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from learn.adjoint import Adjoint
from learn.examples import Examples
from learn.gradient import Outcome, Parameters
from learn.grids import Grids
from learn.rule import Optimizer, at_least_zero, check_batches, member
from learn.training import Epoch, Result, Training, finish
from model import Input, Network


class Objective(StrEnum):
    """What is to become small: a cross-entropy with the softmax of the readouts.

    mean : of y's mean over steps.  steps : of y in every step, and the mean of that.
    """

    MEAN = "mean"
    STEPS = "steps"


@dataclass(frozen=True, slots=True)
class EventProp:
    """Choices of training by EventProp.

    weight_rate, delay_rate, bias_rate : step sizes at the start of a cosine schedule that ends
        at 0 with the last epoch; a rate of 0 leaves its numbers as they are.  Delays in steps.
    optimizer : Adam has moments .9 and .999.  momentum : of the sign optimizer's running mean.
    batch : recordings per update.
    objective : see there.
    hidden_bias : learn the bias of hidden neurons, too, not only the readout's.
    channel_shift : each recording of a batch is shifted by up to this many channels, drawn anew;
        what leaves the array at its edge is lost.
    rate_strength, rate_target : adds strength * (number - target), of the spikes of a hidden neuron
        in a recording, to the loss's derivative by its membrane at each of them, or where it
        never fires at its largest membrane; strength 0 is off.  Exact gradients do not see
        that a spike could appear; this does.
    smallest_rise : V' at a crossing counts as at least this, per step: a membrane that hardly
        reaches its threshold has a spike time whose derivative grows beyond all bounds.  0: exact.
    """

    weight_rate: float = 2e-3
    delay_rate: float = 0.1
    bias_rate: float = 1e-4
    optimizer: Optimizer = Optimizer.ADAM
    momentum: float = 0.875
    batch: int = 64
    objective: Objective = Objective.MEAN
    hidden_bias: bool = False
    channel_shift: int = 0
    rate_strength: float = 0.0
    rate_target: float = 4.0
    smallest_rise: float = 0.1

    def __post_init__(self) -> None:
        object.__setattr__(self, "optimizer", member("optimizer", self.optimizer, Optimizer))
        object.__setattr__(self, "objective", member("objective", self.objective, Objective))
        for name in (
            *("weight_rate", "delay_rate", "bias_rate"),
            *("rate_strength", "rate_target", "smallest_rise"),
        ):
            at_least_zero(name, getattr(self, name))
        check_batches(self.momentum, self.batch, self.channel_shift)


def train_eventprop(
    network: Network,
    examples: Examples,
    rule: EventProp,
    *,
    epochs: int,
    seed: int,
    held_out: Examples | None = None,
    grids: Grids | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    progress: Callable[[Epoch], None] | None = None,
) -> Result:
    """Train weights, delays and biases of `network` by EventProp.

    All weights and the readout's biases are learned, and the delays of every projection that has
    a delay mode, through any number of hidden populations and recurrent projections.
    Thresholds and alphas stay.  The spikes are those of `model.simulate`, and the same arguments
    give the same bits, whatever the number of threads.  Memory: what is learned, its gradient, the
    spikes of a recording, its readouts, and a ring as long as the longest delay.

    Parameters, and what is raised, are those of `learn.train`.

    Raises
    ------
    ValueError
        Also if a neuron has no synaptic current or no membrane (an alpha of 0).
    """
    check_neurons(network)
    training = _Training(network, examples, rule, epochs, seed, held_out, grids)
    return finish(training, checkpoint, progress)


def check_neurons(network: Network) -> None:
    """Refuse neurons whose membranes jump, for which a spike time has no derivative."""
    for population in network.populations:
        if isinstance(population, Input):
            continue
        for name in ("alpha", "alpha_syn"):
            bad = np.flatnonzero(getattr(population, name) == 0)
            if bad.size:
                raise ValueError(
                    f"{population.name}: {name}[{bad[0]}] = 0, but EventProp needs membranes and "
                    "synaptic currents that decay: give it a value above 0"
                )


def adjoint(network: Network, rule: EventProp) -> Adjoint:
    """Return the forward and backward pass of `rule`."""
    return Adjoint(
        network,
        learns_delays=rule.delay_rate > 0,
        stepwise=rule.objective is Objective.STEPS,
        rate_strength=rule.rate_strength,
        rate_target=rule.rate_target,
        floor=rule.smallest_rise if rule.smallest_rise > 0 else math.ulp(0),
    )


class _Training(Training):
    """A training run between two epochs."""

    name = "eventprop"

    def __init__(
        self,
        network: Network,
        examples: Examples,
        rule: EventProp,
        epochs: int,
        seed: int,
        held_out: Examples | None,
        grids: Grids | None,
    ) -> None:
        self.adjoint = adjoint(network, rule)
        layout, initial = self.adjoint.layout, self.adjoint.initial
        super().__init__(network, examples, rule, layout, initial, epochs, seed, held_out, grids)

    def learn(
        self, parameters: Parameters, chosen: NDArray[np.int64], shifts: NDArray[np.int64]
    ) -> Outcome:
        return self.adjoint.run(parameters, self.examples, chosen, shifts, learn=True)

    def classes(self, parameters: Parameters, examples: Examples) -> NDArray[np.int64]:
        everything, still = np.arange(len(examples)), np.zeros(len(examples), np.int64)
        return self.adjoint.run(parameters, examples, everything, still, learn=False).classes
