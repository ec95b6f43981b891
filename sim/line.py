"""A chip behind a simulated serial line: what `serial.Serial` is to a board."""

from __future__ import annotations

import ctypes
from functools import partial

from datapath import Chip
from rtl.uart import FEWEST, UartChip
from sim import cxxrtl

SILENCE = 64
"""Bits of time after which the chip gives a request up: no host of ours ever pauses."""

PATIENCE = 100_000
"""Clocks for which reading waits: the longest request and its answer take a fifth of them."""


class Line:
    """The gates of `chip` behind a serial line, running as C++.

    patience : clocks for which reading waits.

    Raises
    ------
    OSError
        There is no C++ compiler.
    """

    def __init__(self, chip: Chip, patience: int = PATIENCE) -> None:
        self._patience = patience
        top = partial(UartChip, chip, FEWEST, SILENCE)
        said = repr((chip, FEWEST, SILENCE))
        self._library = ctypes.CDLL(str(cxxrtl.built(top, said, "uart.cpp")))
        self._library.line_open.restype = ctypes.c_void_p
        self._library.line_read.restype = ctypes.c_int64
        self._line = ctypes.c_void_p(self._library.line_open(FEWEST))

    def write(self, data: bytes) -> None:
        """Send bytes."""
        self._library.line_write(self._line, data, ctypes.c_int64(len(data)))

    def read(self, count: int) -> bytes:
        """Return the next `count` bytes, or fewer if the chip falls silent."""
        buffer = ctypes.create_string_buffer(count)
        clocks = ctypes.c_int64(self._patience)
        got = self._library.line_read(self._line, buffer, ctypes.c_int64(count), clocks)
        return buffer.raw[:got]

    def close(self) -> None:
        """Let the chip go."""
        self._library.line_close(self._line)
