"""From a float network to a chip that learns: scales, tables and rates by hand."""

from dataclasses import replace

import numpy as np
import pytest

from datapath import Delay
from datapath.catalog import CHIPS, TINY
from learn import make_network
from learn.rule import Taps, half_taps
from quant.learnable import LearnOptions, Tuning, learn_options_for, learnable, tuned
from quant.start import start_image
from ranvier.defaults import OPTIONS


def network(**changes):
    given = {
        "channels": 12,
        "hidden": (10,),
        "classes": 3,
        "steps": 20,
        "dt_ms": 10.0,
        "max_delay": 9,
        "seed": 2,
    }
    return make_network(**{**given, **changes})


def tuning(**changes):
    given = {"weight_rate": 0.002, "delay_rate": 0.03, "half_taps": (0.25, 0.125)}
    return Tuning(**{**given, **changes})


def chip(net=None, options=None, **changes):
    image = start_image(network() if net is None else net, OPTIONS)
    return learnable(image, tuning(**changes), options or LearnOptions(), seed=0)


def test_weights_have_room_to_grow():
    net = network()
    image = start_image(net, OPTIONS)
    # The largest of 127 is 0.5 in float units, so the threshold of 1 is 254.
    assert set(image.populations[0].threshold.tolist()) == {254}
    assert (image.projections[0].weights == np.rint(net.projections[0].weights * 254)).all()
    assert (image.projections[0].delays == np.rint(net.projections[0].delays)).all()
    wide = start_image(net, OPTIONS, largest={"hidden": 1.0})
    assert set(wide.populations[0].threshold.tolist()) == {127}
    with pytest.raises(ValueError, match="largest weight of hidden must be positive, not 0"):
        start_image(net, OPTIONS, largest={"hidden": 0.0})


def test_master_words_start_in_the_middle():
    image = chip(options=LearnOptions(weight_fraction_bits=5, delay_fraction_bits=3))
    rule = image.learning.projections[0]
    assert set(rule.weight_fractions.ravel().tolist()) == {16}
    assert set(rule.delay_fractions.ravel().tolist()) == {4}
    assert not rule.weight_gradients.any()


def test_rates_are_parts_of_the_largest_weight_and_of_a_tick():
    image = chip()
    learn, (into, out) = image.chip.learn, image.learning.projections
    wanted = 0.002 * 127 * 2**learn.weight_fraction.width
    assert into.weight_rate / 2**into.weight_shift == pytest.approx(wanted, rel=0.01)
    wanted = 0.03 * 2**learn.delay_fraction.width
    assert into.delay_rate / 2**into.delay_shift == pytest.approx(wanted, rel=0.01)
    assert (into.weights, into.delays, out.weights, out.delays) == (True, True, True, False)
    still = tuned(image, tuning(weight_rate=0.0, delay_rate=0.0))
    assert not any(rule.weights for rule in still.learning.projections)
    assert still.learning.taps.size == 0
    assert (still.learning.random == image.learning.random).all()


def test_tables_by_hand():
    learning = chip(linear=True, error_width=2.0).learning
    # Three widths of 127 (half a threshold of 254) in 15 entries: 32 LSBs each, read in the middle.
    middle = (np.arange(15) + 0.5) * 32 / 127
    assert learning.surrogate_shift == 5
    assert learning.surrogate[:15].tolist() == np.rint(63 * np.exp(-(middle**2) / 2)).tolist()
    # Falls to 0 at 2 * 127, in 15 entries: 32 LSBs each, the winner having all of it.
    assert learning.error_shift == 5
    wanted = np.rint(63 * np.maximum(0, 1 - np.arange(15) * 32 / 254))
    assert learning.levels[:15].tolist() == wanted.tolist()
    assert learning.surrogate[15] == learning.levels[15] == 0
    assert learning.taps.tolist() == [64, 32]
    assert learning.keep_weights == 3


def test_the_error_of_a_quantized_network_is_as_wide_as_its_readout_weights():
    image = start_image(network(), OPTIONS)
    *into, last = image.projections
    shifted = replace(image, projections=(*into, replace(last, scale=3)))
    learning = learnable(shifted, tuning(linear=True, error_width=2.0), LearnOptions(), seed=0)
    # The largest weight is 127 << 3, and two of them are 15 entries of 256.
    assert learning.learning.error_shift == 5 + 3
    assert (
        learning.learning.levels.tolist()
        == chip(linear=True, error_width=2.0).learning.levels.tolist()
    )


def test_the_chip_holds_what_learning_needs():
    image = chip()
    assert image.chip.learn.steps == 32
    assert image.chip.axon.channel_steps == image.chip.axon.neuron_steps == 32
    assert image.chip.synapse.slots == 32
    synaptic = chip(network(delay="synaptic"))
    assert synaptic.chip.synapse.slots == 128
    assert synaptic.learning.projections[0].largest == 63


def test_hidden_populations_without_a_readout_get_fixed_feedback():
    image = chip(network(hidden=(10, 6)))
    first, second, readout = image.learning.populations
    assert first.feedback.shape == (10, 3)
    assert second.feedback is None
    assert readout.feedback is None
    assert chip(random_feedback=True).learning.populations[0].feedback.shape == (10, 3)


def test_what_cannot_learn_is_refused():
    with pytest.raises(ValueError, match="input_to_hidden: dendritic delays do not learn"):
        chip(network(delay="dendritic"))
    assert chip(network(delay="dendritic"), delay_rate=0.0).projections[0].delay is Delay.DENDRITIC
    wide = tuple(half_taps(Taps.GAUSS, 9.0).tolist())
    with pytest.raises(ValueError, match="taps = 12 must be at least 27"):
        chip(half_taps=wide)
    with pytest.raises(ValueError, match="the image does not learn"):
        tuned(start_image(network(), OPTIONS), tuning())
    for changes, sentence in {
        "weight_rate": "weight_rate must be a number of at least 0, not -1",
        "surrogate_width": "surrogate_width must be a positive number, not -1",
        "momentum": "momentum must be at least 0 and less than 1, not -1",
        "limit": "limit must be at most 31, not -1",
    }.items():
        with pytest.raises(ValueError, match=sentence):
            replace(tuning(), **{changes: -1})


def test_a_chip_of_the_catalogue_holds_140_channels_and_128_neurons_and_learns():
    net = network(channels=140, hidden=(128,), classes=20, steps=100, max_delay=40)
    words = {"membrane_bits": 16, "bias_bits": 16, "coefficient_bits": 9, "lanes": 2}
    image = start_image(net, replace(OPTIONS, **words))
    half = tuple([1 / 16] * 12)
    image = learnable(image, tuning(half_taps=half), LearnOptions(weight_gradient_bits=18), seed=0)
    # An image refuses a chip that anything of it does not fit.
    held = replace(image, chip=CHIPS["digits-learn"])
    assert (held.projections[0].delay, held.learning.projections[0].delays) == (Delay.AXONAL, True)


@pytest.mark.parametrize("name", ["tiny-learn", "small-learn", "digits-learn"])
def test_the_options_of_a_chip_make_its_formats(name):
    options = learn_options_for(CHIPS[name])
    built = chip(options=options, half_taps=(0.25,)).chip.learn
    assert built == replace(CHIPS[name].learn, steps=built.steps)


def test_a_chip_that_does_not_learn_has_no_options():
    with pytest.raises(ValueError, match="the chip is built without learning"):
        learn_options_for(TINY)
