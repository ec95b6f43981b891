"""The chip on a board: behind the serial line of its USB bridge, at the clock of its oscillator."""

from amaranth.hdl import Elaboratable, Module
from amaranth.lib import io

from datapath import Chip
from rtl.uart import UartChip


class BoardTop(Elaboratable):
    """The chip behind the resource `uart` of an Amaranth platform, in its default clock.

    divisor, silence : as of UartBridge.
    """

    def __init__(self, chip: Chip, divisor: int, silence: int) -> None:
        self.chip = UartChip(chip, divisor, silence)

    def elaborate(self, platform):
        m = Module()
        m.submodules.chip = self.chip
        uart = platform.request("uart", dir="-")
        m.submodules.rx = rx = io.Buffer("i", uart.rx)
        m.submodules.tx = tx = io.Buffer("o", uart.tx)
        m.d.comb += [self.chip.rx.eq(rx.i), tx.o.eq(self.chip.tx)]
        return m
