"""A reset by subtraction in the step after the spike, as synapses of each neuron on itself.

    wanted   m[t] = alpha m[t-1] + x[t] - threshold z[t-1]
    here     m[t] = alpha (m[t-1] - threshold z[t-1]) + x[t]

differ by e = threshold (1 - alpha) per spike: a synapse of weight -e that takes one step.  With a
synaptic current it would go on acting; one of weight alpha_syn e that takes two steps takes that
back, and the current is as if neither had been there.
"""

from __future__ import annotations

import numpy as np

from model.importers.chain import Synapses
from model.importers.lowering import identity
from model.importers.torch_parts import Floats
from model.network import Delay


def late_reset(node: str, threshold: Floats, alpha: Floats, current: Floats) -> list[Synapses]:
    """Return the synapses of a population on itself; threshold, alpha, current : float64[size].

    The first has weights with delays of one step, the second, if there is a current, of two.
    """
    excess = threshold * (1 - alpha)
    one = identity(node, len(excess))
    made = [Synapses(one * -excess, Delay.NONE, 1.0)]
    if np.any(current):
        made.append(Synapses(one * (current * excess), Delay.NONE, 2.0))
    return made
