"""A chip behind a bus of words: registers beside its memories, through which its streams go too.

The bus has the addresses of `datapath.memory`, in beats, and behind them those of this page.  It
answers every access: done, or refused.
"""

from __future__ import annotations

from enum import IntEnum

from datapath import ports
from datapath.chip import Chip
from datapath.format import Format
from datapath.memory import BUS, Field, Memory, unsigned
from datapath.schema import chip_digest

MAGIC = 0x524E5652
"""What every chip says it is: RNVR."""

DEPTH = 256
"""Commands that wait for the chip, and results that wait for the host, at most."""

WINDOW = 8
"""Addresses of each of the three windows behind the memories: registers, command, result."""


class Register(IntEnum):
    """Registers, in the order of their addresses."""

    MAGIC = 0
    CHIP = 1
    IDLE = 2
    ROOM = 3
    WAITING = 4
    CLOCKS = 5


MEANING = {
    Register.MAGIC: f"what it is: {MAGIC:#x}, RNVR",
    Register.CHIP: "first 32 bits of the digest of the chip",
    Register.IDLE: "1: no command waits or runs, so that memories can be reached",
    Register.ROOM: "commands that COMMAND takes before it refuses one",
    Register.WAITING: "results to be read",
    Register.CLOCKS: "clocks that commands have taken, modulo 2**32; a write makes it 0",
}
"""What every register is for."""

WINDOWS = {
    "command": "write the beats of a command in rising order; the last one sends it",
    "result": "read the beats of the oldest result in rising order; the last one takes it away",
}
"""What the windows of the streams are for."""


def base(chip: Chip) -> int:
    """Return the address of the first register: the smallest power of two past the memories."""
    return 1 << ports.host(chip)[0].fmt.width


def addresses(chip: Chip) -> dict[str, int]:
    """Bus address of every register, and of the first beat of `command` and of `result`."""
    first = base(chip)
    at = {register.name.lower(): first + register for register in Register}
    return at | {name: first + WINDOW * n for n, name in enumerate(WINDOWS, 1)}


def request(chip: Chip) -> tuple[Field, ...]:
    """Return an access: `data` is written to `address` if `write` is 1."""
    return (
        Field("write", unsigned(1)),
        Field("address", unsigned(base(chip) + WINDOW * (1 + len(WINDOWS)) - 1)),
        Field("data", Format(BUS, signed=False)),
    )


def answer() -> tuple[Field, ...]:
    """Return what an access is answered with: the beat that was read, or that it is refused."""
    return Field("refused", unsigned(1)), Field("data", Format(BUS, signed=False))


def payload(fields: tuple[Field, ...]) -> Memory:
    """Return the one word that a command or result of `fields` is: as beats, what a host sees."""
    return Memory("payload", 1, 1, fields, True)


def chip_word(chip: Chip) -> int:
    """Return what the register CHIP shows."""
    return int(chip_digest(chip)[: BUS // 4], 16)
