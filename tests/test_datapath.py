"""Formats, chips and images: what they hold, and the sentence with which they refuse the rest."""

import copy
import pickle
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datapath import (
    Chip,
    Compare,
    Delay,
    Format,
    Image,
    Kind,
    Leak,
    Population,
    Projection,
    Reset,
    Rounding,
    ports,
    timing,
)
from datapath.catalog import CHIPS, DIGITS_AXONAL, TINY, TINY_SHIFT
from datapath.chip import LARGEST

formats = st.builds(Format, st.integers(1, 48), st.integers(-64, 64), signed=st.booleans())

# Format


@pytest.mark.parametrize(
    ("fmt", "low", "high", "corners"),
    [
        (Format(8), -128, 127, (-128, -127, -1, 0, 1, 126, 127)),
        (Format(8, signed=False), 0, 255, (0, 1, 254, 255)),
        (Format(1), -1, 0, (-1, 0)),
        (Format(1, signed=False), 0, 1, (0, 1)),
        (Format(2, 1), -2, 1, (-2, -1, 0, 1)),
        (Format(48), -(2**47), 2**47 - 1, (-(2**47), 1 - 2**47, -1, 0, 1, 2**47 - 2, 2**47 - 1)),
    ],
)
def test_a_format_has_these_bounds_and_corners(fmt, low, high, corners):
    assert (fmt.min, fmt.max, fmt.corners) == (low, high, corners)


@given(formats, st.integers(-(2**50), 2**50))
def test_a_format_holds_what_two_to_the_width_words_can_say(fmt, value):
    assert fmt.max - fmt.min + 1 == 2**fmt.width
    assert fmt.holds(value) == (value in range(fmt.min, fmt.max + 1))
    assert all(fmt.holds(corner) for corner in fmt.corners)


@given(formats)
def test_a_format_is_a_tuple_that_copies_and_pickles(fmt):
    assert fmt == (fmt.width, fmt.frac, fmt.signed)
    for twin in (copy.deepcopy(fmt), pickle.loads(pickle.dumps(fmt))):
        assert twin == fmt
        assert type(twin) is Format


def test_a_chip_pickles_so_that_processes_can_share_it():
    assert pickle.loads(pickle.dumps(TINY)) == TINY


@pytest.mark.parametrize(("width", "frac"), [(0, 0), (49, 0)])
def test_a_format_has_1_to_48_bits(width, frac):
    with pytest.raises(ValueError, match=f"width must be between 1 and 48 bits, not {width}"):
        Format(width, frac)


@pytest.mark.parametrize("frac", [-65, 65])
def test_the_point_of_a_format_is_near(frac):
    with pytest.raises(ValueError, match=f"frac must be between -64 and 64 bits, not {frac}"):
        Format(8, frac)


# Chip

