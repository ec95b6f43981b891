"""What was trained: the float network with delays, its files and its float simulation.

Imports no other room.
"""

from model.files import load, save
from model.network import (
    Compare,
    Delay,
    Input,
    Lif,
    Network,
    Population,
    Projection,
    Readout,
    Reset,
)
from model.simulation import Activity, simulate

__all__ = [
    "Activity",
    "Compare",
    "Delay",
    "Input",
    "Lif",
    "Network",
    "Population",
    "Projection",
    "Readout",
    "Reset",
    "load",
    "save",
    "simulate",
]
