"""Bits of single projections, pruning, and what the answers of the chip decide."""

from dataclasses import replace

import numpy as np
import pytest

from datapath.catalog import DIGITS_AXONAL
from emulator.chip import run
from events import spoken_digits
from model import Delay, Input, Lif, Network, Projection, Readout, simulate
from quant import Granularity, Own, Search, options_for, quantize
from quant.choose import alike
from ranvier.defaults import OPTIONS
from ranvier.mapping import asked
from ranvier.sources import for_network, open_network, some


def small(weights=((1.0, -0.317),), out=((1.0,),), delays=0.0, **of_input):
    """Channels -> one population -> readouts, ten steps, no leak."""
    weights, out = np.array(weights), np.array(out)
    post, pre = weights.shape
    if out.shape[1] != post:
        out = np.linspace(0.5, 1.0, post)[None]
    mode = of_input.pop("delay", Delay.NONE)
    return Network(
        10.0,
        10,
        (
            Input("in", pre, pre),
            Lif("hidden", post, 0.0, 1.0, 0.0),
            Readout("out", len(out), 1.0, 0.0),
        ),
        (
            Projection("first", "in", "hidden", weights, mode, delays, 15),
            Projection("last", "hidden", "out", out, Delay.NONE, 0.0, 0),
        ),
    )


def mapped(network, calibration=None, chip=None, options=OPTIONS, **changed):
    return quantize(
        network, chip=chip, options=replace(options, **changed), calibration=calibration
    )


def of(image, name):
    return next(p for p in (*image.populations, *image.projections) if p.name == name)


# Bits of single projections.


def test_a_projection_with_bits_of_its_own_fills_those_and_the_word_is_the_widest():
    # 3 bits hold 3: at 3 LSBs per unit 0.317 is 0.95.  8 bits hold 127.
    network = small(out=((1.0,), (0.317,)))
    image, loss = mapped(network, own={"first": Own(weight_bits=3)})
    assert of(image, "first").weights.tolist() == [[3, -1]]
    assert of(image, "last").weights.tolist() == [[127], [40]]
    assert image.chip.synapse.weight.width == 8
    assert [loss.projection(n).weight_bits for n in ("first", "last")] == [3, 8]
    image, _ = mapped(network, own={"first": Own(weight_bits=3), "last": Own(weight_bits=5)})
    assert image.chip.synapse.weight.width == 5


def test_projections_of_different_bits_into_one_neuron_are_shifted_apart():
    # 48 LSBs per unit: the 3-bit projection counts in units of 16, 1 is 3 of them, 0.3 is 0.9.
    second = Projection("own", "in", "hidden", np.array([[1.0, 0.3]]), Delay.NONE, 0.0, 0)
    network = small()
    network = replace(network, projections=(*network.projections, second))
    image, _ = mapped(network, own={"own": Own(weight_bits=3)})
    assert (of(image, "own").scale, of(image, "own").weights.tolist()) == (4, [[3, 1]])
    assert (of(image, "first").scale, of(image, "first").weights.tolist()) == (0, [[48, -15]])


def test_delay_words_have_bits_and_resolution_of_their_own():
    # 15 steps in 2 bits: one word is 8 steps, 12 rounds to even words, 16 at most.
    network = small(delays=(12.0, 3.0), delay=Delay.AXONAL)
    image, loss = mapped(network, own={"first": Own(delay_bits=2)})
    assert (of(image, "first").resolution, of(image, "first").delays.tolist()) == (2, [3, 1])
    assert image.chip.axon.delay.width == 2
    assert [loss.projection(n).delay_bits for n in ("first", "last")] == [2, 0]
    image, _ = mapped(network, own={"first": Own(resolution=1)})
    assert (of(image, "first").resolution, of(image, "first").delays.tolist()) == (1, [6, 2])


def test_single_projections_must_be_there_and_fit_the_chip():
    network = small()
    with pytest.raises(ValueError, match=r"^there is no projection 'x': the network has first, la"):
        mapped(network, own={"x": Own(weight_bits=3)})
    wide = {"first": Own(weight_bits=9)}
    options = options_for(DIGITS_AXONAL)
    with pytest.raises(
        ValueError, match=r"^weight_bits must be at most that of the chip, 8, not 9"
    ):
        mapped(network, chip=DIGITS_AXONAL, options=options, own=wide)
    with pytest.raises(
        ValueError, match=r"^weight_bits must be a whole number from 2 to 48, not 1"
    ):
        Own(weight_bits=1)
    with pytest.raises(ValueError, match=r"^prune must be at least 0 and below 1, not 1.0"):
        Own(prune=1.0)


# One scale for a layer.


def test_a_layer_has_one_scale_and_one_shift_for_all_its_projections():
    # The strong projection fills its word, 0.8 being 127; the weak one counts in the same unit.
    strong = Projection("strong", "in", "hidden", np.array([[0.8, 0.2713]]), Delay.NONE, 0.0, 0)
    network = small(((0.1, -0.0317),))
    network = replace(network, projections=(*network.projections, strong))
    image, _ = mapped(network, granularity=Granularity.LAYER)
    assert of(image, "first").scale == of(image, "strong").scale
    assert of(image, "strong").weights[0, 0] >= 126
    assert of(image, "first").weights.tolist() == [[16, -5]]
    apart, _ = mapped(network, granularity=Granularity.PROJECTION)
    assert of(apart, "first").weights.tolist() == [[127, -40]]


# Pruning.


