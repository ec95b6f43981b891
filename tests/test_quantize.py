"""A float network onto integers and back: numbers to check by hand first, then random networks."""

from dataclasses import replace

import numpy as np
import pytest

import datapath
import model
from datapath import Chip, Compare, Format, Leak, Rounding
from datapath.catalog import DIGITS_AXONAL, DIGITS_SYNAPTIC, XYLO
from emulator.chip import run
from model import Delay, Input, Lif, Network, Projection, Readout, Reset, simulate
from quant import Granularity, Options, Scale, Search, chip_for, dequantize, options_for, quantize
from quant.calibrate import before_reset, observed, with_mirrors
from quant.problem import integers

OPTIONS = Options(
    weight_bits=8,
    delay_bits=4,
    coefficient_bits=9,
    membrane_bits=16,
    bias_bits=12,
    count_bits=3,
    scale_bits=3,
    lanes=2,
    leak=Leak.MULTIPLY,
    rounding=Rounding.NEAREST,
    compare=Compare.GE,
)


def to_float(options=OPTIONS, chip=None, calibration=None, **changed):
    """Quantize with some options changed."""
    options = replace(options, **changed)
    return lambda network: quantize(network, chip=chip, options=options, calibration=calibration)


def small(
    weights=((1.0, -0.317),), *, threshold=1.0, bias=0.0, alpha=0.0, out=((1.0,),), **of_input
):
    """Channels -> one population -> readouts, ten steps."""
    weights, out = np.array(weights), np.array(out)
    post, pre = weights.shape
    into = {"delay": Delay.NONE, "delays": 0.0, "max_delay": 15} | of_input
    if out.shape[1] != post:
        out = np.ones((1, post))
    return Network(
        10.0,
        10,
        (
            Input("in", pre, pre),
            Lif("hidden", post, alpha, threshold, bias),
            Readout("out", len(out), 1.0, 0.0),
        ),
        (
            Projection("first", "in", "hidden", weights, **into),
            Projection("last", "hidden", "out", out, Delay.NONE, 0.0, 0),
        ),
    )


def recurrent(delay=Delay.NONE, delays=1.0, max_delay=30):
    """One neuron that excites itself."""
    network = small(((0.7,),))
    own = Projection("own", "hidden", "hidden", np.array([[0.3]]), delay, delays, max_delay)
    return replace(network, projections=(*network.projections, own))


def of(image, name):
    parts = (*image.populations, *image.projections)
    return next(p for p in parts if p.name == name)


# Scales, worked out by hand: 8-bit weights, no leak to give guard bits for.


def test_the_largest_weight_fills_its_word_and_all_else_shares_its_scale():
    # 127 LSBs per unit; 0.317 * 127 = 40.3, 13 / 127 is 13.
    image, loss = to_float()(small(((1.0, -0.317),), bias=13 / 127))
    assert of(image, "first").weights.tolist() == [[127, -40]]
    assert of(image, "first").scale == 0
    assert of(image, "hidden").threshold.tolist() == [127]
    assert of(image, "hidden").bias.tolist() == [13]
    assert loss.population("hidden").scale == (127.0,)
    assert loss.projection("first").max_error == pytest.approx(0.317 - 40 / 127)


def test_a_free_scale_is_lowered_until_the_threshold_is_whole():
    # At most 127 / 0.9 = 141.1 LSBs per unit; at 141 the threshold is exact.
    image, loss = to_float()(small(((0.9, -0.3137),)))
    assert of(image, "hidden").threshold.tolist() == [141]
    assert of(image, "first").weights.tolist() == [[127, -44]]
    assert loss.population("hidden").threshold_error == 0


def test_a_power_of_two_scale_is_the_largest_that_fits():
    image, _ = to_float(scale=Scale.POWER_OF_TWO)(small(((0.9, -0.3137),)))
    assert of(image, "hidden").threshold.tolist() == [128]
    assert of(image, "first").weights.tolist() == [[115, -40]]


def test_weights_are_rounded_once_and_half_to_even():
    values, scale = np.array([[0.3, 0.5, 0.7, -0.5, 26.0]]), np.array([[5.0]])
    inside, whole = integers(values, scale, 0, Format(8))
    assert whole.tolist() == [[2, 2, 4, -2, 130]]
    assert inside.tolist() == [[2, 2, 4, -2, 127]]
    assert integers(values, 2 * scale, 1, Format(8))[1].tolist() == [[2, 2, 4, -2, 130]]


def test_each_neuron_has_a_scale_of_its_own_but_readouts_share_one():
    network = small(((1.0, 0.317), (0.1, 0.0317)), out=((1.0, 0.317), (0.1, 0.0317)))
    image, loss = to_float(granularity=Granularity.NEURON)(network)
    assert of(image, "hidden").threshold.tolist() == [127, 1270]
    assert of(image, "first").weights.tolist() == [[127, 40], [127, 40]]
    assert of(image, "last").weights.tolist() == [[127, 40], [13, 4]]
    assert len(set(loss.population("out").scale)) == 1


