"""What a chip that learns is told: every number that does not fit is refused by name."""

from dataclasses import replace

import numpy as np
import pytest

from datapath import (
    Delay,
    Format,
    Image,
    Kind,
    Learning,
    Population,
    PopulationRule,
    Projection,
    ProjectionRule,
    Reset,
)
from datapath.catalog import TINY, TINY_LEARN
from datapath.contents import contents, controls, learned_image
from datapath.files import digest, load, save
from datapath.memory import memories, numbers


def unsigned(width, frac=0):
    return Format(width, frac, signed=False)


def learn(**changes):
    return lambda: replace(TINY_LEARN, learn=replace(TINY_LEARN.learn, **changes))


@pytest.mark.parametrize(
    ("build", "sentence"),
    [
        (learn(steps=24), r"learn\.steps must be a power of two between 2 and \d+, not 24"),
        (learn(steps=64), r"axon\.channel_steps must be at least learn\.steps = 64, not 32"),
        (learn(lookup=Format(5)), r"learn\.lookup must be unsigned"),
        (learn(signal=unsigned(9)), r"learn\.signal must be signed"),
        (learn(entries=3), r"learn\.entries must be a power of two"),
        (learn(coefficient=unsigned(6)), r"learn\.coefficient must hold the number 1"),
        (learn(slope=Format(14)), r"synapse\.acc must have at least the 23 bits of learn\.signal"),
        (learn(tap=unsigned(4, -1)), r"learn\.tap\.frac must be at least 0, not -1"),
        (
            learn(tap=unsigned(48), signal=Format(12)),
            r"learn\.tap and learn\.signal of all taps must have at most 62",
        ),
        (learn(lookup=unsigned(48)), r"learn\.lookup, synapse\.weight and learn\.signal of all"),
        (learn(weight_gradient=Format(48), rate=unsigned(20)), r"learn\.weight_gradient and learn"),
        (learn(delay_gradient=Format(48), rate=unsigned(10)), r"learn\.delay_gradient and learn"),
        (
            lambda: replace(TINY_LEARN, synapse=replace(TINY_LEARN.synapse, slots=2)),
            r"synapse\.slots must be at least 4 on a chip that learns, not 2",
        ),
    ],
)
def test_a_chip_that_cannot_learn_is_refused(build, sentence):
    with pytest.raises(ValueError, match=sentence):
        build()


def population_rule(**changes):
    rule = PopulationRule(
        learns=True, feedback=None, coefficient=20, drive_shift=4, signal_shift=1, strength=0,
        target=0,
    )  # fmt: skip
    return replace(rule, **changes)


def projection_rule(**changes):
    rule = ProjectionRule(
        weights=True, delays=False, weight_limit=1, weight_rate=3, weight_shift=2, delay_scale=2,
        delay_limit=1, delay_rate=3, delay_shift=2, largest=7, weight_fractions=np.array(8),
        weight_gradients=np.array(0), delay_fractions=np.array(16), delay_gradients=np.array(0),
    )  # fmt: skip
    return replace(rule, **changes)


def learning(**changes):
    rules = Learning(
        surrogate=np.arange(8)[::-1],
        levels=np.arange(8)[::-1],
        surrogate_shift=3,
        error_shift=3,
        taps=np.array([3, 2]),
        keep_weights=2,
        keep_delays=0,
        sign_of_weight=False,
        nearest=False,
        random=np.array([5, 7]),
        populations=(population_rule(), population_rule(coefficient=30)),
        projections=(
            projection_rule(delays=True),
            projection_rule(delays=True),
            projection_rule(),
        ),
    )
    return replace(rules, **changes)


def image(chip=TINY_LEARN, rules=None, steps=20, **changes):
    w = np.arange(48).reshape(6, 8) % 31 - 15
    neurons = {"threshold": 100, "bias": 0, "reset": Reset.SUBTRACT, "emit": True}
    parts = {
        "populations": (
            Population("h", Kind.LIF, 6, coefficient=32, **neurons),
            Population("r", Kind.READOUT, 3, coefficient=60, **neurons),
        ),
        "projections": (
            Projection("in_h", "in", "h", w, 0, Delay.AXONAL, np.arange(8) % 7, 0),
            Projection("h_h", "h", "h", w[:, :6], 0, Delay.SYNAPTIC, abs(w[:, :6]) % 7, 0),
            Projection("h_r", "h", "r", w[:3, :6], 0, Delay.NONE, 0, 0),
        ),
    }
    return Image(
        chip=chip, input_name="in", channels=8, units=8, dt_us=1000, steps=steps,
        learning=learning() if rules is None else rules, **{**parts, **changes},
    )  # fmt: skip


def with_population(number, **changes):
    rules = [population_rule(), population_rule(coefficient=30)]
    rules[number] = replace(rules[number], **changes)
    return learning(populations=tuple(rules))


def with_projection(number, **changes):
    rules = list(learning().projections)
    rules[number] = replace(rules[number], **changes)
    return learning(projections=tuple(rules))


