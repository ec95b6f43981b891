"""Write the Verilog of a catalogue chip: `python -m rtl digits-axonal`."""

import sys

from datapath.catalog import CHIPS
from rtl.chip import ChipTop
from rtl.emit import verilog


def main() -> None:
    """Write the Verilog of the chip that the command line names to the standard output."""
    match sys.argv[1:]:
        case [name] if name in CHIPS:
            sys.stdout.write(verilog(ChipTop(CHIPS[name]), "chip"))
        case _:
            sys.exit(f"usage: python -m rtl NAME, with NAME one of {', '.join(CHIPS)}")


if __name__ == "__main__":
    main()
