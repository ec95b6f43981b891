from dataclasses import replace

import numpy as np
import pytest

from model import Delay, Input, Lif, Network, Projection, Readout


def network(**changes):
    made = Network(
        dt_ms=1.0,
        steps=4,
        populations=(
            Input("in", 3, 3),
            Lif("hidden", 2, 0.5, 1.0, 0.0),
            Readout("out", 2, 0.9, 0.0),
        ),
        projections=(
            Projection("a", "in", "hidden", np.ones((2, 3)), "axonal", [-1, 0.5, 9], 4),
            Projection("b", "hidden", "hidden", np.ones((2, 2)), "dendritic", [0.2, 2.5], 4),
            Projection("c", "hidden", "out", np.ones((2, 2)), "none", 0, 0),
        ),
    )
    return replace(made, **changes)


def test_applied_delays_are_rounded_and_clamped():
    net = network()
    a, b, _ = net.projections
    assert net.steps_of(a).tolist() == [[0, 0, 4], [0, 0, 4]]
    # Recurrent: at least one step.
    assert net.steps_of(b).tolist() == [[1, 1], [2, 2]]


def test_counts_its_parameters():
    # 6 + 4 + 4 weights, 3 + 2 delays, 2 + 2 biases.
    assert network().parameters == 23


def test_channels_sum_neighbouring_units():
    assert Input("in", 140, 700).units_per_channel == 5
    assert Input("in", 3, 7).units_per_channel == 3


def test_says_whether_it_has_currents():
    net = network()
    assert not net.has_currents
    out = replace(net.readout, alpha_syn=[0, 0.5])
    assert replace(net, populations=(*net.populations[:2], out)).has_currents


def test_a_current_decays():
    with pytest.raises(ValueError, match=r"hidden: alpha_syn\[0\] = 1.5 must be between 0 and 1"):
        Lif("hidden", 2, 0.5, 1.0, 0.0, alpha_syn=1.5)


def test_arrays_cannot_be_written():
    with pytest.raises(ValueError, match="read-only"):
        network().population("hidden").bias[0] = 1


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Input("", 3, 3), "population's name must be printable, not empty and without"),
        (lambda: Input("a/b", 3, 3), "without slashes, not 'a/b'"),
        (lambda: Input("in", 0, 3), "in: size must be at least 1, not 0"),
        (lambda: Input("in", 2.5, 3), "in: size must be a whole number, not 2.5"),
        (lambda: Input("in", 3, 2), "in: units must be at least 3, not 2"),
        (lambda: Lif("a", 2, 1.5, 1, 0), r"a: alpha\[0\] = 1.5 must be between 0 and 1"),
        (lambda: Lif("a", 2, 0.5, [1, 0], 0), r"a: threshold\[1\] = 0.0 must be positive"),
        (lambda: Lif("a", 2, 0.5, 1, [0, np.inf]), r"a: bias\[1\] = inf is not a finite number"),
        (lambda: Lif("a", 2, [0.5], 1, 0), r"a: alpha must have shape \(2,\), not \(1,\)"),
        (lambda: Lif("a", 2, "x", 1, 0), "a: alpha must be an array of real numbers"),
        (lambda: Projection("p", "a", "b", [1.0], "none", 0, 0), r"weights must have shape \(post"),
        (
            lambda: Projection("p", "a", "b", [[1.0]], "axonal", 0.0, -1),
            "max_delay must be at least",
        ),
        (lambda: network(steps=0), "network: steps must be at least 1, not 0"),
        (lambda: network(dt_ms=0), "dt_ms must be a positive number, not 0"),
        (lambda: network(labels=("x",)), "labels must name the 2 readouts, not 1"),
        (lambda: network(populations=()), "exactly one input and one readout population, not 0"),
    ],
)
def test_refuses_in_one_sentence(make, sentence):
    with pytest.raises(ValueError, match=sentence):
        make()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"pre": "nobody"}, "a: there is no population 'nobody'"),
        ({"pre": "hidden"}, r"a: weights must have shape \(post, pre\) = \(2, 2\), not \(2, 3\)"),
        ({"name": "b"}, "two projections are called 'b'"),
        ({"pre": "out", "weights": np.ones((2, 2)), "delay": Delay.NONE, "delays": 0}, "no spikes"),
    ],
)
def test_refuses_projections_that_do_not_fit(change, sentence):
    a, *others = network().projections
    with pytest.raises(ValueError, match=sentence):
        network(projections=(replace(a, **change), *others))


def test_a_recurrent_delay_counts_its_unavoidable_step():
    recurrent = replace(network().projections[1], max_delay=0)
    with pytest.raises(ValueError, match="b: max_delay must be at least 1, not 0"):
        network(projections=(recurrent,))
