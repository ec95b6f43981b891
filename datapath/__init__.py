"""What the chip is: its number formats, sizes, memory map and contents, each written once.

Imports nothing but the standard library and numpy; every room of the chip imports this one.
"""

from datapath.chip import (
    Axon,
    Chip,
    Compare,
    Current,
    Leak,
    Learn,
    Lif,
    Order,
    Overflow,
    Readout,
    Rounding,
    Synapse,
)
from datapath.format import Format
from datapath.image import Delay, Image, Kind, Population, Projection, Reset
from datapath.learning import Learning, PopulationRule, ProjectionRule

__all__ = [
    "Axon",
    "Chip",
    "Compare",
    "Current",
    "Delay",
    "Format",
    "Image",
    "Kind",
    "Leak",
    "Learn",
    "Learning",
    "Lif",
    "Order",
    "Overflow",
    "Population",
    "PopulationRule",
    "Projection",
    "ProjectionRule",
    "Readout",
    "Reset",
    "Rounding",
    "Synapse",
]
