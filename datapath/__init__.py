"""What the chip is: its number formats, sizes, memory map and contents, each written once.

Imports nothing but the standard library and numpy; every room of the chip imports this one.
"""

from datapath.chip import Axon, Chip, Compare, Leak, Lif, Readout, Rounding, Synapse
from datapath.format import Format
from datapath.image import Delay, Image, Kind, Population, Projection, Reset

__all__ = [
    "Axon",
    "Chip",
    "Compare",
    "Delay",
    "Format",
    "Image",
    "Kind",
    "Leak",
    "Lif",
    "Population",
    "Projection",
    "Readout",
    "Reset",
    "Rounding",
    "Synapse",
]