U3 = Format(3, signed=False)
S3 = Format(3)
CHIP_ERRORS = [
    (None, {"lanes": 3}, "lanes must be a power of two between 1 and 1024, not 3"),
    (None, {"lanes": 0}, "lanes must be a power of two between 1 and 1024, not 0"),
    (None, {"lanes": 2048}, "lanes must be a power of two between 1 and 1024, not 2048"),
    (None, {"channels": 1}, "channels must be between 2 and 16777216, not 1"),
    (None, {"channels": 9}, "channels must be a multiple of lanes = 2, not 9"),
    (None, {"neurons": 17}, "neurons must be a multiple of lanes = 2, not 17"),
    (None, {"populations": 257}, "populations must be between 1 and 256, not 257"),
    (None, {"projections": 0}, "projections must be between 1 and 4096, not 0"),
    (None, {"synapses": LARGEST + 1}, "synapses must be between 1 and 16777216, not 16777217"),
    (None, {"channels": LARGEST}, "axon.channel_steps = 8 needs a memory of 67108864 words"),
    (None, {"neurons": LARGEST}, "axon.neuron_steps = 8 needs a memory of 67108864 words"),
    ("axon", {"count": S3}, "axon.count must be unsigned, not Format.width=3, .* signed=True"),
    ("axon", {"delay": S3}, "axon.delay must be unsigned"),
    ("axon", {"channel_steps": 1}, "axon.channel_steps must be a power of two between 2 and"),
    ("axon", {"neuron_steps": 6}, "axon.neuron_steps must be a power of two .*, not 6"),
    ("axon", {"delays": -1}, "axon.delays must be between 0 and 16777216, not -1"),
    ("synapse", {"weight": U3}, "synapse.weight must be signed, not Format.width=3"),
    ("synapse", {"scale": S3}, "synapse.scale must be unsigned"),
    ("synapse", {"scale": Format(5, signed=False)}, "synapse.scale.max must be .* 15, not 31"),
    ("synapse", {"acc": Format(16, signed=False)}, "synapse.acc must be signed"),
    ("synapse", {"acc": Format(4)}, "synapse.acc must be at least as wide as synapse.weight"),
    ("synapse", {"delay": S3}, "synapse.delay must be unsigned"),
    ("synapse", {"slots": 3}, "synapse.slots must be a power of two between 1 and .*, not 3"),
    ("synapse", {"slots": 1}, "synapse.slots must be at least 2 where delays are .*, not 1"),
    ("synapse", {"slots": LARGEST}, "synapse.slots = 16777216 needs a memory of 134217728 words"),
    ("synapse", {"dendritic": -1}, "synapse.dendritic must be between 0 and 16777216, not -1"),
    ("lif", {"v": Format(12, signed=False)}, "lif.v must be signed"),
    ("lif", {"bias": U3}, "lif.bias must be signed"),
    ("lif", {"coefficient": Format(7, 6)}, "lif.coefficient must be unsigned"),
    ("lif", {"coefficient": Format(7, signed=False)}, "frac must be between 1 and 6, not 0"),
    ("lif", {"coefficient": Format(7, 7, signed=False)}, "frac must be between 1 and 6, not 7"),
    ("lif", {"leak": "shift"}, "lif.coefficient must be narrower: a shift by 127 leaves nothing"),
    ("lif", {"leak": "sift"}, "lif.leak must be 'shift' or 'multiply' or 'settle', not 'sift'"),
    ("lif", {"rounding": "up"}, "lif.rounding must be 'floor' or 'zero' or 'nearest', not 'up'"),
    ("lif", {"compare": "="}, "lif.compare must be '>=' or '>', not '='"),
    ("readout", {"score": Format(20, signed=False)}, "readout.score must be signed"),
    ("readout", {"score": Format(11)}, "readout.score must be at least as wide as lif.v"),
    ("readout", {"classes": 0}, "readout.classes must be between 1 and 16777216, not 0"),
]


def altered(block, changes) -> Chip:
    if block is None:
        return replace(TINY, **changes)
    return replace(TINY, **{block: replace(getattr(TINY, block), **changes)})


@pytest.mark.parametrize(("block", "changes", "sentence"), CHIP_ERRORS)
def test_a_chip_that_cannot_be_built_is_refused_in_a_sentence(block, changes, sentence):
    with pytest.raises(ValueError, match=sentence):
        altered(block, changes)


def test_words_become_their_enum():
    lif = replace(TINY_SHIFT.lif, leak="shift", rounding="zero", compare=">")
    assert lif.leak is Leak.SHIFT
    assert lif.rounding is Rounding.ZERO
    assert lif.compare is Compare.GT
    assert hash(lif) == hash(TINY_SHIFT.lif)


def test_one_is_the_coefficient_that_does_not_leak():
    assert TINY.lif.one == 64  # 64 / 2**6
    assert TINY_SHIFT.lif.one == 0  # a shift by 0
    assert TINY.lif.coefficient.holds(TINY.lif.one)


