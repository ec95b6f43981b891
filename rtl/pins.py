"""The chip on a device that has fewer pins than the chip has ports."""

from amaranth.hdl import Cat, ClockSignal, Instance, Module, Mux, ResetSignal, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from datapath import Chip
from rtl.chip import ChipTop


class ChipCore(wiring.Component):
    """The chip without its probe, as it is built.

    Members
    -------
    i, o, host : those of `ChipTop`.
    """

    def __init__(self, chip: Chip) -> None:
        self.top = ChipTop(chip)
        members = self.top.signature.members
        super().__init__({name: members[name] for name in ("i", "o", "host")})

    def elaborate(self, platform):
        m = Module()
        m.submodules.top = self.top
        for name in self.signature.members:
            wiring.connect(m, wiring.flipped(getattr(self, name)), getattr(self.top, name))
        return m


class ChipPins(wiring.Component):
    """A module `name`, with the ports of `ChipCore`, behind three pins.

    Every port stands at a register of its own, so that place and route sees the paths of the chip
    and none of the pins. It is for measuring only: the chip sees what is being shifted.

    Members
    -------
    i, o : In(1), Out(1)
        Shifted into the registers before the inputs, the first bit least significant, and out of
        those behind the outputs.
    load : In(1)
        Take what the chip shows instead.
    """

    def __init__(self, core: ChipCore, name: str) -> None:
        self.core = core
        self.name = name
        super().__init__({"i": In(1), "o": Out(1), "load": In(1)})

    def elaborate(self, platform):
        m = Module()
        inside = {"i_clk": ClockSignal(), "i_rst": ResetSignal()}
        inputs: list[Signal] = []
        outputs: list[Signal] = []
        for path, member, value in self.core.signature.flatten(self.core):
            port = "__".join(map(str, path))
            wire = Signal(len(Value.cast(value)), name=port)
            inside[f"{'i' if member.flow == In else 'o'}_{port}"] = wire
            (inputs if member.flow == In else outputs).append(wire)
        setattr(m.submodules, self.name, Instance(self.name, **inside))
        shown, seen = Cat(inputs), Cat(outputs)
        left = Signal(len(seen))
        m.d.comb += self.o.eq(left[0])
        m.d.sync += [
            shown.eq(Cat(shown[1:], self.i)),
            left.eq(Mux(self.load, seen, left >> 1)),
        ]
        return m