def test_a_population_has_one_scale_where_granularity_is_the_projection():
    image, _ = to_float(granularity=Granularity.PROJECTION)(small(((1.0, 0.317), (0.1, 0.0317))))
    assert of(image, "hidden").threshold.tolist() == [127, 127]
    assert of(image, "first").weights.tolist() == [[127, 40], [13, 4]]


def test_projections_into_one_neuron_differ_by_powers_of_two():
    # The weak projection keeps shift 0, the strong one, 8 times larger, is shifted by 3.
    network = small(((0.1, -0.0317),))
    strong = Projection("strong", "in", "hidden", np.array([[0.8, 0.2713]]), Delay.NONE, 0.0, 0)
    image, _ = to_float()(replace(network, projections=(*network.projections, strong)))
    assert (of(image, "first").scale, of(image, "strong").scale) == (0, 3)
    assert of(image, "first").weights.tolist() == [[127, -40]]
    assert of(image, "strong").weights.tolist() == [[127, 43]]
    assert of(image, "hidden").threshold.tolist() == [1270]


def test_a_leak_is_given_guard_bits_that_data_leave_room_for():
    # One event per step drives u to 10 thresholds at most: 15-bit LSBs have room for 1/3000 of one.
    counts = np.zeros((1, 10, 2), np.int64)
    counts[0, :, 0] = 1
    network = small(alpha=0.9)
    image, loss = to_float(calibration=counts, rounding=Rounding.FLOOR)(network)
    assert of(image, "first").scale > 0
    assert of(image, "first").weights.tolist() == [[127, -40]]
    assert of(image, "hidden").threshold.tolist() == [127 << of(image, "first").scale]
    assert loss.population("hidden").saturated == 0


# Numbers that are on a grid already.


def test_weights_in_sixty_fourths_are_not_rounded():
    image, loss = to_float()(small(((5 / 64, -7 / 64),), threshold=20 / 64, bias=3 / 64))
    assert of(image, "first").weights.tolist() == [[5, -7]]
    assert of(image, "hidden").threshold.tolist() == [20]
    assert of(image, "hidden").bias.tolist() == [3]
    assert loss.lossless
    assert loss.projection("first").max_error == 0


def test_even_weights_are_shifted_rather_than_rounded():
    # 9 bits as they are, 8 bits exactly: 254 = 127 << 1.
    image, loss = to_float()(small(((254.0, -38.0),), threshold=320.0))
    assert of(image, "hidden").threshold.tolist() == [320]
    assert of(image, "first").weights.tolist() == [[127, -19]]
    assert of(image, "first").scale == 1
    assert loss.lossless


def test_float32_multiples_of_a_step_are_recovered():
    step = np.float32(0.0137)
    weights = (np.array([[3, -100, 77]], np.float32) * step).astype(np.float64)
    image, loss = to_float()(small(weights, threshold=float(np.float32(64) * step)))
    assert of(image, "first").weights.tolist() == [[3, -100, 77]]
    assert of(image, "hidden").threshold.tolist() == [64]
    assert loss.population("hidden").lossless


def test_integers_of_the_chip_come_back_as_they_are():
    # -128 too; 300 is no number of 8 bits, so that projection is shifted.
    network = small(((-128.0, 3.0),), threshold=200.0, bias=-5.0, alpha=0.75)
    odd = Projection("odd", "in", "hidden", np.array([[300.0, 4.0]]), Delay.NONE, 0.0, 0)
    image, loss = to_float()(replace(network, projections=(*network.projections, odd)))
    assert of(image, "first").weights.tolist() == [[-128, 3]]
    assert (of(image, "odd").weights.tolist(), of(image, "odd").scale) == ([[75, 1]], 2)
    assert of(image, "hidden").threshold.tolist() == [200]
    assert of(image, "hidden").bias.tolist() == [-5]
    assert loss.lossless


def test_a_whole_network_too_coarse_for_its_leak_gets_guard_bits():
    # Threshold 1 and alpha 1/2: kept as it is, every membrane would leak to 0 at once.
    image, loss = to_float(calibration=np.ones((1, 10, 1), np.int64))(small(((1.0,),), alpha=0.5))
    assert of(image, "hidden").threshold[0] >= 64
    assert loss.lossless


def test_integer_scale_takes_lsbs_and_refuses_fractions():
    image, _ = to_float(scale=Scale.INTEGER)(small(((1.0, -3.0),), threshold=2.0, alpha=0.5))
    assert of(image, "first").weights.tolist() == [[1, -3]]
    assert of(image, "hidden").threshold.tolist() == [2]
    with pytest.raises(ValueError, match=r"^hidden: 0\.5 is not a whole number of membrane LSBs"):
        to_float(scale=Scale.INTEGER)(small(((1.0, 0.5),)))
    with pytest.raises(ValueError, match=r"^hidden: its weights do not fit .*more weight_bits"):
        to_float(scale=Scale.INTEGER)(small(((1.0, 255.0),), threshold=300.0))