@pytest.mark.parametrize(
    ("build", "sentence"),
    [
        (lambda: image(chip=TINY), "learning: the chip is built without learning"),
        (lambda: image(steps=32), r"a recording has 32 steps, and learn\.steps = 32 remembers 31"),
        (lambda: image(rules=learning(taps=np.array([1, 1, 1, 1]))), "taps must be at most 3"),
        (lambda: image(rules=learning(taps=np.array([16]))), r"taps\[0\] = 16 does not fit"),
        (lambda: image(rules=learning(surrogate=np.arange(7))), r"surrogate must have shape \(8,"),
        (lambda: image(rules=learning(levels=np.full(8, 32))), r"levels\[0\] = 32 does not fit"),
        (lambda: image(rules=learning(random=np.array([5, 0]))), "random must not be 0"),
        (lambda: image(rules=learning(keep_weights=8)), "keep_weights = 8 does not fit"),
        (lambda: image(rules=learning(error_shift=32)), "error_shift = 32 does not fit"),
        (lambda: image(rules=learning(populations=())), "populations must have 2 rules, one each"),
        (
            lambda: image(rules=with_population(0, coefficient=33)),
            "learning of h: coefficient = 33 must be at most 32, which is 1",
        ),
        (
            lambda: image(rules=with_population(1, learns=False)),
            "learning of h: r must learn, because its error is fed back",
        ),
        (
            lambda: image(rules=with_population(0, learns=False)),
            "learning of in_h: h must learn, because a synapse learns by its signal",
        ),
        (
            lambda: image(rules=with_population(1, feedback=np.zeros((3, 3), int))),
            "learning of r: a readout takes no feedback",
        ),
        (
            lambda: image(rules=with_population(0, feedback=np.full((6, 3), 16))),
            r"learning of h: feedback\[0, 0\] = 16 does not fit",
        ),
        (
            lambda: image(rules=with_projection(2, delays=True)),
            "learning of h_r: delays learn where they are axonal or synaptic, not none",
        ),
        (
            lambda: image(rules=with_projection(0, largest=3)),
            "learning of in_h: largest must be at least 6, a delay it has, not 3",
        ),
        (
            lambda: image(rules=with_projection(0, weight_fractions=np.array(16))),
            r"learning of in_h: weight_fractions\[0, 0\] = 16 does not fit",
        ),
        (
            lambda: image(rules=with_projection(1, delay_gradients=np.zeros(6, int))),
            r"learning of h_h: delay_gradients must have shape \(6, 6\), not \(6,\)",
        ),
        (
            lambda: image(
                chip=replace(TINY_LEARN, synapse=replace(TINY_LEARN.synapse, slots=8))
            ),
            r"learning of h_h: delays of 7 ticks and 2 taps need synapse\.slots > 9",
        ),
        (
            lambda: image(
                chip=replace(TINY_LEARN, synapse=replace(TINY_LEARN.synapse, acc=Format(19)),
                             axon=replace(TINY_LEARN.axon, count=Format(13, signed=False)))
            ),
            "h: neuron 0 can receive",
        ),
        (lambda: learning(surrogate_shift=1.5), "surrogate_shift must be a whole number, not 1.5"),
        (lambda: projection_rule(weights=1), "weights must be True or False, not 1"),
    ],
)  # fmt: skip
def test_rules_that_cannot_be_are_refused(build, sentence):
    with pytest.raises(ValueError, match=sentence):
        build()


def test_feedback_takes_rows_behind_the_weights():
    feedback = np.arange(18).reshape(6, 3) - 9
    given = image(rules=with_population(0, feedback=feedback))
    spec = {m.name: m for m in memories(TINY_LEARN)}
    words = numbers(spec["weights"], contents(given)["weights"])["weight"]
    rule = numbers(spec["population_rules"], contents(given)["population_rules"])
    # Two lanes: 8 rows of 3 words, 6 of 3 and 6 of 2 come before; readout rows have 2 words.
    assert rule["feedback"].ravel().tolist() == [8 * 3 + 6 * 3 + 6 * 2, 0]
    assert words[54:].reshape(6, 4)[:, :3].tolist() == feedback.tolist()
    assert controls(given)["readout"] == 1
    assert controls(given)["readout_block"] == 3


def test_what_learns_is_saved_and_read_to_the_last_bit(tmp_path):
    rng = np.random.default_rng(0)
    fractions = rng.integers(0, 16, (6, 8))
    gradients = np.asfortranarray(rng.integers(-8000, 8000, (6, 8)))
    rules = with_projection(0, weight_fractions=fractions, weight_gradients=gradients)
    signals = with_population(0, feedback=-np.eye(6, 3, dtype=int)).populations
    given = image(rules=replace(rules, populations=signals))
    save(given, tmp_path / "x.ranvier")
    back = load(tmp_path / "x.ranvier")
    assert digest(back) == digest(given)
    assert (back.learning.projections[0].weight_gradients == gradients).all()
    assert (back.learning.populations[0].feedback == -np.eye(6, 3)).all()
    other = image(rules=with_projection(0, weight_gradients=gradients))
    assert digest(other) != digest(given)


def test_memories_read_back_are_the_image_again():
    given = image()
    assert digest(learned_image(given, contents(given))) == digest(given)
