"""Surrogate-gradient training of delays in PyTorch (the `torch` extra).

Modules for networks of one's own: `DelayedLinear`, `Lif`, `Readout`, `SpikingNetwork`.
"""

from learn.surrogate.rule import Kernel, Rewiring, Surrogate

__all__ = ["Kernel", "Rewiring", "Surrogate"]