def test_blocks_are_words_of_lanes():
    assert (TINY.neuron_blocks, TINY.channel_blocks) == (16 // 2, 8 // 2)
    assert (DIGITS_AXONAL.neuron_blocks, DIGITS_AXONAL.channel_blocks) == (19, 18)


@pytest.mark.parametrize("chip", CHIPS.values(), ids=CHIPS)
def test_ports_are_as_wide_as_the_largest_number_they_carry(chip):
    command = {field.name: field.fmt.max for field in ports.command(chip)}
    result = {field.name: field.fmt.max for field in ports.result(chip)}
    assert command["channel"] >= chip.channels - 1 > command["channel"] // 2
    assert result["index"] >= chip.neurons - 1 > result["index"] // 2
    assert command["op"] >= max(ports.commands(chip))
    assert result["op"] >= max(ports.Result)
    assert dict(ports.result(chip))["value"] == chip.readout.score
    assert [field.name for field in ports.host(chip)] == ["address", "data", "write", "read"]
    assert [field.name for field in ports.probe(chip)] == ["v", "u", "fired", "saturated"]


@pytest.mark.parametrize(
    ("chip", "deepest"),
    [
        (TINY, 8 * 8),  # 8 blocks of neurons times 8 slots
        (TINY_SHIFT, 8 * 16),  # 8 channels times 16 steps
        (DIGITS_AXONAL, 18 * 64),  # 18 blocks of channels times 64 steps
        (replace(TINY, readout=replace(TINY.readout, classes=1000)), 1000),
        (replace(TINY, axon=replace(TINY.axon, neuron_steps=64)), 8 * 64),
    ],
)
def test_a_clear_takes_one_cycle_per_word_of_the_deepest_state_memory(chip, deepest):
    assert timing.clear_cycles(chip) == timing.CLEAR + deepest


# Image


def hidden(**changes) -> Population:
    return replace(
        Population("hidden", Kind.LIF, 3, 100, 0, 60, Reset.SUBTRACT, emit=True), **changes
    )


def out(**changes) -> Population:
    return replace(Population("out", Kind.READOUT, 2, 1, 0, 64, Reset.ZERO, emit=False), **changes)


def first(**changes) -> Projection:
    return replace(
        Projection("first", "in", "hidden", np.ones((3, 4), int), 0, Delay.AXONAL, 0, 0), **changes
    )


def again(**changes) -> Projection:
    weights = np.ones((3, 3), int)
    return replace(Projection("again", "hidden", "hidden", weights, 0, Delay.NONE, 0, 0), **changes)


def last(**changes) -> Projection:
    weights = np.ones((2, 3), int)
    return replace(Projection("last", "hidden", "out", weights, 0, Delay.NONE, 0, 0), **changes)


def image(**changes) -> Image:
    given = {
        "chip": TINY,
        "input_name": "in",
        "channels": 4,
        "units": 8,
        "dt_us": 1000,
        "steps": 10,
        "populations": (hidden(), out()),
        "projections": (first(), again(), last()),
    }
    return Image(**{**given, **changes})


def at(shape, place, value):
    array = np.zeros(shape, int)
    array[place] = value
    return array


def small(**changes) -> Chip:
    return replace(TINY, **changes)


WEAK = replace(TINY, synapse=replace(TINY.synapse, acc=Format(7)))
NO_DENDRITES = replace(TINY, synapse=replace(TINY.synapse, dendritic=0))
NO_SYNAPSES = replace(TINY, synapse=replace(TINY.synapse, synaptic=False))
NO_AXONS = replace(TINY, axon=replace(TINY.axon, delays=0))
IMAGE_ERRORS = [
    # A population alone.
    (lambda: hidden(name=""), "a population's name must be printable and not empty, not ''"),
    (lambda: hidden(name="a\nb"), r"a population's name must be printable .* not 'a\\nb'"),
    (lambda: hidden(size=0), "hidden: size must be at least 1, not 0"),
    (lambda: hidden(size=2.5), "hidden: size must be a whole number, not 2.5"),
    (lambda: hidden(bias=0.5), "hidden: bias must hold integers, not float64"),
    (lambda: hidden(bias=[1, 2]), r"hidden: bias must have shape \(3,\), not \(2,\)"),
    (lambda: hidden(bias=2**64 - 1), "hidden: bias = 18446744073709551615 does not fit 64 bits"),
    (lambda: hidden(kind="lip"), "hidden: kind must be 'lif' or 'readout', not 'lip'"),
    (lambda: hidden(reset="one"), "hidden: reset must be 'subtract' or 'zero', not 'one'"),
    (lambda: hidden(emit="no"), "hidden: emit must be True or False, not 'no'"),
    # A projection alone.
    (lambda: first(name=""), "a projection's name must be printable and not empty"),
    (lambda: first(weights=[1]), r"first: weights must have shape \(post, pre\), not \(1,\)"),
    (lambda: first(weights=[[0.5]]), "first: weights must hold integers, not float64"),
    (lambda: first(delays=[1, 2]), r"first: delays must have shape \(4,\), not \(2,\)"),
    (lambda: first(delay="dental"), "first: delay must be 'none' or 'axonal' or .*'dental'"),
    (lambda: first(scale=1.0), "first: scale must be a whole number, not 1.0"),
    # An image.
    (lambda: image(input_name=""), "a population's name must be printable and not empty"),
    (lambda: image(input_name="out"), "two populations are called 'out'"),
    (lambda: image(steps=1.5), "steps must be a whole number, not 1.5"),
    (lambda: image(channels=0), "channels must be at least 1, not 0"),
    (lambda: image(dt_us=0), "dt_us must be at least 1, not 0"),
    (lambda: image(steps=-1), "steps must be at least 1, not -1"),
    (lambda: image(units=3), "units must be at least 4, not 3"),
    (lambda: image(populations=(hidden(),)), "exactly one readout population, not 0"),
    (lambda: image(labels=("yes",)), "labels must name the 2 readouts, not 1"),
    # Integers that do not fit, by name and index.
    (
        lambda: image(populations=(hidden(threshold=[1, 2048, 1]), out())),
        r"hidden: threshold\[1\] = 2048 does not fit Format\(width=12",
    ),
    (
        lambda: image(populations=(hidden(threshold=[1, 1, 0]), out())),
        r"hidden: threshold\[2\] = 0 must be positive",
    ),
    (
        lambda: image(populations=(hidden(), out(bias=[0, -129]))),
        r"out: bias\[1\] = -129 does not fit Format\(width=8",
    ),
    (
        lambda: image(populations=(hidden(coefficient=[0, -1, 0]), out())),
        r"hidden: coefficient\[1\] = -1 does not fit Format\(width=7",
    ),
    (
        lambda: image(projections=(first(weights=at((3, 4), (2, 1), 16)),)),
        r"first: weights\[2, 1\] = 16 does not fit Format\(width=5, frac=0, signed=True\)",
    ),
    (
        lambda: image(projections=(first(delays=[0, 0, 8, 0]),)),
        r"first: delays\[2\] = 8 does not fit Format\(width=3",
    ),
    (
        lambda: image(projections=(first(delay="synaptic", delays=at((3, 4), (2, 3), -1)),)),
        r"first: delays\[2, 3\] = -1 does not fit",
    ),
    (lambda: image(projections=(first(scale=4),)), "first: scale = 4 does not fit Format.width=2"),
    (lambda: image(projections=(first(scale=-1),)), "first: scale = -1 does not fit"),
    # Projections that do not join.
    (lambda: image(projections=(first(), first())), "two projections are called 'first'"),
    (lambda: image(projections=(first(post="on"),)), "first: there is no population 'on' to"),
    (lambda: image(projections=(first(post="in"),)), "first: there is no population 'in' to"),
    (lambda: image(projections=(first(pre="on"),)), "first: there is no spiking population 'on'"),
    (lambda: image(projections=(first(pre="out"),)), "first: there is no spiking population 'out'"),
    (
        lambda: image(projections=(again(pre="in"),)),
        r"again: weights must have shape \(post, pre\) = \(3, 4\), not \(3, 3\)",
    ),
    # Delays that the chip does not have.
    (lambda: image(projections=(first(resolution=16),)), "first: resolution .* 15, not 16"),
    (lambda: image(projections=(again(delays=1),)), "again: delays must be 0 where .* none"),
    (lambda: image(projections=(again(delays=2),)), "again: delays = 2 does not fit"),
    (lambda: image(chip=NO_AXONS), "first: the chip is built without axonal delays"),
    (
        lambda: image(chip=NO_DENDRITES, projections=(first(delay="dendritic", delays=0),)),
        "first: the chip is built without dendritic delays",
    ),
    (
        lambda: image(chip=NO_SYNAPSES, projections=(first(delay="synaptic", delays=0),)),
        "first: the chip is built without synaptic delays",
    ),
    (
        lambda: image(projections=(first(delays=4, resolution=1),)),
        "first: a delay of 8 ticks needs axon.channel_steps > 8, and the chip has 8",
    ),
    (
        lambda: image(projections=(again(delay="axonal", delays=7),)),
        "again: a delay of 8 ticks needs axon.neuron_steps > 8, and the chip has 8",
    ),
    (
        lambda: image(projections=(again(delay="dendritic", delays=1, resolution=3),)),
        "again: a delay of 8 ticks needs synapse.slots > 8, and the chip has 8",
    ),
    # Capacities. 3 hidden neurons and 2 readouts are 2 + 1 blocks of 2 lanes.
    (lambda: image(chip=small(channels=2)), "needs channels = 4, and the chip has 2"),
    (lambda: image(chip=small(neurons=4)), "needs neurons = 6, and the chip has 4"),
    (lambda: image(chip=small(populations=1)), "needs populations = 2, and the chip has 1"),
    (lambda: image(chip=small(projections=2)), "needs projections = 3, and the chip has 2"),
    (lambda: image(chip=small(synapses=16)), "needs synapses = 17, and the chip has 16"),
    (
        lambda: image(chip=replace(TINY, axon=replace(TINY.axon, delays=3))),
        "needs axon.delays = 4, and the chip has 3",
    ),
    (
        lambda: image(
            chip=replace(TINY, synapse=replace(TINY.synapse, dendritic=1)),
            projections=(first(delay="dendritic", delays=0),),
        ),
        "needs synapse.dendritic = 2, and the chip has 1",
    ),
    (
        lambda: image(chip=replace(TINY, readout=replace(TINY.readout, classes=1))),
        "needs readout.classes = 2, and the chip has 1",
    ),
    # Up to 7 events on each of 4 channels, weight 2: 56 fits 7 bits; with weight 3, 84 does not.
    (
        lambda: image(chip=WEAK, projections=(first(weights=[[2] * 4, [2] * 4, [3] * 4]),)),
        r"hidden: neuron 2 can receive 0 to 84 in one tick, which does not fit synapse.acc",
    ),
]


@pytest.mark.parametrize(("build", "sentence"), IMAGE_ERRORS)
def test_an_image_refuses_what_does_not_fit_by_name_and_index(build, sentence):
    with pytest.raises(ValueError, match=sentence):
        build()


def test_an_accumulator_may_be_used_to_its_last_value():
    """9 * 7 = 63 is the largest 7-bit number; -3 * 7 * 3 = -63 leaves one below."""
    image(chip=WEAK, projections=(first(weights=[[-3, -3, -3, 9]] * 3),))
    with pytest.raises(ValueError, match="neuron 0 can receive -63 to 64"):
        # One more spike can come from the neuron itself.
        image(
            chip=WEAK,
            projections=(
                first(weights=[[-3, -3, -3, 9]] * 3),
                again(weights=[[1, 0, 0], [0, 0, 0], [0, 0, 0]]),
            ),
        )


def test_sums_beyond_64_bits_do_not_wrap():
    """4 x -2**46 x 2**15 x (2**48 - 1) is -2**111 + 2**63; in 64 bits it would wrap and pass."""
    chip = replace(
        TINY,
        axon=replace(TINY.axon, count=Format(48, signed=False)),
        synapse=replace(
            TINY.synapse,
            weight=Format(48),
            acc=Format(48),
            scale=Format(4, signed=False),
        ),
    )
    with pytest.raises(ValueError, match=f"neuron 0 can receive {2**63 - 2**111} to 0 in one tick"):
        image(chip=chip, projections=(first(weights=np.full((3, 4), -(2**46)), scale=15),))


def test_a_scalar_is_spread_and_arrays_are_read_only_copies():
    given = np.arange(1, 4)
    population = hidden(threshold=given, bias=7)
    given[0] = 99
    assert population.threshold.tolist() == [1, 2, 3]
    assert population.bias.tolist() == [7, 7, 7]
    assert population.bias.dtype == np.int64
    with pytest.raises(ValueError, match="read-only"):
        population.bias[0] = 1


def test_numpy_numbers_become_plain_ones():
    spread = image(channels=np.int32(4), steps=np.int64(10))
    assert (type(spread.channels), type(spread.steps)) == (int, int)
    assert type(hidden(emit=np.True_).emit) is bool
    assert type(first(scale=np.int8(1)).scale) is int


def test_the_threshold_of_a_readout_is_not_used():
    image(populations=(hidden(), out(threshold=0)))


def test_age_is_0_forward_and_1_back():
    loaded = image()
    assert [loaded.age(p) for p in loaded.projections] == [0, 1, 0]
    assert [loaded.source_size(p) for p in loaded.projections] == [4, 3, 3]
    assert loaded.readout.name == "out"


def test_steps_are_age_and_shifted_delay():
    loaded = image(
        projections=(
            first(delays=[0, 1, 2, 3], resolution=1),
            again(delay="dendritic", delays=[0, 1, 2]),
            last(delay="synaptic", delays=[[0, 1, 2], [3, 4, 5]]),
        )
    )
    steps = [loaded.steps_of(p).tolist() for p in loaded.projections]
    assert steps[0] == [[0, 2, 4, 6]] * 3
    assert steps[1] == [[1, 1, 1], [2, 2, 2], [3, 3, 3]]
    assert steps[2] == [[0, 1, 2], [3, 4, 5]]


def test_a_delay_may_reach_to_the_last_slot():
    image(projections=(first(delays=7), again(delay="axonal", delays=6)))
    image(projections=(again(delay="synaptic", delays=7),))
