"""Accuracies and intervals that can be counted by hand."""

import numpy as np
import pytest

from datapath import Compare, Leak, Rounding
from model import Delay, Input, Network, Projection, Readout
from quant import Options, quantize
from quant.evaluate import Evaluation, evaluate, interval

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
)
# Channel 0 speaks for class 0, channel 1 for class 1: the class is the louder channel.
NETWORK = Network(
    1.0,
    4,
    (Input("in", 2, 2), Readout("out", 2, 1.0, 0.0)),
    (Projection("p", "in", "out", np.eye(2), Delay.NONE, 0.0, 0),),
)


def found():
    return Evaluation(
        labels=np.array([0, 0, 1, 1, 2, 2, 2, 2]),
        float_classes=np.array([0, 0, 1, 1, 2, 2, 2, 0]),
        chip_classes=np.array([0, 1, 1, 1, 2, 2, 0, 2]),
        classes=3,
        saturated_counts=0,
    )


def test_shares():
    assert found().float_accuracy == 7 / 8
    assert found().chip_accuracy == 6 / 8
    assert found().agreement == 5 / 8


def test_the_loss_is_of_paired_recordings():
    # Two that only the float network has, one that only the chip: 1 / 8, +- 1.96 sqrt(23/8) / 8.
    lost, half = found().lost
    assert lost == 1 / 8
    assert half == pytest.approx(1.959964 * np.sqrt(3 - 1 / 8) / 8)


def test_confusion_counts_classes_by_label():
    assert found().confusion(found().chip_classes).tolist() == [[1, 1, 0], [0, 2, 0], [1, 0, 3]]


@pytest.mark.parametrize(
    ("share", "number", "low", "high"),
    [(0.5, 100, 0.4038, 0.5962), (1.0, 10, 0.7225, 1.0), (0.0, 10, 0.0, 0.2775)],
)
def test_wilson_intervals(share, number, low, high):
    assert interval(share, number) == pytest.approx((low, high), abs=1e-4)


def test_both_are_run_on_the_same_recordings():
    image, _ = quantize(NETWORK, chip=None, options=OPTIONS, calibration=None)
    counts = np.zeros((3, 4, 2), np.int64)
    counts[0, 1, 0], counts[1, 2, 1], counts[2, 0, 1] = 2, 1, 9
    seen = []
    got = evaluate(NETWORK, image, counts, np.array([0, 1, 0]), lambda *at: seen.append(at))
    assert got.float_classes.tolist() == got.chip_classes.tolist() == [0, 1, 1]
    assert got.chip_accuracy == pytest.approx(2 / 3)
    # 9 events are more than 3 bits hold.
    assert got.saturated_counts == 1
    assert seen == [(3, 3)]


@pytest.mark.parametrize(
    ("labels", "sentence"),
    [
        ([0, 1], r"labels must be integers, one per recording, of shape \(1,\)"),
        ([0.0], "labels must be integers, one per recording"),
        ([2], r"labels\[0\] = 2 must be between 0 and 1"),
        ([-1], r"labels\[0\] = -1 must be between 0 and 1"),
    ],
)
def test_labels_must_fit(labels, sentence):
    image, _ = quantize(NETWORK, chip=None, options=OPTIONS, calibration=None)
    with pytest.raises(ValueError, match=f"^{sentence}"):
        evaluate(NETWORK, image, np.zeros((1, 4, 2), int), np.array(labels))


def test_an_empty_set_has_no_accuracy():
    image, _ = quantize(NETWORK, chip=None, options=OPTIONS, calibration=None)
    with pytest.raises(ValueError, match="at least one recording"):
        evaluate(NETWORK, image, np.zeros((0, 4, 2), int), np.zeros(0, int))