# Clipping.


def test_nothing_is_clipped_unless_asked():
    weights = np.concatenate([np.full(99, 0.011), [1.0]])[None] * np.linspace(0.5, 1, 100)
    kept, loss = to_float(weight_bits=4)(small(weights))
    assert loss.projection("first").clipped == ()
    assert of(kept, "first").weights[0, -1] == 7
    assert loss.projection("first").zeroed == 99


def test_what_is_clipped_is_listed_one_by_one():
    # Clipping one weight in 400 makes the units of all others a third smaller.
    weights = np.concatenate([np.linspace(0.15, 0.3, 399), [0.45]])[None]
    image, loss = to_float(weight_bits=4, search=Search.WEIGHTS, clip=0.0025)(small(weights))
    (listed,) = loss.projection("first").clipped
    assert listed[:2] == (0, 399)
    assert listed[2] > 7
    assert listed[3] == of(image, "first").weights[0, 399] == 7


def test_clipping_that_would_not_pay_is_not_done():
    weights = np.concatenate([np.full(99, 0.3) * np.linspace(0.5, 1, 99), [1.0]])[None]
    _, loss = to_float(weight_bits=4, search=Search.WEIGHTS, clip=0.01)(small(weights))
    assert loss.projection("first").clipped == ()


# Leaks.


@pytest.mark.parametrize(("alpha", "word"), [(0.0, 0), (0.9, 230), (0.5, 128), (1.0, 256)])
def test_multiplied_leaks_are_the_nearest_of_256(alpha, word):
    image, loss = to_float()(small(alpha=alpha))
    assert of(image, "hidden").coefficient.tolist() == [word]
    assert loss.population("hidden").alpha_applied == (word / 256,)


@pytest.mark.parametrize(("alpha", "shift"), [(1.0, 0), (0.5, 1), (0.76, 2), (0.9, 3), (0.99, 7)])
def test_shifted_leaks_are_the_nearest_of_one_minus_a_power_of_two(alpha, shift):
    image, loss = to_float(leak=Leak.SHIFT, coefficient_bits=3)(small(alpha=alpha))
    assert of(image, "hidden").coefficient.tolist() == [shift]
    assert loss.population("hidden").alpha_applied == (1 - 2.0**-shift if shift else 1.0,)


def test_time_constants_are_reported():
    _, loss = to_float()(small(alpha=0.9))
    wanted, applied = loss.tau_ms("hidden")
    assert wanted[0] == pytest.approx(94.91, abs=0.01)  # -10 ms / ln 0.9
    assert applied[0] == pytest.approx(93.37, abs=0.01)  # -10 ms / ln (230 / 256)


def test_a_leak_that_vanishes_is_listed():
    _, loss = to_float(coefficient_bits=4)(small(np.ones((3, 1)), alpha=[0.99, 0.5, 1.0]))
    assert loss.population("hidden").unleaking == (0,)


def test_a_leak_that_would_clear_the_state_is_refused():
    sentence = r"^hidden: alpha\[1\] = 0\.01 becomes 0 with coefficient_bits = 4.*more bits"
    with pytest.raises(ValueError, match=sentence):
        to_float(coefficient_bits=4)(small(((1.0,), (1.0,)), alpha=[0.5, 0.01]))


def test_a_shift_cannot_clear_the_state():
    with pytest.raises(ValueError, match=r"^hidden: alpha\[0\] = 0 has no shift.*leak = multiply"):
        to_float(leak=Leak.SHIFT, coefficient_bits=3)(small(alpha=0.0))


# Delays.


def delayed(delays, delay=Delay.AXONAL, max_delay=100, **changed):
    weights = np.linspace(0.5, 1.0, len(delays))[None]
    network = small(weights, delay=delay, delays=delays, max_delay=max_delay)
    image, loss = to_float(**changed)(network)
    return of(image, "first"), loss.projection("first"), image.chip


def test_delays_that_fit_are_kept():
    words, lost, chip = delayed([0, 3.4, 15])
    assert words.delays.tolist() == [0, 3, 15]
    assert (words.resolution, lost.moved, lost.clamped) == (0, ((0, 3),), ())
    assert (chip.axon.channel_steps, chip.axon.delays) == (16, 3)
    assert (chip.synapse.slots, chip.synapse.synaptic, chip.synapse.dendritic) == (1, False, 0)


def test_long_delays_take_the_finest_resolution_that_reaches_them():
    # 30 steps in 4 bits: words of 2 steps; 5 / 2 and 7 / 2 are rounded half to even.
    words, lost, chip = delayed([5, 7, 30])
    assert (words.resolution, words.delays.tolist()) == (1, [2, 4, 15])
    assert lost.moved == ((-1, 1), (0, 1), (1, 1))
    assert chip.axon.channel_steps == 32


@pytest.mark.parametrize(("longest", "resolution"), [(15, 0), (16, 1), (31, 1), (32, 2)])
def test_the_resolution_changes_where_words_end(longest, resolution):
    assert delayed([0, longest])[0].resolution == resolution


