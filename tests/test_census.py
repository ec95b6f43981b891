"""What is counted in a netlist: small components by hand, chips against their memories."""

import pytest
from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import memory
from amaranth.lib.wiring import Component, In, Out

from datapath.catalog import CHIPS
from datapath.memory import memories
from rtl.census import GATES, census, count

WIDTH = 8


class Small(Component):
    """Two numbers and two conditions in, one number out."""

    def __init__(self, build):
        super().__init__(
            {"a": In(WIDTH), "b": In(WIDTH), "c": In(1), "d": In(1), "o": Out(2 * WIDTH)}
        )
        self.build = build

    def elaborate(self, platform):
        m = Module()
        m.d.comb += self.o.eq(self.build(self, m))
        return m


def gates(build, **expected):
    """Whether a small component is built of just these bits."""
    (block,) = count(Small(build)).values()
    return block.gates == dict.fromkeys(GATES, 0) | expected


def held(m, value, name, when=None):
    register = Signal(len(value), name=name)
    with m.If(1 if when is None else when):
        m.d.sync += register.eq(value)
    return register


@pytest.mark.parametrize(
    ("build", "expected"),
    [
        (lambda p, m: p.a & p.b, {"and": 8}),
        (lambda p, m: p.a | p.b, {"and": 8}),
        (lambda p, m: p.a ^ p.b, {"mux": 8}),
        (lambda p, m: Mux(p.c, p.a, p.b), {"mux": 8}),
        (lambda p, m: Mux(p.c, p.a, 0), {"and": 8}),
        (lambda p, m: ~p.a, {}),
        # The carry is a ninth bit.
        (lambda p, m: p.a + p.b, {"sum": 9}),
        (lambda p, m: (p.a + p.b)[:WIDTH], {"sum": 8}),
        (lambda p, m: p.a - p.b, {"sum": 9}),
        (lambda p, m: p.a < p.b, {"sum": 8}),
        (lambda p, m: p.a.as_signed() <= p.b.as_signed(), {"sum": 8}),
        # Two bits are as they were.
        (lambda p, m: (p.a + 4)[:WIDTH], {"sum": 6}),
        (lambda p, m: (p.a - 0)[:WIDTH], {}),
        (lambda p, m: p.a == p.b, {"mux": 8, "and": 7}),
        (lambda p, m: p.a == 3, {"and": 7}),
        (lambda p, m: p.a.any(), {"and": 7}),
        # Of every step, so many bits get a constant.
        (lambda p, m: p.a >> p.b[:3], {"mux": 7 + 6 + 4, "and": 1 + 2 + 4}),
        (lambda p, m: (p.a << p.b[:3])[:WIDTH], {"mux": 7 + 6 + 4, "and": 1 + 2 + 4}),
        (lambda p, m: p.a.word_select(p.c, 4), {"mux": 4}),
    ],
)
def test_gates(build, expected):
    assert gates(build, **expected)


def test_what_is_equal_counts_once():
    assert gates(lambda p, m: (p.a & p.b) + (p.b & p.a), **{"and": 8, "sum": 9})


def test_equal_registers_count_once_however_late():
    def late(p, m, name):
        return held(m, held(m, p.a, f"{name}_1"), f"{name}_2", p.c)

    assert gates(lambda p, m: late(p, m, "x") & p.b, **{"and": 8, "register": 16})
    assert gates(lambda p, m: late(p, m, "x") + late(p, m, "y"), sum=9, register=16)


def test_what_nobody_reads_does_not_count():
    def build(p, m):
        held(m, p.a + p.b, "unread")
        return p.a

    assert gates(build)


def test_a_register_that_holds_or_is_cleared_takes_no_gates():
    assert gates(lambda p, m: held(m, p.a, "x", p.c), register=8)

    def cleared(p, m):
        x = held(m, p.a, "x", p.c)
        with m.If(p.d):
            m.d.sync += x.eq(0)
        return x

    # One gate joins the condition and the reset.
    assert gates(cleared, **{"register": 8, "and": 1})

    def either(p, m):
        x = Signal(WIDTH)
        with m.If(p.c):
            m.d.sync += x.eq(p.a)
        with m.Elif(p.d):
            m.d.sync += x.eq(p.b)
        return x

    # One gate says that the second condition counts, one that either does.
    assert gates(either, **{"register": 8, "mux": 8, "and": 2})


def test_products_and_the_registers_at_them():
    def build(p, m):
        return held(m, held(m, p.a, "x") * p.b[:5], "y")

    (block,) = count(Small(build)).values()
    assert block.products == [(8, 5)]
    assert block.gates == dict.fromkeys(GATES, 0) | {"captured": 8 + 13}


def test_memories_are_read_for_what_they_take():
    def build(p, m):
        m.submodules.words = words = memory.Memory(shape=WIDTH, depth=5, init=[])
        write, read = words.write_port(), words.read_port()
        m.d.comb += [
            write.addr.eq(p.a[:3]),
            write.data.eq(p.a + p.b),
            write.en.eq(p.c & p.d),
            read.addr.eq(p.b[:3]),
        ]
        return read.data

    (block,) = count(Small(build)).values()
    assert block.memories == [(5, WIDTH)]
    assert block.gates == dict.fromkeys(GATES, 0) | {"sum": 8, "and": 1}


@pytest.mark.parametrize("name", ["tiny", "tiny-shift", "tiny-current", "tiny-learn"])
def test_chips_have_every_memory_and_every_block(name):
    chip = CHIPS[name]
    blocks = census(chip)
    found = sorted(shape for block in blocks.values() for shape in block.memories)
    assert found == sorted((spec.words, spec.width) for spec in memories(chip))
    assert {"chip", "bus", "sequencer", "axon", "synapse", "lif", "readout"} <= blocks.keys()
    assert ("update" in blocks) == (chip.learn is not None)
    assert ("current" in blocks) == (chip.current is not None)
    assert all(block.gates["register"] for block in blocks.values())
    # A product per lane at least.
    assert len(blocks["synapse"].products) == chip.lanes
