"""Accesses to a chip over a serial line: what bytes go there and back.

A line of 8 data bits, no parity, one stop bit, least significant bit first.  The host sends one
request, waits for its answer, and sends the next one.  Numbers are little-endian, but for the
checksum.

    request   op, tag, span, count, address (4 bytes), of a WRITE 4 bytes per word, checksum
    answer    status, tag, count, of a READ 4 bytes per word, checksum

`count` words from `address` on are read or written, at most WORDS; after `span` of them, if it is
not 0, the address is the first one again.  `tag` comes back.  The count of an answer is that of the
words that were read or written, one after the other, up to the first that was refused.
"""

from __future__ import annotations

from binascii import crc_hqx
from collections.abc import Sequence
from enum import IntEnum
from typing import NamedTuple

from datapath.memory import BUS

BITS = 8
"""Data bits of a byte."""

WORDS = 64
"""Words of a request, at most."""

WORD = BUS // BITS
"""Bytes of a word."""

HEADER, ANSWER = 4 + WORD, 3
"""Bytes before the words of a request, and of an answer."""

CHECKSUM = 16
"""Bits of the checksum: that of X.25's polynomial, not reflected, over all before it, which is
CRC-16/IBM-3740; its high byte comes first."""

POLYNOMIAL, INITIAL = 0x1021, 0xFFFF

SILENCE = 1 << 14
"""Bits of time without a byte after which a request that has not ended is given up."""

BAUD = 1_000_000
"""Bits per second of a board, if nothing else is said."""


class Op(IntEnum):
    """What a request asks for."""

    READ = ord("R")
    WRITE = ord("W")


class Status(IntEnum):
    """What became of it; after all but the first two nothing was done, and no word follows."""

    DONE = ord("K")
    REFUSED = ord("X")
    CHECKSUM = ord("C")
    FRAMING = ord("F")
    BROKEN = ord("B")
    UNKNOWN = ord("U")
    EARLY = ord("E")


MEANING = {
    Status.DONE: "all words were read or written",
    Status.REFUSED: "the chip refused the word after the last one counted",
    Status.CHECKSUM: "the checksum of the request is wrong",
    Status.FRAMING: "a byte has no stop bit: other speeds, or noise",
    Status.BROKEN: "the request ended before all of it was there",
    Status.UNKNOWN: "there is no such op, or the count is 0 or too large",
    Status.EARLY: "bytes came before the last answer was sent",
}
"""What every status says."""


class Answer(NamedTuple):
    """An answer; done : words that were read or written.  words : those that were read."""

    status: Status
    tag: int
    done: int
    words: tuple[int, ...]


def checksum(data: bytes) -> bytes:
    """Return the checksum of `data`."""
    return crc_hqx(data, INITIAL).to_bytes(CHECKSUM // BITS, "big")


def request(
    op: Op, address: int, count: int, *, span: int, tag: int, words: Sequence[int] = ()
) -> bytes:
    """Return the request for `count` words from `address` on; of a WRITE, `words` are these.

    Raises
    ------
    ValueError
        No word, or too many.
    """
    if not 1 <= count <= WORDS:
        raise ValueError(f"a request has 1 to {WORDS} words, not {count}")
    parts = [bytes((op, tag, span, count)), address.to_bytes(WORD, "little")]
    parts += [int(word).to_bytes(WORD, "little") for word in words]
    whole = b"".join(parts)
    return whole + checksum(whole)


def rest(head: bytes, op: Op) -> int:
    """Count the bytes that follow the first `ANSWER` bytes of an answer to a request of `op`."""
    words = head[2] if op is Op.READ else 0
    return words * WORD + CHECKSUM // BITS


def answer(data: bytes) -> Answer:
    """Return what the bytes of a whole answer say.

    Raises
    ------
    ValueError
        The checksum is wrong, or there is no such status.
    """
    inside, check = data[: -CHECKSUM // BITS], data[-CHECKSUM // BITS :]
    if checksum(inside) != check:
        raise ValueError("the checksum of an answer is wrong: the line is noisy")
    status, tag, done = inside[:ANSWER]
    if status not in [*Status]:
        raise ValueError(f"an answer of status {status:#x} comes from something else than a chip")
    words = inside[ANSWER:]
    parts = (words[n : n + WORD] for n in range(0, len(words), WORD))
    return Answer(
        Status(status), tag, done, tuple(int.from_bytes(part, "little") for part in parts)
    )