def test_a_shallow_history_ends_the_reach_of_a_given_chip():
    # A history of 8 ticks holds ages 0 to 7; a recurrent word counts from age 1.
    network = small(((1.0, 0.317),), delay=Delay.AXONAL, delays=[7.0, 8.0], max_delay=9)
    own = Projection("own", "hidden", "hidden", np.ones((1, 1)), Delay.AXONAL, [8.0], 9)
    network = replace(network, projections=(*network.projections, own))
    chip = chip_for(network, OPTIONS)
    shallow = replace(chip, axon=replace(chip.axon, channel_steps=8, neuron_steps=8))
    image, loss = to_float(chip=shallow)(network)
    assert of(image, "first").delays.tolist() == [7, 7]
    assert of(image, "own").delays.tolist() == [6]
    assert loss.projection("first").clamped == ((1, 8, 7),)
    assert loss.projection("own").clamped == ((0, 8, 7),)


def test_delays_beyond_the_reach_are_clamped_and_listed():
    words, lost, _ = delayed([3, 15, 16, 99], resolution=0)
    assert words.delays.tolist() == [3, 15, 15, 15]
    assert lost.clamped == ((2, 16, 15), (3, 99, 15))
    assert lost.moved == ((-84, 1), (-1, 1), (0, 2))


def test_synaptic_delays_name_the_synapse_that_is_clamped():
    network = small(((1.0, 0.317),), delay=Delay.SYNAPTIC, delays=[[2.0, 40.0]], max_delay=60)
    image, loss = to_float(resolution=1)(network)
    assert of(image, "first").delays.tolist() == [[1, 15]]
    assert loss.projection("first").clamped == ((0, 1, 40, 30),)
    assert (image.chip.synapse.slots, image.chip.axon.channel_steps) == (32, 2)


def test_a_recurrent_delay_counts_its_unavoidable_step():
    image, loss = to_float()(recurrent(Delay.AXONAL, [4.0]))
    assert of(image, "own").delays.tolist() == [3]
    assert image.steps_of(of(image, "own")).tolist() == [[4]]
    assert image.chip.axon.neuron_steps == 8
    assert loss.projection("own").moved == ((0, 1),)


def test_a_recurrent_projection_without_delay_needs_no_words():
    image, loss = to_float()(recurrent())
    assert of(image, "own").delay is datapath.Delay.NONE
    assert image.chip.axon.delays == 0
    assert loss.notes == ()


def test_a_constant_delay_becomes_axonal_and_is_noted():
    image, loss = to_float()(recurrent(delays=5.0))
    assert of(image, "own").delay is datapath.Delay.AXONAL
    assert image.steps_of(of(image, "own")).tolist() == [[5]]
    assert loss.notes == (
        "own: the constant delay of 5 steps is held as axonal delays, one per source.",
    )


def test_a_constant_delay_needs_a_chip_with_axonal_delays():
    chip = chip_for(recurrent(), OPTIONS)
    with pytest.raises(ValueError, match=r"^own: its constant delay of 5 steps needs axonal"):
        to_float(chip=chip)(recurrent(delays=5.0))


# Chips.


def test_accumulators_are_just_wide_enough():
    # 7 events of 127 at once: 889, one bit more than 9 and a sign.
    image, _ = to_float()(small(((1.0, -0.317),)))
    assert image.chip.synapse.acc == Format(11)
    narrow = replace(image.chip.synapse, acc=Format(10))
    with pytest.raises(ValueError, match=r"does not fit synapse\.acc"):
        replace(image, chip=replace(image.chip, synapse=narrow))


def test_a_chip_is_padded_to_its_lanes():
    chip = chip_for(small(np.ones((3, 5))), replace(OPTIONS, lanes=4))
    assert (chip.channels, chip.neurons, chip.synapses) == (8, 8, 5 * 1 + 3 * 1)
    assert (chip.populations, chip.projections, chip.readout.classes) == (2, 2, 1)


def test_scores_of_a_fitted_chip_cannot_overflow():
    # 10 steps of at most 2**15: 16 + 4 bits.
    assert chip_for(small(), OPTIONS).readout.score == Format(20)


def test_a_narrow_accumulator_lowers_the_scale():
    chip = chip_for(small(), OPTIONS)
    tight = replace(chip, synapse=replace(chip.synapse, acc=Format(8)))
    image, _ = to_float(chip=tight)(small())
    assert 7 * of(image, "first").weights[0, 0] <= 127


