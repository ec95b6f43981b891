"""What stands between a chip and its host."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from datapath import Chip

HOSTS = ("bare", "axi")

option = click.option(
    "--host",
    type=click.Choice(HOSTS),
    default="bare",
    show_default=True,
    help="What stands between the chip and its host: its own ports, or AXI4-Lite and AXI4-Stream.",
)


def top(chip: Chip, host: str) -> Any:
    """Return the gates of `chip` for `host`, one of HOSTS."""
    if host == "axi":
        from rtl.axi import AxiChip

        return AxiChip(chip)
    from rtl.chip import ChipTop

    return ChipTop(chip)