def test_the_smallest_share_of_the_weights_becomes_zero_and_is_counted():
    weights = ((0.5, -0.1, 0.9, 0.2), (0.0, 0.3, -0.7, 0.4))
    image, loss = mapped(small(weights), prune=0.5)
    assert (of(image, "first").weights != 0).tolist() == [
        [True, False, True, False],
        [False, False, True, True],
    ]
    found = loss.projection("first")
    # One of the four had been zero before.
    assert (found.pruned, found.zeroed) == (3, 3)
    assert found.max_error >= 0.3
    image, loss = mapped(small(weights), own={"first": Own(prune=0.25)}, prune=0.5)
    assert loss.projection("first").pruned == 1
    assert loss.projection("last").pruned == 1


def test_what_is_pruned_is_not_lossless():
    whole = small(((100.0, 3.0), (-127.0, 1.0)), out=((64.0, 32.0),))
    assert mapped(whole)[1].population("hidden").lossless
    assert not mapped(whole, prune=0.25)[1].population("hidden").lossless


# By outputs.


def test_answers_are_alike_whatever_their_unit_and_offset():
    wanted = np.array([[1.0, 2.0, 4.0], [0.0, 0.0, 0.0]])
    assert alike(wanted, 7 * wanted + 100) == pytest.approx(1)
    assert alike(wanted[:1], -wanted[:1]) == pytest.approx(-1)
    # (-1, 0, 1) and (-1, 1, 0): cosine 1/2.  Without any preference: 0.
    assert alike(np.array([[0.0, 1, 2]]), np.array([[0.0, 2, 1]])) == pytest.approx(0.5)
    assert alike(np.array([[0.0, 1, 2]]), np.array([[3.0, 3, 3]])) == 0


@pytest.fixture(scope="module")
def digits():
    network = open_network("digits-axonal")
    return network, for_network(some(spoken_digits()[0], 96), network).counts


def test_a_search_by_outputs_agrees_no_less_than_one_by_error(digits):
    network, counts = digits
    wanted = simulate(network, counts)
    found = {}
    for search in Search:
        image, loss = mapped(network, counts, search=search, weight_bits=3)
        done = run(image, counts)
        same = (done.classes == wanted.classes).mean()
        found[search] = (alike(wanted.scores, done.scores.astype(float)) + same) / 2
        assert bool(loss.trials) == (search is Search.OUTPUTS)
    assert found[Search.OUTPUTS] >= found[Search.WEIGHTS] > found[Search.RANGE]
    # Two populations, each with one choice.
    assert sum(t.chosen for t in loss.trials) == 2
    assert max(t.agreement for t in loss.trials) == pytest.approx(found[Search.OUTPUTS])


def test_a_word_is_split_as_answers_ask_for_and_the_table_says_why(digits):
    network, counts = digits
    image, loss = mapped(network, counts, word_bits=8)
    # Delays of up to 40 steps need 6 bits: 7 + 1, 6 + 2, 5 + 3, 4 + 4, 3 + 5, 2 + 6.
    assert [t.what for t in loss.trials] == [
        f"weights of {8 - bits}, delays of {bits} bits" for bits in range(1, 7)
    ]
    (taken,) = (t for t in loss.trials if t.chosen)
    assert taken.agreement == max(t.agreement for t in loss.trials)
    weight, delay = image.chip.synapse.weight.width, image.chip.axon.delay.width
    assert weight + delay == 8
    assert taken.what == f"weights of {weight}, delays of {delay} bits"
    assert (loss.options["weight_bits"], loss.options["delay_bits"]) == (weight, delay)


def test_a_word_too_narrow_or_with_nothing_to_share_is_refused(digits):
    network, counts = digits
    with pytest.raises(ValueError, match=r"^word_bits must be a whole number from 3 to 48, not 2"):
        replace(OPTIONS, word_bits=2)
    with pytest.raises(ValueError, match=r"^word_bits shares out the bits of every projection: "):
        replace(OPTIONS, word_bits=8, own={"first": Own(weight_bits=4)})
    with pytest.raises(
        ValueError, match=r"no calibration data: give some, or use search = weights"
    ):
        mapped(network, word_bits=8)
    with pytest.raises(
        ValueError, match=r"no calibration data: give some, or use search = weights"
    ):
        mapped(network, search=Search.OUTPUTS)
    with pytest.raises(ValueError, match=r"the network has no delays: say weight_bits"):
        mapped(open_network("digits-none"), counts, word_bits=8)
    options = options_for(DIGITS_AXONAL)
    with pytest.raises(
        ValueError, match=r"^no split of word_bits = 20 fits the weights and delays"
    ):
        mapped(network, counts, chip=DIGITS_AXONAL, options=options, word_bits=20)


def test_what_is_lossless_is_kept_under_every_search():
    whole = small(((100.0, 3.0), (-127.0, 1.0)), out=((64.0, 32.0),))
    counts = np.ones((2, 10, 2), np.int64)
    for search in Search:
        image, loss = mapped(whole, counts, search=search)
        assert loss.lossless
        assert not loss.trials
        assert of(image, "first").weights.tolist() == [[100, 3], [-127, 1]]


# On the command line.


def test_flags_are_for_all_projections_or_for_one():
    options = asked(OPTIONS, {"weight_bits": ("4", "out=6", "in=5"), "prune": ("in=0.5",)})
    assert options.weight_bits == 4
    assert options.own == {"out": Own(weight_bits=6), "in": Own(weight_bits=5, prune=0.5)}
    for given, sentence in (
        ({"weight_bits": ("x",)}, "--weight-bits must be a whole number, or PROJECTION= and one"),
        ({"prune": ("out=",)}, "--prune must be a number, or PROJECTION= and one, not 'out='"),
        ({"delay_bits": ("out=0",)}, "out: delay_bits must be a whole number from 1 to 15, not 0"),
        ({"prune": ("1.5",)}, "prune must be at least 0 and below 1, not 1.5"),
    ):
        with pytest.raises(ValueError, match=f"^{sentence}"):
            asked(OPTIONS, given)