def test_a_network_too_large_for_a_chip_is_refused():
    chip = chip_for(small(), OPTIONS)
    with pytest.raises(ValueError, match="needs channels = 4, and the chip has 2"):
        to_float(chip=chip)(small(((1.0, 0.3, 0.2, 0.1),)))


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"weight_bits": 9}, "weight_bits must be at most that of the chip, 8, not 9"),
        ({"membrane_bits": 17}, "membrane_bits must be at most that of the chip, 16, not 17"),
        ({"delay_bits": 7}, "delay_bits must be at most that of the chip, 6, not 7"),
        ({"lanes": 4}, "lanes must be that of the chip, 8, not 4"),
        ({"leak": "shift"}, "leak must be that of the chip, multiply, not shift"),
        ({"rounding": "zero"}, "rounding must be that of the chip, nearest, not zero"),
    ],
)
def test_options_beyond_the_chip_are_refused(changed, sentence):
    options = replace(options_for(DIGITS_AXONAL), **changed)
    with pytest.raises(ValueError, match=f"^{sentence}$"):
        quantize(small(), chip=DIGITS_AXONAL, options=options, calibration=None)


@pytest.mark.parametrize("chip", [DIGITS_AXONAL, DIGITS_SYNAPTIC])
def test_named_chips_take_what_they_are_made_for(chip):
    rng = np.random.default_rng(3)
    modes = {
        DIGITS_AXONAL: (Delay.AXONAL, rng.uniform(0, 60, 140)),
        DIGITS_SYNAPTIC: (Delay.SYNAPTIC, rng.uniform(0, 60, (128, 140))),
    }
    delay, delays = modes[chip]
    network = small(
        rng.normal(0, 0.3, (128, 140)),
        out=rng.normal(0, 1, (20, 128)),
        alpha=0.9,
        delay=delay,
        delays=delays,
        max_delay=60,
    )
    image, loss = quantize(network, chip=chip, options=options_for(chip), calibration=None)
    assert image.chip is chip
    assert not loss.projection("first").clamped


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"weight_bits": 1}, "weight_bits must be a whole number from 2 to 48, not 1"),
        ({"resolution": 16}, "resolution must be a whole number from 0 to 15, not 16"),
        ({"headroom": 0.5}, "headroom must be at least 1, not 0.5"),
        ({"clip": 1.0}, "clip must be at least 0 and below 1, not 1.0"),
        ({"scale": "log"}, "scale must be 'free' or 'power-of-two' or 'integer', not 'log'"),
        ({"emit": "out"}, "emit must be a tuple of names, not 'out'"),
    ],
)
def test_options_are_checked_where_they_are_made(changed, sentence):
    with pytest.raises(ValueError, match=f"^{sentence}$"):
        replace(OPTIONS, **changed)


def test_who_emits_is_named():
    image, _ = to_float(emit=("hidden",))(small())
    assert [p.emit for p in image.populations] == [True, False]
    with pytest.raises(ValueError, match=r"^emit names 'hiden', and the network has hidden, out$"):
        to_float(emit=("hiden",))(small())


def test_a_threshold_too_small_for_any_scale_is_refused():
    with pytest.raises(ValueError, match=r"^hidden: no scale fits .*more membrane_bits"):
        to_float(scale_bits=1, membrane_bits=8)(small(((1.0, -0.317),), threshold=1e-4))


def test_not_a_number_never_gets_here():
    with pytest.raises(ValueError, match=r"first: weights\[0, 1\] = nan"):
        small(((1.0, np.nan),))


# Random networks.


def random(seed, alphas=(0.0, 1.0)):
    """Two hidden populations, recurrent, with skips, every delay mode, both resets."""
    rng = np.random.default_rng(seed)
    sizes = {"in": 5, "a": 7, "b": 4, "out": 3}
    resets = rng.permutation([Reset.SUBTRACT, Reset.ZERO])

    def lif(name, reset):
        size = sizes[name]
        return Lif(
            name,
            size,
            rng.choice(alphas, size),
            rng.uniform(0.5, 2, size),
            rng.normal(0, 0.05, size),
            Reset(reset),
        )

    def projection(pre, post, delay):
        shape = (sizes[post], sizes[pre])
        of_delays = {
            Delay.NONE: (),
            Delay.AXONAL: shape[1:],
            Delay.DENDRITIC: shape[:1],
            Delay.SYNAPTIC: shape,
        }[delay]
        scale = 0.6 / np.sqrt(shape[1])
        return Projection(
            f"{pre}-{post}",
            pre,
            post,
            rng.normal(0, scale, shape),
            delay,
            rng.uniform(0, 20, of_delays),
            20,
        )

    pairs = [
        ("in", "a"),
        ("a", "a"),
        ("a", "b"),
        ("b", "a"),
        ("in", "b"),
        ("b", "out"),
        ("a", "out"),
    ]
    modes = rng.permutation([*Delay] * 2)
    network = Network(
        5.0,
        40,
        (
            Input("in", 5, 11),
            lif("a", resets[0]),
            lif("b", resets[1]),
            Readout("out", 3, rng.choice(alphas), rng.normal(0, 0.02, 3)),
        ),
        tuple(projection(*pair, Delay(m)) for pair, m in zip(pairs, modes, strict=False)),
        ("x", "y", "z"),
        {"seed": seed},
    )
    return network, rng.poisson(0.3, (6, 40, 5)).clip(max=7)


