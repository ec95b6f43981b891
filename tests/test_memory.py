"""Packing of memory words, the memory map, and what an image puts into each word."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datapath import Chip, Delay, Format, Image, Kind, Population, Projection, Reset, ports
from datapath.catalog import CHIPS, DIGITS_AXONAL, TINY, TINY_LEARN
from datapath.contents import contents, controls, learned_image
from datapath.files import digest
from datapath.memory import (
    BUS,
    Field,
    Memory,
    addresses,
    bus_addresses,
    control,
    memories,
    numbers,
    unsigned,
    words,
)
from sim.images import random_image as any_image
from sim.images import random_learning, random_learning_chip
from sim.stimulus import noise


def packed_slowly(memory: Memory, rows: list[list[list[int]]]) -> list[list[int]]:
    """Pack rows[word][lane][field] with Python integers alone."""
    out = []
    for row in rows:
        word, at = 0, 0
        for lane in row:
            for field, value in zip(memory.fields, lane, strict=True):
                word |= (value % 2**field.fmt.width) << at
                at += field.fmt.width
        out.append([(word >> (32 * beat)) % 2**32 for beat in range(-(-at // 32))])
    return out


@st.composite
def filled(draw) -> tuple[Memory, list[list[list[int]]]]:
    """Draw a memory of 1 to 16 lanes and some words of it, corners more often than not."""
    fields = tuple(
        Field(
            f"f{n}", draw(st.builds(Format, st.integers(1, 48), st.just(0), signed=st.booleans()))
        )
        for n in range(draw(st.integers(1, 4)))
    )
    memory = Memory("m", 8, draw(st.integers(1, 16)), fields, False)
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))

    def value(fmt: Format) -> int:
        corner, other = rng.choice(fmt.corners), rng.integers(fmt.min, fmt.max, endpoint=True)
        return int(corner if rng.integers(3) else other)

    rows = [
        [[value(field.fmt) for field in fields] for _ in range(memory.lanes)]
        for _ in range(draw(st.integers(0, 4)))
    ]
    return memory, rows


@settings(max_examples=60, deadline=None)
@given(filled())
def test_words_are_packed_from_the_least_significant_bit_and_unpacked_again(given_):
    memory, rows = given_
    table = np.array(rows, np.int64).reshape(len(rows), memory.lanes, len(memory.fields))
    columns = [table[:, :, n] for n in range(len(memory.fields))]
    beats = words(memory, columns)
    assert beats.dtype == np.uint32
    assert beats.shape == (len(rows), memory.beats)
    assert beats.tolist() == packed_slowly(memory, rows)
    for field, column in zip(memory.fields, columns, strict=True):
        assert (numbers(memory, beats)[field.name] == column).all()


def test_a_word_of_two_lanes_by_hand():
    """Lane 0: a = -1 in 3 bits, b = 2 in 2 bits; lane 1: a = 3, b = 1: 01 011 10 111."""
    memory = Memory("m", 1, 2, (Field("a", Format(3)), Field("b", Format(2, signed=False))), False)
    beats = words(memory, [np.array([[-1, 3]]), np.array([[2, 1]])])
    assert beats.tolist() == [[0b01_011_10_111]]


def test_a_wide_word_by_hand():
    """A 40-bit field is the first beat and the lowest 8 bits of the second."""
    memory = Memory("m", 1, 1, (Field("a", Format(40)),), False)
    assert words(memory, [np.array([[-2]])]).tolist() == [[0xFFFFFFFE, 0xFF]]
    assert words(memory, [np.array([[2**33 + 5]])]).tolist() == [[5, 2]]


@pytest.mark.parametrize(
    ("width", "beats", "stride"),
    [
        (1, 1, 1),
        (32, 1, 1),
        (33, 2, 2),
        (64, 2, 2),
        (65, 3, 4),
        (96, 3, 4),
        (97, 4, 4),
        (129, 5, 8),
    ],
)
def test_words_take_a_power_of_two_of_beats(width, beats, stride):
    memory = Memory("m", 5, width, (Field("a", Format(1)),), False)
    assert (memory.width, memory.bits) == (width, 5 * width)
    assert (memory.beats, memory.stride) == (beats, stride)
    assert memory.span == 8 * stride  # 5 words, padded to 8


@pytest.mark.parametrize(("largest", "width"), [(0, 1), (1, 1), (2, 2), (3, 2), (4, 3), (255, 8)])
def test_the_smallest_unsigned_format(largest, width):
    assert unsigned(largest) == Format(width, signed=False)


# Memory map


@st.composite
def chips(draw) -> Chip:
    lanes = 2 ** draw(st.integers(0, 5))
    slots = 2 ** draw(st.integers(1, 6))
    return replace(
        TINY,
        lanes=lanes,
        channels=lanes * draw(st.integers(1, 40)),
        neurons=lanes * draw(st.integers(1, 40)),
        populations=draw(st.integers(1, 20)),
        projections=draw(st.integers(1, 20)),
        synapses=draw(st.integers(1, 5000)),
        axon=replace(TINY.axon, delays=draw(st.integers(0, 300))),
        synapse=replace(
            TINY.synapse,
            weight=Format(draw(st.integers(1, 16))),
            slots=slots,
            dendritic=draw(st.integers(0, 300)),
            synaptic=draw(st.booleans()),
        ),
    )


@settings(max_examples=50, deadline=None)
@given(st.one_of(st.sampled_from(list(CHIPS.values())), chips()))
def test_regions_of_the_memory_map_are_aligned_and_apart(chip):
    spans = {m.name: m.span for m in memories(chip) if not m.state}
    spans["control"] = len(control(chip))
    base = addresses(chip)
    assert base.keys() == spans.keys()
    end = 0
    for name, start in sorted(base.items(), key=lambda item: item[1]):
        assert start >= end
        assert start % spans[name] == 0
        end = start + spans[name]
    assert bus_addresses(chip) == end
    assert dict(ports.host(chip))["address"].max >= end - 1


@settings(max_examples=25, deadline=None)
@given(chips())
def test_every_table_entry_has_room_for_the_capacities(chip):
    table = {m.name: dict(m.fields) for m in memories(chip)}
    assert table["populations"]["size"].holds(chip.neurons)
    assert table["populations"]["blocks"].holds(chip.neuron_blocks)
    assert table["populations"]["projections"].holds(chip.projections)
    assert table["projections"]["size"].holds(max(chip.channels, chip.neurons))
    assert table["projections"]["weights"].holds(chip.synapses - 1)
    assert table["projections"]["pre"].holds(chip.neuron_blocks - 1)
    assert dict(control(chip))["populations"].holds(chip.populations)
    assert dict(control(chip))["channel_blocks"].holds(chip.channel_blocks)


def test_a_chip_without_delays_builds_no_memory_for_them():
    bare = replace(
        TINY,
        axon=replace(TINY.axon, delays=0),
        synapse=replace(TINY.synapse, dendritic=0, synaptic=False),
    )
    assert {m.name for m in memories(TINY)} - {m.name for m in memories(bare)} == {
        "axonal_delays",
        "dendritic_delays",
        "synaptic_delays",
    }


def test_the_bits_of_a_chip_by_hand():
    """TINY: 2 lanes, 8 blocks of neurons, 4 blocks of channels, 8 slots."""
    assert {m.name: m.bits for m in memories(TINY)} == {
        "populations": 4 * (4 + 5 + 4 + 1 + 1 + 1),
        "projections": 8 * (1 + 3 + 5 + 1 + 1 + 1 + 1 + 4 + 4 + 7 + 2),
        "neurons": 16 * (12 + 8 + 7),
        "weights": 128 * 2 * 5,
        "synaptic_delays": 128 * 2 * 3,
        "dendritic_delays": 8 * 2 * 3,
        "axonal_delays": 16 * 3,
        "channel_history": 8 * 8 * 3,
        "neuron_history": 16 * 8 * 1,
        "accumulators_0": 8 * 8 * 16,
        "accumulators_1": 8 * 8 * 16,
        "membranes": 16 * 12,
        "scores": 4 * 20,
    }


# Contents


def worked() -> Image:
    """Two channels, three hidden neurons with a loop, one readout; lanes are pairs of neurons."""
    return Image(
        chip=TINY,
        input_name="in",
        channels=3,
        units=3,
        dt_us=1000,
        steps=10,
        populations=(
            Population("hidden", Kind.LIF, 3, [10, 20, 30], [1, -1, 0], 60, Reset.ZERO, emit=True),
            Population("out", Kind.READOUT, 1, 1, 5, 64, Reset.SUBTRACT, emit=False),
        ),
        # Not in the order of the table: that is by the population they reach.
        projections=(
            Projection("last", "hidden", "out", [[7, -8, 9]], 3, Delay.SYNAPTIC, [[1, 2, 3]], 1),
            Projection(
                "first",
                "in",
                "hidden",
                [[1, 2, 3], [4, 5, 6], [-7, -8, -9]],
                1,
                Delay.AXONAL,
                [0, 3, 7],
                0,
            ),
            Projection(
                "loop", "hidden", "hidden", np.full((3, 3), -1), 0, Delay.DENDRITIC, [4, 5, 6], 0
            ),
        ),
    )


def read(image: Image, name: str) -> dict[str, list]:
    memory = next(m for m in memories(image.chip) if m.name == name)
    columns = numbers(memory, contents(image)[name])
    return {key: column.tolist() for key, column in columns.items()}


def entries(image: Image, name: str) -> list[dict[str, int]]:
    columns = read(image, name)
    return [
        {key: columns[key][n][0] for key in columns}
        for n in range(len(next(iter(columns.values()))))
    ]


def test_the_registers_of_a_worked_image():
    assert controls(worked()) == {"populations": 2, "channel_blocks": 2}


def test_the_population_table_of_a_worked_image():
    assert entries(worked(), "populations") == [
        {"blocks": 2, "size": 3, "projections": 2, "readout": 0, "zero": 1, "emit": 1},
        {"blocks": 1, "size": 1, "projections": 1, "readout": 1, "zero": 0, "emit": 0},
    ]


def test_the_projection_table_of_a_worked_image():
    """Rows of two words for the three hidden neurons: 3 rows, 3 rows, then 3 rows of one word."""
    none = {"axonal": 0, "dendritic": 0, "synaptic": 0, "delays": 0, "resolution": 0, "age": 0}
    assert entries(worked(), "projections") == [
        none | {"neuron": 0, "pre": 0, "size": 3, "weights": 0, "scale": 1, "axonal": 1},
        none
        | {"neuron": 1, "pre": 0, "size": 3, "weights": 6, "scale": 0, "dendritic": 1, "age": 1},
        none
        | {"neuron": 1, "pre": 0, "size": 3, "weights": 12, "scale": 3, "synaptic": 1}
        | {"resolution": 1},
    ]


def test_the_memories_of_a_worked_image():
    image = worked()
    assert read(image, "neurons") == {
        "threshold": [[10, 20], [30, 0], [1, 0]],
        "bias": [[1, -1], [0, 0], [5, 0]],
        "coefficient": [[60, 60], [60, 0], [64, 0]],
    }
    # A row is one source: its targets in pairs.
    first = [[1, 4], [-7, 0], [2, 5], [-8, 0], [3, 6], [-9, 0]]
    loop = [[-1, -1], [-1, 0]] * 3
    last = [[7, 0], [-8, 0], [9, 0]]
    assert read(image, "weights") == {"weight": first + loop + last}
    assert read(image, "synaptic_delays") == {"delay": [[0, 0]] * 12 + [[1, 0], [2, 0], [3, 0]]}
    assert read(image, "dendritic_delays") == {"delay": [[4, 5], [6, 0]]}
    assert read(image, "axonal_delays") == {"delay": [[0], [3], [7]]}


def test_the_first_beats_of_a_worked_image():
    """Blocks 2, size 3, projections 2, readout 0, zero 1, emit 1 in 4, 5, 4, 1, 1, 1 bits."""
    beats = contents(worked())
    assert beats["populations"][0].tolist() == [0b1_1_0_0010_00011_0010]
    assert beats["axonal_delays"].tolist() == [[0], [3], [7]]
    assert beats["weights"][1].tolist() == [0b00000_11001]  # -7 in 5 bits, and padding


def test_the_second_projection_with_delays_finds_them_behind_those_of_the_first():
    image = worked()
    first = next(p for p in image.projections if p.name == "first")
    more = replace(first, name="more", delays=[1, 1, 1])
    table = entries(replace(image, projections=(first, more)), "projections")
    assert [entry["delays"] for entry in table] == [0, 3]
    assert [entry["weights"] for entry in table] == [0, 6]


def test_an_image_without_projections_has_empty_memories():
    image = replace(worked(), projections=())
    packed = contents(image)
    assert {name: len(beats) for name, beats in packed.items()} == {
        "populations": 2,
        "projections": 0,
        "neurons": 3,
        "weights": 0,
        "synaptic_delays": 0,
        "dendritic_delays": 0,
        "axonal_delays": 0,
    }
    assert entries(image, "projections") == []


def random_image(rng: np.random.Generator, lanes: int) -> Image:
    """Two hidden populations and a readout, joined at random with every delay mode."""
    sizes = {"in": int(rng.integers(1, 20)), "out": int(rng.integers(1, 5))}
    sizes |= {"a": int(rng.integers(1, 12)), "b": int(rng.integers(1, 12))}
    chip = replace(
        DIGITS_AXONAL,
        lanes=lanes,
        channels=32,
        neurons=64,
        populations=4,
        projections=12,
        axon=replace(DIGITS_AXONAL.axon, neuron_steps=128),
        synapse=replace(
            DIGITS_AXONAL.synapse,
            slots=128,
            delay=Format(5, signed=False),
            dendritic=200,
            synaptic=True,
        ),
    )
    modes = list(Delay)
    joined = []
    for n in range(int(rng.integers(1, 9))):
        pre, post = rng.choice(["in", "a", "b"]), rng.choice(["a", "b", "out"])
        shape = (sizes[post], sizes[pre])
        mode = modes[rng.integers(4)]
        spread = {"none": (), "axonal": shape[1:], "dendritic": shape[:1], "synaptic": shape}[mode]
        delays = 0 if mode is Delay.NONE else rng.integers(0, 30, spread)
        weights = rng.integers(-128, 128, shape)
        joined.append(Projection(f"p{n}", pre, post, weights, rng.integers(8), mode, delays, 1))
    populations = tuple(
        Population(
            name,
            Kind.READOUT if name == "out" else Kind.LIF,
            sizes[name],
            rng.integers(1, 1000, sizes[name]),
            rng.integers(-100, 100, sizes[name]),
            rng.integers(0, 256, sizes[name]),
            Reset.SUBTRACT,
            emit=bool(rng.integers(2)),
        )
        for name in rng.permutation(["a", "b", "out"])
    )
    return Image(chip, "in", sizes["in"], 32, 1000, 10, populations, tuple(joined))


def synapses_in_memory(image: Image) -> list[tuple[str, int, int, int, int, int]]:
    """Walk tables and memories as the chip does: (post, j, source is neuron, source, w, ticks)."""
    lanes = image.chip.lanes
    weight = read(image, "weights")["weight"]
    synaptic = read(image, "synaptic_delays")["delay"]
    dendritic = read(image, "dendritic_delays")["delay"]
    axonal = read(image, "axonal_delays")["delay"]
    table = iter(entries(image, "projections"))
    found = []
    for population, entry in zip(image.populations, entries(image, "populations"), strict=True):
        for _ in range(entry["projections"]):
            p = next(table)
            for source in range(p["size"]):
                for j in range(entry["size"]):
                    block, lane = divmod(j, lanes)
                    word = p["weights"] + source * entry["blocks"] + block
                    delay = (
                        p["axonal"] * (axonal[p["delays"] + source][0] if p["axonal"] else 0)
                        + (dendritic[p["delays"] + block][lane] if p["dendritic"] else 0)
                        + (synaptic[word][lane] if p["synaptic"] else 0)
                    )
                    ticks = p["age"] + (delay << p["resolution"])
                    drive = weight[word][lane] << p["scale"]
                    source_at = p["pre"] * lanes + source
                    found.append((population.name, j, p["neuron"], source_at, drive, ticks))
    assert next(table, None) is None
    return found


def synapses_in_image(image: Image) -> list[tuple[str, int, int, int, int, int]]:
    """List the same synapses from the arrays of the image."""
    first, at = {}, 0
    for population in image.populations:
        first[population.name] = at
        at += -(-population.size // image.chip.lanes) * image.chip.lanes
    found = []
    for p in image.projections:
        neuron = int(p.pre != "in")
        for j, source in np.ndindex(*p.weights.shape):
            source_at = source + (first[p.pre] if neuron else 0)
            drive = int(p.weights[j, source]) << p.scale
            ticks = int(image.steps_of(p)[j, source])
            found.append((p.post, j, neuron, source_at, drive, ticks))
    return found


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("lanes", [1, 2, 16])
def test_the_tables_alone_lead_to_every_synapse_of_a_random_image(lanes, seed):
    image = random_image(np.random.default_rng(seed), lanes)
    assert sorted(synapses_in_memory(image)) == sorted(synapses_in_image(image))


def test_the_bus_is_as_wide_as_a_beat():
    assert dict(ports.host(TINY))["data"] == Format(BUS, signed=False)


def learned_at_random(rng: np.random.Generator, image: Image) -> Image:
    """Change every word of `image` that its rules let learn, whatever came in."""
    chip, learn, learning = image.chip, image.chip.learn, image.learning
    projections, rules = [], []
    for p, rule in zip(image.projections, learning.projections, strict=True):
        weights = noise(rng, chip.synapse.weight, p.weights.shape) if rule.weights else p.weights
        delays = rng.integers(rule.largest + 1, size=p.delays.shape) if rule.delays else p.delays
        projections.append(replace(p, weights=weights, delays=delays))
        changed = {
            "weight_fractions": noise(rng, learn.weight_fraction, p.weights.shape),
            "weight_gradients": noise(rng, learn.weight_gradient, p.weights.shape),
        }
        if p.delay in (Delay.AXONAL, Delay.SYNAPTIC):
            changed["delay_fractions"] = noise(rng, learn.delay_fraction, p.delays.shape)
            changed["delay_gradients"] = noise(rng, learn.delay_gradient, p.delays.shape)
        rules.append(replace(rule, **changed))
    random = rng.integers(1, 2**32, chip.lanes)
    learning = replace(learning, random=random, projections=tuple(rules))
    return replace(image, projections=tuple(projections), learning=learning)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("lanes", [1, 2, 4])
def test_what_a_chip_has_learned_is_read_back_from_its_memories(lanes, seed):
    rng = np.random.default_rng([seed, lanes])
    chip = TINY_LEARN if lanes == 2 and seed < 4 else random_learning_chip(rng, lanes)
    image = random_learning(rng, any_image(rng, chip, 7))
    changed = learned_at_random(rng, image)
    assert digest(changed) != digest(image)
    assert digest(learned_image(image, contents(changed))) == digest(changed)


def test_an_image_without_rules_has_learned_nothing():
    with pytest.raises(ValueError, match=r"^learning: the image has no rules to learn by$"):
        learned_image(worked(), contents(worked()))
