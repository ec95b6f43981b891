"""What stands between a chip and its host."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from datapath import Chip

HOSTS = ("bare", "axi", "uart")


def options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that choose a top to a command."""
    divisor = click.option(
        "--divisor",
        type=click.IntRange(min=4),
        default=12,
        show_default=True,
        help="Clocks of a bit on the serial line.",
    )
    host = click.option(
        "--host",
        type=click.Choice(HOSTS),
        default="bare",
        show_default=True,
        help="What stands between the chip and its host: nothing, AXI, or a serial line.",
    )
    return host(divisor(command))


def top(chip: Chip, host: str, divisor: int) -> Any:
    """Return the gates of `chip` for `host`, one of HOSTS.

    divisor : clocks of a bit on a serial line.
    """
    if host == "axi":
        from rtl.axi import AxiChip

        return AxiChip(chip)
    if host == "uart":
        from datapath.serial import SILENCE
        from rtl.uart import UartChip

        return UartChip(chip, divisor, SILENCE)
    from rtl.chip import ChipTop

    return ChipTop(chip)