VARIANTS = [
    {},
    {"granularity": Granularity.PROJECTION, "lanes": 1, "rounding": Rounding.FLOOR},
    {"weight_bits": 4, "delay_bits": 3, "scale": Scale.POWER_OF_TWO, "membrane_bits": 20},
    {"weight_bits": 12, "resolution": 2, "membrane_bits": 24, "rounding": Rounding.ZERO},
    {"weight_bits": 5, "search": Search.WEIGHTS, "clip": 0.1, "lanes": 4},
]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("changed", VARIANTS)
def test_errors_stay_within_half_a_unit(seed, changed):
    network, _ = random(seed, (0.0, 0.8, 0.95, 1.0))
    image, loss = to_float(**changed)(network)
    for projection in network.projections:
        on_chip, lost = of(image, projection.name), loss.projection(projection.name)
        scale = np.array(loss.population(projection.post).scale)[:, None]
        unit = 2.0**on_chip.scale / scale
        error = np.abs(on_chip.weights * unit - projection.weights)
        for j, i, wanted, applied in lost.clipped:
            assert abs(applied) < abs(wanted)
            error[j, i] = 0
        assert (error <= unit / 2 * (1 + 1e-9)).all()
        assert not lost.clipped or "search" in changed
        steps = image.steps_of(on_chip) - network.steps_of(projection)
        assert np.abs(steps).max() < (1 << on_chip.resolution) or lost.clamped
    for population in network.populations[1:3]:
        scale = np.array(loss.population(population.name).scale)
        exact = population.threshold * scale
        assert (np.abs(of(image, population.name).threshold - exact) <= 0.5).all()


def same(one, other):
    """Whether two images hold the same bits."""
    for p, q in zip(one.populations, other.populations, strict=True):
        for name in ("threshold", "bias", "coefficient"):
            assert np.array_equal(getattr(p, name), getattr(q, name)), (p.name, name)
        assert (p.name, p.kind, p.reset, p.emit) == (q.name, q.kind, q.reset, q.emit)
    for p, q in zip(one.projections, other.projections, strict=True):
        assert np.array_equal(p.weights, q.weights), p.name
        assert np.array_equal(p.delays, q.delays), p.name
        assert (p.name, p.scale, p.delay, p.resolution) == (q.name, q.scale, q.delay, q.resolution)
    assert one.chip == other.chip


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("changed", VARIANTS)
def test_quantizing_again_changes_no_bit(seed, changed):
    network, _ = random(seed, (0.0, 0.8, 0.95, 1.0))
    image, _ = to_float(**changed)(network)
    again, loss = to_float(**changed)(dequantize(image))
    same(image, again)
    assert loss.lossless
    whole, _ = to_float(**changed | {"scale": Scale.INTEGER})(dequantize(image))
    same(image, whole)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("changed", VARIANTS)
def test_the_chip_does_what_the_float_twin_of_its_image_does(seed, changed):
    network, counts = random(seed)
    image, _ = to_float(calibration=counts, **changed)(network)
    twin = simulate(dequantize(image), counts, record=("spikes", "membranes", "readout"))
    chip = run(image, counts, record=("spikes", "membranes"))
    assert not any(n.any() for n in chip.saturations.values())
    for name in ("a", "b"):
        assert chip.spike_counts[name].any()
        assert np.array_equal(chip.spikes[name], twin.spikes[name])
        assert np.array_equal(chip.membranes[name], twin.membranes[name])
    assert np.array_equal(chip.membranes["out"], twin.readout)
    assert np.array_equal(chip.scores, twin.scores)
    assert np.array_equal(chip.classes, twin.classes)


@pytest.mark.parametrize("seed", range(8))
def test_calibration_sees_the_membranes_before_the_reset(seed):
    network, counts = random(seed)
    # Recurrent delays below the one step they cannot do without.
    short = tuple(replace(p, delays=0.1 * p.delays) for p in network.projections)
    image, _ = to_float(calibration=counts)(replace(network, projections=short))
    twin = dequantize(image)
    sums = run(image, counts, record=("sums",)).sums
    early = tuple(
        replace(p, delays=np.where(p.delays == twin.min_delay(p), 0.0, p.delays))
        for p in twin.projections
    )
    twin = replace(twin, projections=early)
    activity = simulate(with_mirrors(twin), counts, record=("spikes", "membranes"))
    for population in twin.populations[1:3]:
        assert np.array_equal(before_reset(population, activity), sums[population.name])
    ranges = observed(twin, counts, 0.0)
    for population in twin.populations[1:3]:
        largest = (np.abs(sums[population.name]) / population.threshold).max()
        assert ranges.span[population.name] == pytest.approx(largest * population.threshold)
    assert ranges.span["out"].max() == np.abs(sums["out"]).max()
    for name, fired in run(image, counts).spike_counts.items():
        assert np.array_equal(ranges.fired[name], fired.sum(axis=0))


def test_calibrated_membranes_have_the_headroom_asked_for():
    network, counts = random(1)
    _, loss = to_float(calibration=counts, headroom=2.0, membrane_bits=11)(network)
    for name in ("a", "b", "out"):
        assert loss.headroom(name) >= 1.999
        assert loss.population(name).saturated == 0
    assert loss.recordings == 6
    assert loss.population("a").updates == 6 * 40 * 7


