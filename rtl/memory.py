"""Memories in gates: the layout of a word, the port the host loads one through, and the bus map.

Nothing depends on a word that is written in the clock in which it is read.
"""

from collections.abc import Iterable
from typing import NamedTuple

from amaranth.hdl import Array, Cat, Const, Module, Mux, Shape, Signal, Value
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from datapath import Chip, Learn, ports
from datapath.memory import BUS, Field, Memory, addresses, control, memories, unsigned
from rtl.fixed import shape


def learn_of(chip: Chip) -> Learn:
    """Return the parameters of learning of a chip that learns."""
    assert chip.learn is not None
    return chip.learn


def struct(fields: Iterable[Field]) -> data.StructLayout:
    """Pack `fields`, the first one least significant."""
    return data.StructLayout({field.name: shape(field.fmt) for field in fields})


def word(spec: Memory) -> data.ArrayLayout:
    """Layout of a word of `spec`: an array over its lanes of its fields."""
    return data.ArrayLayout(struct(spec.fields), spec.lanes)


def index(count: int) -> Shape:
    """Shape of a number below `count`, at least one bit wide."""
    return shape(unsigned(count - 1))


def select(values, at):
    """Element `at` of `values`; `at` may have no bits if there is only one."""
    values = list(values)
    return Array(values)[at] if len(values) > 1 else values[0]


def below(at, count: int):
    """Whether `at`, any number of its width, addresses one of `count` words."""
    return at < count if count < 1 << len(at) else Const(1)


def after(m: Module, value, name: str, clocks: int = 1, advance=1):
    """Return `value` as it was `clocks` clocks with `advance` ago, in registers called `name`.

    A reset empties flags, and structures, which may have some.
    """
    # A number needs no reset, and without it fits into the registers of a multiplier of an iCE40.
    flags = isinstance(value.shape(), data.StructLayout) or len(Value.cast(value)) == 1
    for clock in range(clocks):
        each = name if clocks == 1 else f"{name}_{clock + 1}"
        held = Signal(value.shape(), name=each, reset_less=not flags)
        with m.If(advance):
            m.d.sync += held.eq(value)
        value = held
    return value


def _tree(values):
    """Sum of `values`, in pairs of pairs."""
    while len(values) > 1:
        values = [sum(values[n + 1 : n + 2], values[n]) for n in range(0, len(values), 2)]
    return values[0]


def add_up(m: Module, values: Iterable[Value], name: str):
    """Return the sum of `values`, two clocks later: a register halves the levels of its tree."""
    values = [Value.cast(value) for value in values]
    group = 1 << (len(values) - 1).bit_length() // 2
    parts = [_tree(values[n : n + group]) for n in range(0, len(values), group)]
    held = [after(m, part, f"{name}_part_{n}") for n, part in enumerate(parts)]
    return after(m, _tree(held), name)


class LoadPort(wiring.Signature):
    """How the host reaches a loaded memory, seen from the host.

    Members
    -------
    address : Out(index of a word)
    write, data : Out(1), Out(word)
        Write `data` at `address`; a read in the next clock sees it.
    read, word : Out(1), In(word)
        Read `address`; `word` holds it in the next clock. The chip itself must not be reading.
    """

    def __init__(self, spec: Memory) -> None:
        super().__init__(
            {
                "address": Out(index(spec.words)),
                "write": Out(1),
                "data": Out(word(spec)),
                "read": Out(1),
                "word": In(word(spec)),
            }
        )


class UpdatePort(wiring.Signature):
    """How an UPDATE reaches a loaded memory, seen from the UpdateStage.

    Members
    -------
    read, read_at, word : Out(1), Out(index of a word), In(word)
        Read `read_at`; `word` holds it two clocks later.
    write, write_at, data : Out(1), Out(index of a word), Out(word)
        Write `data` at `write_at`.
    """

    def __init__(self, spec: Memory) -> None:
        super().__init__(
            {
                "read": Out(1),
                "read_at": Out(index(spec.words)),
                "word": In(word(spec)),
                "write": Out(1),
                "write_at": Out(index(spec.words)),
                "data": Out(word(spec)),
            }
        )


class Write(NamedTuple):
    """What the chip itself writes into a loaded memory."""

    enable: Value
    address: Value
    data: Value


def build(m: Module, spec: Memory) -> memory.Memory:
    """Add the memory `spec` to `m`."""
    m.submodules[spec.name] = built = memory.Memory(shape=word(spec), depth=spec.words, init=[])
    return built


def loaded(m: Module, spec: Memory, port, address, enable):
    """Add the loaded memory `spec` to `m`, with the host at `port`.

    address, enable : what the chip itself reads.

    Returns
    -------
    The word that was read in the last clock that read one.
    """
    ram = build(m, spec)
    write = ram.write_port()
    read = ram.read_port()
    m.d.comb += [
        write.en.eq(port.write),
        write.addr.eq(port.address),
        write.data.eq(port.data),
        read.en.eq(port.read | enable),
        read.addr.eq(Mux(port.read, port.address, address)),
        port.word.eq(read.data),
    ]
    return read.data


