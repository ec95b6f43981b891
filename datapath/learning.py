"""What a chip that learns is told: rules of populations and projections, tables, master words."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np

from datapath.chip import Chip, Learn
from datapath.format import Format
from datapath.integers import Integers, fit, integers, whole
from datapath.memory_formats import KEEP, RANDOM, SHIFT, STRENGTH

if TYPE_CHECKING:
    from datapath.image import Image, Projection


@dataclass(frozen=True, slots=True, eq=False)
class PopulationRule:
    """How the learning signal of a population comes about.

    learns : whether it has one.  feedback : int64[size, classes] in `synapse.weight`, fixed
    feedback; None takes the weights of its projection to the readout.  A readout has none.
    coefficient : in `learn.coefficient`, what is left of a filtered signal one tick earlier.
    drive_shift : right shift of surrogate derivative times fed-back error.  signal_shift : right
    shift from the filtered signal to what synapses see.
    strength, target : with strength > 0, (spikes of this recording - target) << (strength - 1) is
    added to the fed-back error of every tick.
    """

    learns: bool
    feedback: Integers | None
    coefficient: int
    drive_shift: int
    signal_shift: int
    strength: int
    target: int

    def __post_init__(self) -> None:
        _numbers(self, "a population rule")


@dataclass(frozen=True, slots=True, eq=False)
class ProjectionRule:
    """How a projection learns, and the part of its words that only learning sees.

    weights, delays : whether they learn.
    weight_limit : a gradient counts as at most 2**limit - 1.  weight_rate, weight_shift : it is
    multiplied by the rate and shifted right, the rounding being stochastic; the result is taken
    from the master word, whose lowest bits are `weight_fractions`.  Likewise for delays.
    delay_scale : right shift of weight times gradient, before the limit.
    largest : delay words stay between 0 and this.
    weight_fractions, weight_gradients : int64[post, pre].  delay_fractions, delay_gradients : int64
    of the shape of the delays.  A scalar is spread.
    """

    weights: bool
    delays: bool
    weight_limit: int
    weight_rate: int
    weight_shift: int
    delay_scale: int
    delay_limit: int
    delay_rate: int
    delay_shift: int
    largest: int
    weight_fractions: Integers
    weight_gradients: Integers
    delay_fractions: Integers
    delay_gradients: Integers

    def __post_init__(self) -> None:
        _numbers(self, "a projection rule")


@dataclass(frozen=True, slots=True, eq=False)
class Learning:
    """Everything a chip needs to learn.

    surrogate, levels : int64[learn.entries], the two lookup tables: the derivative of a spike by
    abs(u - threshold) >> surrogate_shift, and the error level of a readout by
    (largest membrane - membrane) >> error_shift; the last entry also holds for what is beyond.
    taps : int64[K] in `learn.tap`, K from 0 to `learn.taps`.
    keep_weights, keep_delays : after an update (2**keep - 1) / 2**keep of a gradient stays.
    sign_of_weight : a synaptic delay's gradient takes the sign of its weight, not the weight.
    nearest : steps are rounded to the nearest, half up, instead of stochastically.
    random : int64[lanes], states of the random number generators, 1 to 2**32 - 1.
    populations, projections : rules, one per population and projection of the image, in its order.
    """

    surrogate: Integers
    levels: Integers
    surrogate_shift: int
    error_shift: int
    taps: Integers
    keep_weights: int
    keep_delays: int
    sign_of_weight: bool
    nearest: bool
    random: Integers
    populations: tuple[PopulationRule, ...]
    projections: tuple[ProjectionRule, ...]

    def __post_init__(self) -> None:
        _numbers(self, "learning")


def _numbers(rule: PopulationRule | ProjectionRule | Learning, what: str) -> None:
    """Refuse numbers that are none."""
    for field in fields(rule):
        value = getattr(rule, field.name)
        if field.type == "int":
            object.__setattr__(rule, field.name, whole(f"{what}: {field.name}", value))
        elif field.type == "bool":
            if not isinstance(value, bool | np.bool_):
                raise ValueError(f"{what}: {field.name} must be True or False, not {value!r}")
            object.__setattr__(rule, field.name, bool(value))


def _arrays(
    owner: str, rule: PopulationRule | ProjectionRule | Learning, shapes: dict[str, tuple[int, ...]]
) -> None:
    """Turn the arrays of `rule` into read-only int64 of these shapes."""
    for name, shape in shapes.items():
        object.__setattr__(rule, name, integers(owner, name, getattr(rule, name), shape))


def _within(owner: str, name: str, value: int, fmt: Format) -> None:
    fit(owner, name, np.array(value), fmt)


def check_learning(image: Image, learning: Learning) -> None:
    """Refuse what the chip of `image` cannot do, by name and value."""
    learn = image.chip.learn
    if learn is None:
        raise ValueError("learning: the chip is built without learning")
    if image.steps >= learn.steps:
        raise ValueError(
            f"learning: a recording has {image.steps} steps, and learn.steps = {learn.steps} "
            f"remembers {learn.steps - 1}"
        )
    for name in ("populations", "projections"):
        rules, there = getattr(learning, name), getattr(image, name)
        if len(rules) != len(there):
            raise ValueError(
                f"learning: {name} must have {len(there)} rules, one each, not {len(rules)}"
            )
    _check_tables(image.chip, learn, learning)
    for number in range(len(image.populations)):
        _check_population(image, learn, learning, number)
    for number in range(len(image.projections)):
        _check_projection(image, learn, learning, number)


def _check_tables(chip: Chip, learn: Learn, learning: Learning) -> None:
    taps = np.shape(learning.taps)
    if len(taps) != 1 or taps[0] > learn.taps:
        raise ValueError(
            f"learning: taps must be at most {learn.taps} numbers, not an array of shape {taps}"
        )
    if 2 * taps[0] >= chip.synapse.slots:
        raise ValueError(
            f"learning: {taps[0]} taps look {2 * taps[0]} ticks around, and synapse.slots = "
            f"{chip.synapse.slots} holds fewer"
        )
    entries = (learn.entries,)
    shapes: dict[str, tuple[int, ...]] = {
        "surrogate": entries,
        "levels": entries,
        "taps": taps,
        "random": (chip.lanes,),
    }
    _arrays("learning", learning, shapes)
    fit("learning", "surrogate", learning.surrogate, learn.lookup)
    fit("learning", "levels", learning.levels, learn.lookup)
    fit("learning", "taps", learning.taps, learn.tap)
    fit("learning", "random", learning.random, RANDOM)
    if not learning.random.all():
        raise ValueError("learning: random must not be 0, a state that the generator never leaves")
    for name, fmt in (
        ("surrogate_shift", SHIFT),
        ("error_shift", SHIFT),
        ("keep_weights", KEEP),
        ("keep_delays", KEEP),
    ):
        _within("learning", name, getattr(learning, name), fmt)


def _check_population(image: Image, learn: Learn, learning: Learning, number: int) -> None:
    population, rule = image.populations[number], learning.populations[number]
    owner = f"learning of {population.name}"
    for name, fmt in (
        ("coefficient", learn.coefficient),
        ("drive_shift", SHIFT),
        ("signal_shift", SHIFT),
        ("strength", STRENGTH),
        ("target", learn.activity),
    ):
        _within(owner, name, getattr(rule, name), fmt)
    if rule.coefficient > 1 << learn.coefficient.frac:
        raise ValueError(
            f"{owner}: coefficient = {rule.coefficient} must be at most "
            f"{1 << learn.coefficient.frac}, which is 1"
        )
    hidden = population.name != image.readout.name
    if rule.feedback is not None:
        if not hidden:
            raise ValueError(f"{owner}: a readout takes no feedback")
        _arrays(owner, rule, {"feedback": (population.size, image.readout.size)})
        fit(owner, "feedback", rule.feedback, image.chip.synapse.weight)
    readout = image.populations.index(image.readout)
    if rule.learns and not learning.populations[readout].learns:
        raise ValueError(f"{owner}: {image.readout.name} must learn, because its error is fed back")
    if (
        rule.feedback is None
        and hidden
        and rule.learns
        and feedback_projection(image, number) is None
    ):
        raise ValueError(
            f"{owner}: feedback must be given, because it does not project to the readout"
        )


def feedback_projection(image: Image, number: int) -> Projection | None:
    """Return the first projection of population `number` to the readout."""
    name = image.populations[number].name
    return next(
        (p for p in image.projections if p.pre == name and p.post == image.readout.name), None
    )


def _check_projection(image: Image, learn: Learn, learning: Learning, number: int) -> None:
    projection, rule = image.projections[number], learning.projections[number]
    owner = f"learning of {projection.name}"
    for name, fmt in (
        ("weight_limit", SHIFT),
        ("weight_rate", learn.rate),
        ("weight_shift", SHIFT),
        ("delay_scale", SHIFT),
        ("delay_limit", SHIFT),
        ("delay_rate", learn.rate),
        ("delay_shift", SHIFT),
    ):
        _within(owner, name, getattr(rule, name), fmt)
    synapses, delays = projection.weights.shape, projection.delays.shape
    _arrays(owner, rule, {"weight_fractions": synapses, "weight_gradients": synapses})
    _arrays(owner, rule, {"delay_fractions": delays, "delay_gradients": delays})
    fit(owner, "weight_fractions", rule.weight_fractions, learn.weight_fraction)
    fit(owner, "weight_gradients", rule.weight_gradients, learn.weight_gradient)
    fit(owner, "delay_fractions", rule.delay_fractions, learn.delay_fraction)
    fit(owner, "delay_gradients", rule.delay_gradients, learn.delay_gradient)
    post = next(n for n, p in enumerate(image.populations) if p.name == projection.post)
    if (rule.weights or rule.delays) and not learning.populations[post].learns:
        raise ValueError(
            f"{owner}: {projection.post} must learn, because a synapse learns by its signal"
        )
    _check_learned_delays(image, learn, learning, number)


def _check_learned_delays(image: Image, learn: Learn, learning: Learning, number: int) -> None:
    projection, rule, chip = image.projections[number], learning.projections[number], image.chip
    owner = f"learning of {projection.name}"
    axonal, synaptic = projection.delay == "axonal", projection.delay == "synaptic"
    if rule.delays and not (axonal or synaptic):
        raise ValueError(
            f"{owner}: delays learn where they are axonal or synaptic, not {projection.delay}"
        )
    fmt = chip.axon.delay if axonal else chip.synapse.delay
    most = rule.largest if rule.delays else int(projection.delays.max(initial=0))
    _within(owner, "largest", most, fmt)
    if rule.delays and projection.delays.max(initial=0) > rule.largest:
        raise ValueError(
            f"{owner}: largest must be at least {projection.delays.max()}, a delay it has, "
            f"not {rule.largest}"
        )
    reach = most << projection.resolution
    if axonal:
        reach += image.age(projection)
        what = "channel_steps" if projection.pre == image.input_name else "neuron_steps"
        if reach >= getattr(chip.axon, what):
            raise ValueError(
                f"{owner}: largest = {rule.largest} reaches {reach} ticks back, and axon.{what} = "
                f"{getattr(chip.axon, what)} holds fewer"
            )
    elif (rule.weights or rule.delays) and reach + len(learning.taps) >= chip.synapse.slots:
        raise ValueError(
            f"{owner}: delays of {reach} ticks and {len(learning.taps)} taps need synapse.slots > "
            f"{reach + len(learning.taps)}, and the chip has {chip.synapse.slots}"
        )