def test_saturation_leaves_out_the_share_it_allows():
    network, counts = random(1)
    strict, _ = to_float(calibration=counts, headroom=1.0, membrane_bits=10)(network)
    image, loss = to_float(calibration=counts, headroom=1.0, membrane_bits=10, saturation=0.02)(
        network
    )
    lost = loss.population("a")
    assert of(image, "a").threshold.sum() > of(strict, "a").threshold.sum()
    # Rounded weights move membranes a little across the limit.
    assert 0 < lost.saturated <= 0.03 * lost.updates


def test_silent_neurons_are_listed():
    network = small(((1.0, 0.0), (0.3, 0.0)), threshold=[0.9, 0.9])
    counts = np.zeros((2, 10, 2), np.int64)
    counts[:, 3, 0] = 1
    _, loss = to_float(calibration=counts)(network)
    assert loss.population("hidden").silent == (1,)
    assert loss.population("hidden").silent_applied == (1,)


def test_counts_beyond_the_chip_are_counted():
    counts = np.zeros((1, 10, 2), np.int64)
    counts[0, :3, 0] = [7, 8, 9]
    _, loss = to_float(calibration=counts)(small())
    assert loss.saturated_counts == 2


@pytest.mark.parametrize(
    "counts", [np.zeros((0, 10, 2), int), np.zeros((1, 9, 2), int), np.zeros((1, 10, 2))]
)
def test_calibration_must_fit(counts):
    with pytest.raises(ValueError, match=r"counts must|at least one recording"):
        to_float(calibration=counts)(small())


def test_the_network_is_left_as_it_was():
    network, counts = random(2)
    arrays = [
        getattr(part, name)
        for part in (*network.populations, *network.projections)
        for name in ("alpha", "threshold", "bias", "weights", "delays")
        if hasattr(part, name)
    ]
    before = [a.copy() for a in arrays]
    given = counts.copy()
    to_float(calibration=counts, search=Search.OUTPUTS, prune=0.1, weight_bits=4)(network)
    assert all(np.array_equal(a, b) for a, b in zip(arrays, before, strict=True))
    assert np.array_equal(counts, given)


def test_neurons_on_grids_of_their_own_are_lossless_though_they_share_a_shift():
    # In 4 bits, of row 0 the weights are 7 and 6 at 51 LSBs per threshold, of row 1, at 100, twice
    # what fits: row 0 is doubled, and one shift of 1 serves both.
    weights = np.array([[7.0, -6.0], [14.0, 12.0]]) / [[51.0], [101.0]]
    image, loss = to_float(weight_bits=4)(small(weights))
    assert loss.population("hidden").lossless
    assert of(image, "first").scale == 1
    assert of(image, "first").weights.tolist() == [[7, -6], [7, 6]]
    assert of(image, "hidden").threshold.tolist() == [102, 101]


# Firing above the threshold.


def test_neurons_on_grids_of_their_own_are_lossless_with_two_projections_of_other_shifts():
    # In steps of 1/163 and of 1/53, the thresholds; 3-bit weights are -4 to 3, and at the shifts
    # 4 and 3 that these need at first, half a doubling too few would be left for the second neuron.
    grids = np.array([[163.0], [53.0]])
    first, own = np.array([[32, 16], [4, 8]]) / grids, np.array([[16, 16], [8, 4]]) / grids
    network = small(first, out=((1.0, 1.0),))
    loop = Projection("own", "hidden", "hidden", own, Delay.NONE, 1.0, 1)
    network = replace(network, projections=(network.projections[0], loop, network.projections[1]))
    image, loss = to_float(weight_bits=3)(network)
    assert loss.population("hidden").lossless
    for p in image.projections[:2]:
        scale = np.array(loss.population("hidden").scale)[:, None]
        wanted = first if p.name == "first" else own
        assert np.allclose((p.weights << p.scale) / scale, wanted, rtol=1e-12, atol=0)
    assert np.array_equal(image.populations[0].threshold % [163, 53], [0, 0])


def test_a_strict_comparison_with_a_zero_reset_is_exact():
    network, counts = random(5)
    zero = tuple(
        replace(p, reset=Reset.ZERO) if isinstance(p, Lif) else p for p in network.populations
    )
    network = replace(network, populations=zero)
    above, _ = to_float(compare=Compare.GT)(network)
    at, _ = to_float()(network)
    assert (of(above, "a").threshold == of(at, "a").threshold - 1).all()
    assert np.array_equal(run(above, counts).scores, run(at, counts).scores)
    same(above, to_float(compare=Compare.GT)(dequantize(above))[0])


def test_a_strict_comparison_that_subtracts_is_noted():
    image, loss = to_float(compare=Compare.GT)(small())
    assert loss.notes == (
        "hidden: the chip fires above the threshold, the network at it: 1 LSB later.",
    )
    same(image, to_float(compare=Compare.GT)(dequantize(image))[0])


