"""Distances of spike trains and membranes, against numbers worked out by hand."""

from dataclasses import replace

import numpy as np
import pytest

from datapath import Compare, Leak, Rounding
from model import Delay, Input, Lif, Network, Projection, Readout
from quant import Options, Scale, quantize
from quant.compare import EDGES, compare, van_rossum

OPTIONS = Options(
    weight_bits=4,
    delay_bits=2,
    coefficient_bits=2,
    membrane_bits=12,
    bias_bits=4,
    count_bits=3,
    scale_bits=1,
    lanes=1,
    leak=Leak.MULTIPLY,
    rounding=Rounding.FLOOR,
    compare=Compare.GE,
    scale=Scale.INTEGER,
)


def network(threshold):
    """One channel, one neuron that never leaks, one readout; 1 ms per step."""
    one = np.ones((1, 1))
    return Network(
        1.0,
        4,
        (Input("in", 1, 1), Lif("h", 1, 1.0, threshold, 0.0), Readout("out", 1, 0.0, 0.0)),
        (
            Projection("first", "in", "h", one, Delay.NONE, 0.0, 0),
            Projection("last", "h", "out", one, Delay.NONE, 0.0, 0),
        ),
    )


COUNTS = np.ones((1, 4, 1), np.int64)


def trains(*spikes):
    """Steps of the spikes of one neuron in one recording of 200 steps."""
    train = np.zeros((1, 200, 1), bool)
    train[0, list(spikes)] = True
    return train


def test_van_rossum_of_equal_trains_is_nothing():
    assert van_rossum(trains(3, 9), trains(3, 9), 0.9) == 0


@pytest.mark.parametrize("step", [0, 100, 199])
def test_van_rossum_of_one_spike_against_none_is_a_half(step):
    # At the last step too: the rest of its trace is summed beyond the recording.
    assert van_rossum(trains(step), trains(), 0.9) == pytest.approx(0.5)


def test_van_rossum_of_far_trains_is_half_their_spikes():
    assert van_rossum(trains(0, 100), trains(50, 150, 199), 0.5) == pytest.approx(2.5)


def test_van_rossum_of_a_shifted_spike_is_one_minus_its_overlap():
    # Traces q**t and q**(t - 2): the distance is 1 - q**2.
    assert van_rossum(trains(10), trains(12), 0.9) == pytest.approx(1 - 0.9**2)


def test_a_network_of_integers_is_not_changed():
    whole = network(2.0)
    image, loss = quantize(whole, chip=None, options=OPTIONS, calibration=None)
    found = compare(whole, image, loss, COUNTS)
    hidden, out = found.populations
    assert found.agreement == 1
    assert hidden.spikes.float_rate_hz == hidden.spikes.chip_rate_hz == 500
    assert (hidden.spikes.differing, hidden.spikes.van_rossum, hidden.spikes.unlike) == (0, 0, 0)
    assert (hidden.membrane.rms, out.membrane.rms) == (0, 0)
    assert hidden.membrane.early_updates == hidden.updates == 4
    assert hidden.saturated == 0
    assert found.cycles.ticks == 4


def test_membranes_are_compared_in_the_unit_of_the_network():
    # A quarter of everything: 4 LSBs per unit, and no difference.
    whole = network(2.0)
    quarter = replace(
        whole,
        populations=(whole.input, Lif("h", 1, 1.0, 0.75, 0.0), whole.readout),
        projections=(replace(whole.projections[0], weights=[[0.25]]), whole.projections[1]),
    )
    free = replace(OPTIONS, scale=Scale.FREE)
    image, loss = quantize(quarter, chip=None, options=free, calibration=None)
    assert loss.population("h").scale == (4.0,)
    found = compare(quarter, image, loss, COUNTS)
    assert found.populations[0].spikes.float_rate_hz == 250
    assert found.populations[0].membrane.rms == 0


def test_another_threshold_makes_the_differences_it_must():
    # Float fires in every step, the chip in every other one and keeps 1 of 2 LSBs in between.
    image, loss = quantize(network(2.0), chip=None, options=OPTIONS, calibration=None)
    found = compare(network(1.0), image, loss, COUNTS, tau_ms=1e-3)
    hidden, _ = found.populations
    assert (hidden.spikes.float_rate_hz, hidden.spikes.chip_rate_hz) == (1000, 500)
    assert (hidden.spikes.differing, hidden.spikes.count_difference) == (0.5, 2)
    # Two lone spikes at a time constant of nothing: 2 / 2, of (4 + 2) / 2.
    assert hidden.spikes.van_rossum == pytest.approx(1)
    assert hidden.spikes.unlike == pytest.approx(1 / 3)
    assert hidden.membrane.mean == 0.25
    assert hidden.membrane.rms == pytest.approx(np.sqrt(0.125))
    # The first step differs already.
    assert (hidden.membrane.early_updates, hidden.membrane.early_rms) == (0, 0)
    bins = dict(zip(EDGES[:-1].round(3), hidden.membrane.histogram, strict=True))
    assert (bins[0.0], bins[0.5], sum(bins.values())) == (2, 2, 4)


def test_silent_neurons_and_counts_beyond_the_chip_are_counted():
    whole = network(2.0)
    image, loss = quantize(whole, chip=None, options=OPTIONS, calibration=None)
    found = compare(whole, image, loss, 0 * COUNTS)
    assert (found.populations[0].spikes.silent_float, found.populations[0].spikes.unlike) == (1, 0)
    assert compare(whole, image, loss, 8 * COUNTS).saturated_counts == 4


def test_progress_is_told():
    whole = network(2.0)
    image, loss = quantize(whole, chip=None, options=OPTIONS, calibration=None)
    seen = []
    compare(whole, image, loss, np.repeat(COUNTS, 70, axis=0), progress=lambda *at: seen.append(at))
    assert seen == [(64, 70), (70, 70)]


def test_what_does_not_belong_together_is_refused():
    whole = network(2.0)
    image, loss = quantize(whole, chip=None, options=OPTIONS, calibration=None)
    with pytest.raises(ValueError, match=r"^a comparison needs at least one recording$"):
        compare(whole, image, loss, COUNTS[:0])
    with pytest.raises(ValueError, match=r"^tau_ms must be positive, not 0$"):
        compare(whole, image, loss, COUNTS, tau_ms=0)
    wide = replace(loss.population("h"), scale=(1.0, 1.0))
    other = replace(loss, populations=(wide, loss.population("out")))
    with pytest.raises(ValueError, match=r"^the loss is not of this network: h differs in size$"):
        compare(whole, image, other, COUNTS)