def learned(m: Module, spec: Memory, port, update, address, enable, write: Write | None = None):
    """Add the loaded memory `spec` to `m`, with the host at `port` and an UPDATE at `update`.

    address, enable, write : what the chip itself reads and writes.  Only one of the three is at
    work at a time.

    Returns
    -------
    The word that was read in the last clock that read one.
    """
    ram = build(m, spec)
    to = ram.write_port()
    read = ram.read_port()
    writes = [Write(port.write, port.address, port.data)]
    writes += [Write(update.write, update.write_at, update.data)]
    writes += [] if write is None else [write]
    where, what = writes[-1].address, writes[-1].data
    for one in reversed(writes[:-1]):
        where, what = Mux(one.enable, one.address, where), Mux(one.enable, one.data, what)
    m.d.comb += [
        to.en.eq(Cat(one.enable for one in writes).any()),
        to.addr.eq(where),
        to.data.eq(what),
        read.en.eq(port.read | update.read | enable),
        read.addr.eq(Mux(port.read, port.address, Mux(update.read, update.read_at, address))),
        port.word.eq(read.data),
        update.word.eq(after(m, read.data, f"{spec.name}_word")),
    ]
    return read.data


class HostPort(wiring.Signature):
    """The host bus, seen from the host: `datapath.ports.host`, and `result`."""

    def __init__(self, chip: Chip) -> None:
        members = {field.name: Out(shape(field.fmt)) for field in ports.host(chip)}
        super().__init__({**members, "result": In(BUS)})


class HostBus(wiring.Component):
    """The memory map of `datapath.memory`, one beat per clock.

    A write in clock n can be read, by host or chip, from clock n + 2 on. A read in clock n has its
    beat in `result` in clock n + `datapath.timing.READ`; where there is no word, it reads 0.

    Members
    -------
    host : In(HostPort(chip))
    idle : In(1)
        Without it, in the clock of `read` or `write`, the access does not happen.
    control : Out(struct of `datapath.memory.control`)
        The control registers.
    <name> : Out(LoadPort)
        One for every memory the host loads.
    """

    def __init__(self, chip: Chip) -> None:
        self.chip = chip
        self.specs = [spec for spec in memories(chip) if not spec.state]
        super().__init__(
            {
                "host": In(HostPort(chip)),
                "idle": In(1),
                "control": Out(struct(control(chip))),
                **{spec.name: Out(LoadPort(spec)) for spec in self.specs},
            }
        )

    def elaborate(self, platform):
        m = Module()
        bus = Signal(struct(ports.host(self.chip)))
        most = max(spec.beats for spec in self.specs)
        lower = Signal((most - 1) * BUS)
        m.d.sync += [
            bus.address.eq(self.host.address),
            bus.data.eq(self.host.data),
            bus.write.eq(self.host.write & self.idle),
            bus.read.eq(self.host.read & self.idle),
        ]
        with m.If(bus.write):
            m.d.sync += lower.eq(Cat(lower, bus.data)[BUS:])
        beats = [self._registers(m, bus)]
        beats += [self._memory(m, spec, bus, lower) for spec in self.specs]
        result = beats[0]
        for beat in beats[1:]:
            result = result | beat
        m.d.sync += self.host.result.eq(result)
        return m

    def _registers(self, m: Module, bus):
        """Write and read the control registers; the beat comes a clock after `bus.read`."""
        names = list(self.control.shape().members)
        inside = exact_log2(1 << (len(names) - 1).bit_length())
        here = Signal(name="control_here")
        m.d.comb += here.eq(bus.address[inside:] == 0)
        for number, name in enumerate(names):
            with m.If(bus.write & here & (bus.address[:inside] == number)):
                m.d.sync += self.control[name].eq(bus.data)
        held = [self.control[name] for name in names]
        beat = Mux(bus.read & here, select(held, bus.address[:inside]), 0)
        return after(m, beat, "control_beat")

    def _memory(self, m: Module, spec: Memory, bus, lower):
        """Write and read one memory; the beat comes a clock after `bus.read`."""
        port = getattr(self, spec.name)
        low, high = exact_log2(spec.stride), exact_log2(spec.span)
        here = Signal(name=f"{spec.name}_here")
        at = bus.address[low:high]
        region = addresses(self.chip)[spec.name] >> high
        m.d.comb += here.eq((bus.address[high:] == region) & below(at, spec.words))
        last = bus.address[:low] == spec.beats - 1
        m.d.comb += [
            port.address.eq(at),
            port.write.eq(bus.write & here & last),
            port.data.eq(Cat(lower[len(lower) - (spec.beats - 1) * BUS :], bus.data)),
            port.read.eq(bus.read & here),
        ]
        asked = after(m, port.read, f"{spec.name}_asked")
        which = after(m, bus.address[:low], f"{spec.name}_which")
        whole = Cat(port.word, Const(0, spec.stride * BUS - spec.width))
        parts = [whole[n * BUS : (n + 1) * BUS] for n in range(spec.stride)]
        return Mux(asked, select(parts, which), 0)