def strict(network):
    """`network` with neurons that fire only above their threshold."""
    made = (
        replace(p, compare=model.Compare.GT) if isinstance(p, Lif) else p
        for p in network.populations
    )
    return replace(network, populations=tuple(made))


def test_a_network_that_fires_above_gets_a_chip_that_does():
    network, counts = random(5)
    image, loss = to_float()(strict(network))
    assert image.chip.lif.compare is Compare.GT
    assert not any("threshold" in note for note in loss.notes)
    # On the integers themselves, float network and chip are one and the same.
    twin = dequantize(image)
    assert twin.population("a").compare is model.Compare.GT
    fired = run(image, counts, record=["spikes"]).spikes["a"]
    assert np.array_equal(fired, simulate(twin, counts, ["spikes"]).spikes["a"])
    assert fired.any()


def test_a_network_that_fires_above_on_a_chip_that_fires_at():
    image, _ = to_float()(small())
    network = strict(small())
    _, loss = to_float(chip=image.chip)(network)
    assert loss.notes == (
        "hidden: the chip fires at the threshold, the network above it: 1 LSB earlier.",
    )
    hidden = replace(network.population("hidden"), reset=Reset.ZERO)
    zero = replace(network, populations=(network.input, hidden, network.readout))
    raised, loss = to_float(chip=image.chip)(zero)
    assert not loss.notes
    at = replace(hidden, compare=model.Compare.GE)
    at = replace(zero, populations=(network.input, at, network.readout))
    reached = to_float(chip=image.chip)(at)[0]
    assert (of(raised, "hidden").threshold == of(reached, "hidden").threshold + 1).all()


def test_a_step_that_is_no_whole_microsecond_is_noted():
    image, loss = to_float()(replace(small(), dt_ms=1 / 3))
    assert image.dt_us == 333
    assert loss.notes == ("A step of 333.333 us is written as 333 us.",)


def test_labels_provenance_and_units_reach_the_image():
    image, _ = to_float()(random(0)[0])
    assert image.labels == ("x", "y", "z")
    assert image.provenance["seed"] == 0
    assert (image.channels, image.units, image.dt_us, image.steps) == (5, 11, 5000, 40)
    assert isinstance(image.chip, Chip)


def flowing(*weights, alpha_syn=0.5, **given):
    """Give both populations of a small network a current, that of the readout half as long."""
    net = small(*weights, **given)
    hidden = replace(net.population("hidden"), alpha_syn=alpha_syn)
    readout = replace(net.readout, alpha_syn=alpha_syn / 2, alpha=0.5)
    return replace(net, populations=(net.input, hidden, readout))


def test_currents_leak_and_share_the_scale_of_the_membrane():
    # 127 LSBs per unit, as without a current; a leak of 9 bits holds a half and a quarter.
    image, loss = to_float()(flowing(((1.0, 0.5),)))
    assert of(image, "hidden").current_coefficient == [128]
    assert of(image, "out").current_coefficient == [64]
    assert image.chip.current.coefficient == Format(9, 8, signed=False)
    assert [note for note in loss.notes if note.startswith("hidden: synaptic currents of")]
    assert dequantize(image).population("hidden").alpha_syn == [0.5]


def test_no_current_of_a_quantized_network_is_out_of_range():
    for alpha_syn in (0.5, 0.9, 1.0):
        net = flowing(((1.0, -0.3), (0.7, 0.9)), alpha_syn=alpha_syn, threshold=50.0)
        for rounding in Rounding:
            image, _ = to_float(rounding=rounding, membrane_bits=40)(net)
            counts = np.full((1, net.steps, 2), image.chip.axon.count.max)
            assert not run(image, counts).saturated_ticks.any()


def test_a_network_with_currents_is_answered_as_in_float():
    rng = np.random.default_rng(5)
    net = flowing(
        rng.normal(size=(6, 8)) / 2, alpha_syn=0.7, alpha=0.8, out=rng.normal(size=(3, 6))
    )
    net = replace(net, steps=40)
    counts = rng.poisson(0.3, (60, 40, 8))
    for reset in Reset:
        hidden = replace(net.population("hidden"), reset=reset)
        one = replace(net, populations=(net.input, hidden, net.readout))
        fine = {"weight_bits": 12, "coefficient_bits": 14, "membrane_bits": 24, "count_bits": 4}
        image, _ = to_float(calibration=counts, **fine)(one)
        assert (run(image, counts).classes == simulate(one, counts).classes).mean() > 0.95


def test_refuses_currents_that_a_chip_does_not_have():
    with pytest.raises(ValueError, match="hidden: alpha_syn must be 0, because the chip is built"):
        quantize(
            flowing(), chip=DIGITS_AXONAL, options=options_for(DIGITS_AXONAL), calibration=None
        )
    with pytest.raises(ValueError, match=r"use a chip with current\.order = leak-first"):
        quantize(flowing(), chip=XYLO, options=options_for(XYLO), calibration=None)
