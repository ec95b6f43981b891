"""What was trained: the float network with delays, its files and its float simulation.

Imports no other room.
"""

from model.network import Delay, Input, Lif, Network, Population, Projection, Readout, Reset

__all__ = ["Delay", "Input", "Lif", "Network", "Population", "Projection", "Readout", "Reset"]
