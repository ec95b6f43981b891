"""What travels over the ports of a chip: fields of each payload, least significant first."""

from __future__ import annotations

from enum import IntEnum

from datapath.chip import Chip
from datapath.format import Format
from datapath.memory import BUS, Field, bus_addresses, unsigned


class Command(IntEnum):
    """Operations of the input stream `i`; the last two on chips that learn."""

    EVENT = 0
    TICK = 1
    CLEAR = 2
    LEARN = 3
    UPDATE = 4


class Result(IntEnum):
    """Operations of the output stream `o`."""

    SPIKE = 0
    READOUT = 1
    END = 2


_OP = Format(2, signed=False)
_FLAG = Format(1, signed=False)


def commands(chip: Chip) -> tuple[Command, ...]:
    """Return the operations that `chip` knows."""
    return tuple(op for op in Command if op < Command.LEARN or chip.learn is not None)


def command(chip: Chip) -> tuple[Field, ...]:
    """Return the payload of the input stream `i`."""
    if chip.learn is None:
        op, most = _OP, chip.channels
    else:
        op, most = Format(3, signed=False), max(chip.channels, chip.readout.classes)
    return (
        Field("op", op),
        Field("channel", unsigned(most - 1)),
        Field("count", chip.axon.count),
    )


def result(chip: Chip) -> tuple[Field, ...]:
    """Return the payload of the output stream `o`."""
    return (
        Field("op", _OP),
        Field("index", unsigned(chip.neurons - 1)),
        Field("value", chip.readout.score),
        Field("saturated", _FLAG),
    )


def host(chip: Chip) -> tuple[Field, ...]:
    """Return what the host drives: one beat is written or read per clock."""
    return (
        Field("address", unsigned(bus_addresses(chip) - 1)),
        Field("data", Format(BUS, signed=False)),
        Field("write", _FLAG),
        Field("read", _FLAG),
    )


def probe(chip: Chip) -> tuple[Field, ...]:
    """Return what one lane of the probe shows."""
    return (
        Field("v", chip.lif.v),
        Field("u", chip.lif.v),
        Field("fired", _FLAG),
        Field("saturated", _FLAG),
    )
