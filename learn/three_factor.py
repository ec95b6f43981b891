r"""On-line three-factor learning of weights and delays, forward only.

Derived from e-prop.  For a hidden neuron j, a pre neuron i and readouts k, with the error
err_k = softmax(y)_k - target_k at every step:

    dE/dw_ji = sum_t M_j[t] psi_j[t] X_i[t - n_ji]
    dE/dd_ji = w_ji sum_t M_j[t] psi_j[t] sum_u c_u X_i[t - n_ji - u]

X_i[t] = alpha X_i[t-1] + z_i[t] is the trace of the pre neuron, psi a Gaussian of the membrane's
distance from threshold, c_u the taps of a smoothed delay.  An axonal delay sums dE/dd_ji over
j, a dendritic one over i.  The eligibility of a leaky readout has to pass the readout's filter:
in the deferred form the history of psi, spikes and err is kept, and at the end of a
recording M[t] = L[t] + kappa M[t+1] runs backwards, L_j = sum_k B_jk err_k: exact, and without
state per synapse.  Paths from spike to spike through other hidden neurons are ignored, as in
e-prop; so is the reset, unless the rule asks for it.

Taps that would read a spike before it was emitted act at the smallest possible delay instead
(`learn.rule.fold`).
"""

from __future__ import annotations

import os
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from learn.examples import Examples
from learn.gradient import Gradient, Outcome, Parameters
from learn.grids import Grids
from learn.rule import Rule
from learn.training import Epoch, Result, Training, finish
from model import Compare, Lif, Network
from model.layout import DELAY, NEURONS, PER_POST, PER_PRE, PRE, SIZE, WEIGHT


def train(
    network: Network,
    examples: Examples,
    rule: Rule,
    *,
    epochs: int,
    seed: int,
    held_out: Examples | None = None,
    grids: Grids | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    progress: Callable[[Epoch], None] | None = None,
) -> Result:
    """Train weights, delays and biases of `network` by the three-factor rule.

    All weights and the readout's biases are learned, and the delays of every projection that has
    a delay mode.  Thresholds and alphas stay.  The same arguments give the same bits, whatever
    the number of threads.

    Parameters
    ----------
    held_out : recordings never trained on, by which the epoch is chosen: for an honest figure
        take other speakers, and never the test set.
    grids : what a chip will hold: the forward pass sees numbers rounded to it, and so does the
        resulting network (`learn.grids`).
    checkpoint : file that is written after every epoch.  If it exists, the run is continued
        from it, and ends with the very result of an uninterrupted run.
    progress : called after every epoch, when its checkpoint has been written.

    Raises
    ------
    ValueError
        Recordings, labels or grids do not fit the network, or the checkpoint belongs to another
        run.
    OSError
        The checkpoint cannot be written.
    """
    _check_neurons(network)
    training = _Training(network, examples, rule, epochs, seed, held_out, grids)
    return finish(training, checkpoint, progress)


def _check_neurons(network: Network) -> None:
    """Refuse neurons whose traces the rule does not have."""
    if network.has_currents:
        raise ValueError(
            "the three-factor trainer has no traces for synaptic currents: alpha_syn must be 0"
        )
    for population in network.populations:
        if isinstance(population, Lif) and population.compare is not Compare.GE:
            raise ValueError(
                f"{population.name}: the three-factor trainer compares with >=, "
                f"not {str(population.compare)!r}"
            )


def classify(network: Network, counts: NDArray[np.integer]) -> NDArray[np.int64]:
    """Return the classes that the training kernel sees: `model.simulate` in float32.

    counts : integers[recordings, steps, channels], 0 to 255.
    """
    examples = Examples(np.asarray(counts, counts.dtype), np.zeros(len(counts), np.int64))
    examples.check(network)
    gradient = Gradient(network, Rule(delay_rate=0.0), seed=0)
    return _classes(gradient, gradient.initial, examples)


def _classes(gradient: Gradient, parameters: Parameters, examples: Examples) -> NDArray[np.int64]:
    everything = np.arange(len(examples))
    still = np.zeros(len(examples), np.int64)
    return gradient.run(parameters, examples, everything, still, sigma=None).classes


class _Training(Training):
    """A training run between two epochs."""

    name = "three-factor"

    def __init__(
        self,
        network: Network,
        examples: Examples,
        rule: Rule,
        epochs: int,
        seed: int,
        held_out: Examples | None,
        grids: Grids | None,
    ) -> None:
        self.gradient = Gradient(network, rule, seed)
        super().__init__(
            network,
            examples,
            rule,
            self.gradient.layout,
            self.gradient.initial,
            epochs,
            seed,
            held_out,
            grids,
        )

    def learn(
        self, parameters: Parameters, chosen: NDArray[np.int64], shifts: NDArray[np.int64]
    ) -> Outcome:
        return self.gradient.run(parameters, self.examples, chosen, shifts, self.sigma())

    def classes(self, parameters: Parameters, examples: Examples) -> NDArray[np.int64]:
        return _classes(self.gradient, parameters, examples)

    def epoch(self) -> None:
        super().epoch()
        if self.gradient.rule.redrawn and 4 * len(self.history) <= 3 * self.epochs:
            self._redraw()

    def _redraw(self) -> None:
        """Draw the delays anew whose weights are the smallest in all."""
        layout, rule = self.layout, self.gradient.rule
        weights, delays = (self.descents[name].values for name in ("weights", "delays"))
        for row in layout.projections:
            if not row[PER_PRE] and not row[PER_POST]:
                continue
            pre, size = int(layout.populations[row[PRE], NEURONS]), int(row[SIZE])
            first = int(row[WEIGHT])
            worth = np.abs(weights[first : first + pre * size].reshape(pre, size))
            if not row[PER_POST]:
                worth = worth.sum(axis=1)
            elif not row[PER_PRE]:
                worth = worth.sum(axis=0)
            weakest = np.argsort(worth.ravel(), kind="stable")[: int(rule.redrawn * worth.size)]
            chosen = int(row[DELAY]) + weakest
            delays[chosen] = self.rng.uniform(
                layout.smallest_delays[chosen], layout.largest_delays[chosen]
            )

    def sigma(self) -> float:
        return self.gradient.rule.sigma(len(self.history), self.epochs)
