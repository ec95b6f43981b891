"""The loss as a file: everything comes back, and nothing damaged gets in."""

import json

import numpy as np
import pytest

from quant import Loss, PopulationLoss, ProjectionLoss, Trial

LOSS = Loss(
    options={"membrane_bits": 8, "emit": ["a"], "resolution": None},
    dt_ms=2.0,
    recordings=3,
    saturated_counts=1,
    projections=(
        ProjectionLoss(
            name="p",
            weight_bits=5,
            delay_bits=4,
            shift=1,
            weights=6,
            max_error=0.25,
            rms_error=0.125,
            rms_weight=1.0,
            zeroed=3,
            pruned=2,
            clipped=((0, 1, 9, 7),),
            mode_wanted="axonal",
            mode="axonal",
            resolution=0,
            moved=((-1, 2), (0, 1)),
            clamped=((1, 99, 15),),
        ),
    ),
    populations=(
        PopulationLoss(
            name="a",
            scale=(4.0, 2.0),
            unit=(1.0, 4.0),
            lossless=False,
            threshold_error=0.0,
            bias_error=0.5,
            biases_zeroed=(1,),
            alpha=(0.5, 1.0),
            alpha_applied=(0.25, 1.0),
            unleaking=(),
            span=8.0,
            saturated=0,
            updates=60,
            silent=(),
            silent_applied=(0,),
        ),
    ),
    trials=(Trial("split", 0.9375, 0.75, chosen=True),),
    notes=("so it is",),
)


def test_a_loss_comes_back_from_json():
    assert Loss.from_json(LOSS.to_json()) == LOSS
    assert Loss.from_json(LOSS.to_json()).to_json() == LOSS.to_json()


def test_headroom_is_that_of_the_tightest_neuron():
    # 8 bits hold 127; neuron 1 swings 8 thresholds of 4 units of 2 LSBs, 64.
    assert LOSS.headroom("a") == 127 / 64


def test_time_constants_end_at_nothing_and_at_infinity():
    wanted, applied = LOSS.tau_ms("a")
    assert wanted[0] == pytest.approx(2 / np.log(2))
    assert applied[0] == pytest.approx(2 / np.log(4))
    assert np.isinf(wanted[1])


def test_only_what_changes_nothing_is_lossless():
    assert not LOSS.lossless


def test_parts_are_found_by_name():
    assert LOSS.projection("p").shift == 1
    assert LOSS.population("a").span == 8


def test_a_loss_of_version_1_has_the_same_bits_for_all_and_tried_nothing():
    old = json.loads(LOSS.to_json())
    old.update(version=1, options={"weight_bits": 8, "delay_bits": 6})
    del old["trials"]
    for name in ("weight_bits", "delay_bits", "pruned"):
        del old["projections"][0][name]
    read = Loss.from_json(json.dumps(old))
    assert read.trials == ()
    p = read.projection("p")
    assert (p.weight_bits, p.delay_bits, p.pruned) == (8, 6, 0)
    del old["options"]["weight_bits"]
    with pytest.raises(ValueError, match=r"^loss.projections\[0\].weight_bits must be of type int"):
        Loss.from_json(json.dumps(old))


def damaged(change):
    described = json.loads(LOSS.to_json())
    change(described)
    return json.dumps(described)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "a loss must be JSON text, as to_json writes it"),
        ("[" * 100_000, "a loss must be JSON text"),
        ("[]", "a loss must say that its format is 'ranvier loss'"),
        (damaged(lambda d: d.update(format="x")), "a loss must say that its format is"),
        (damaged(lambda d: d.update(version=3)), "only versions 1 and 2 of a loss can be read"),
        (damaged(lambda d: d.pop("notes")), "loss must be an object of options, dt_ms"),
        (damaged(lambda d: d.update(more=1)), "loss must be an object of options, dt_ms"),
        (damaged(lambda d: d.update(recordings=True)), "loss.recordings must be of type int"),
        (damaged(lambda d: d.update(dt_ms="1")), "loss.dt_ms must be of type float, not '1'"),
        (damaged(lambda d: d.update(options=[])), "loss.options must be of type dict"),
        (damaged(lambda d: d.update(notes="n")), "loss.notes must be a list, not 'n'"),
        (damaged(lambda d: d.update(notes=[1])), r"loss.notes\[0\] must be of type str, not 1"),
        (
            damaged(lambda d: d["projections"][0].update(moved=[[1]])),
            r"loss.projections\[0\].moved\[0\] must be a list, not \[1\]",
        ),
        (
            damaged(lambda d: d["populations"].append(3)),
            r"loss.populations\[1\] must be an object of name, scale",
        ),
    ],
)
def test_damaged_text_is_refused_in_one_sentence(text, sentence):
    with pytest.raises(ValueError, match=f"^{sentence}"):
        Loss.from_json(text)
