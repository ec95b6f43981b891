"""From an image to one that learns on its chip: formats, tables, shifts and rates in integers."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from datapath import (
    Chip,
    Delay,
    Format,
    Image,
    Kind,
    Learn,
    Learning,
    Population,
    PopulationRule,
    Projection,
    ProjectionRule,
)
from datapath.learning import feedback_projection
from datapath.memory_formats import KEEP, SHIFT, STRENGTH
from quant.fit import deeper_than
from quant.leak import alphas

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class LearnOptions:
    """Widths of what a chip needs to learn.

    lookup_bits, entries : of the two lookup tables.  coefficient_bits : of the decay of a signal.
    filtered_bits, signal_bits, slope_bits : of a filtered signal, of what synapses see of it and of
    its derivative.  tap_bits, taps : width and largest number of the derivative's coefficients.
    weight_gradient_bits, delay_gradient_bits : of the sums over recordings.
    weight_fraction_bits, delay_fraction_bits : of a master word, below the word in use.
    rate_bits : of a rate.  activity_bits : of the spikes of a neuron in a recording.
    """

    lookup_bits: int = 6
    entries: int = 16
    coefficient_bits: int = 9
    filtered_bits: int = 18
    signal_bits: int = 12
    slope_bits: int = 12
    tap_bits: int = 8
    taps: int = 12
    weight_gradient_bits: int = 20
    delay_gradient_bits: int = 24
    weight_fraction_bits: int = 6
    delay_fraction_bits: int = 6
    rate_bits: int = 8
    activity_bits: int = 8


def learn_options_for(chip: Chip) -> LearnOptions:
    """Return the options that use all of what `chip`, which learns, is built with.

    Raises
    ------
    ValueError
        It is built without learning.
    """
    learn = chip.learn
    if learn is None:
        raise ValueError("the chip is built without learning")
    return LearnOptions(
        lookup_bits=learn.lookup.width,
        entries=learn.entries,
        coefficient_bits=learn.coefficient.width,
        filtered_bits=learn.filtered.width,
        signal_bits=learn.signal.width,
        slope_bits=learn.slope.width,
        tap_bits=learn.tap.width,
        taps=learn.taps,
        weight_gradient_bits=learn.weight_gradient.width,
        delay_gradient_bits=learn.delay_gradient.width,
        weight_fraction_bits=learn.weight_fraction.width,
        delay_fraction_bits=learn.delay_fraction.width,
        rate_bits=learn.rate.width,
        activity_bits=learn.activity.width,
    )


@dataclass(frozen=True, slots=True)
class Tuning:
    """How fast, and by what, a chip learns.

    weight_rate : size of a step, in units of the largest weight.  delay_rate : in ticks; 0 leaves
    the delays alone.  limit : a gradient counts as at most 2**limit - 1, 1 takes its sign.
    momentum : share of a gradient that stays after an update, rounded to (2**n - 1) / 2**n.
    surrogate_width : psi = exp(-((u - threshold) / width)^2 / 2), in units of the threshold.
    linear : error levels fall linearly instead of exponentially with the distance to the winner.
    error_width : distance at which they have fallen to 1/e (linear: to 0), in units of the
    largest readout weight.
    half_taps : coefficients of the derivative in time at distances 1, 2, ...
    random_feedback : fixed feedback instead of the readout's weights, which a population that does
    not project to the readout gets anyway.
    sign_of_weight : a synaptic delay learns by the sign of its weight.
    nearest : steps are rounded to the nearest instead of stochastically.
    rate_strength, rate_target : spikes of a recording beyond the target, times 2**(strength - 1),
    are added to the fed-back error; strength 0 is off.
    """

    weight_rate: float
    delay_rate: float
    half_taps: tuple[float, ...]
    limit: int = 1
    momentum: float = 0.875
    surrogate_width: float = 0.5
    linear: bool = False
    error_width: float = 1.0
    random_feedback: bool = False
    sign_of_weight: bool = False
    nearest: bool = False
    rate_strength: int = 0
    rate_target: int = 0

    def __post_init__(self) -> None:
        for name in ("surrogate_width", "error_width"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise ValueError(f"{name} must be a positive number, not {value}")
        for name in ("weight_rate", "delay_rate"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                raise ValueError(f"{name} must be a number of at least 0, not {value}")
        for name, most in (("limit", SHIFT.max), ("rate_strength", STRENGTH.max)):
            value = getattr(self, name)
            if not (name == "limit") <= value <= most:
                raise ValueError(f"{name} must be at most {most}, not {value}")
        if not 0 <= self.momentum < 1:
            raise ValueError(f"momentum must be at least 0 and less than 1, not {self.momentum}")


def learnable(image: Image, tuning: Tuning, options: LearnOptions, *, seed: int) -> Image:
    """Return `image` on a chip that learns, with everything it needs to.

    All projections learn weights; those with axonal or synaptic delays learn these, too, up to the
    longest that the delay word holds.  Fractions start in the middle, so that a word in use is its
    master word rounded to the nearest.  seed : of fixed feedback and of the random generators.

    Raises
    ------
    ValueError
        A width does not suffice, a dendritic delay is to learn, or more taps are wanted than built.
    """
    if len(tuning.half_taps) > options.taps:
        raise ValueError(
            f"taps = {options.taps} must be at least {len(tuning.half_taps)}: a derivative of this "
            "width looks so many ticks around"
        )
    chip = _chip(image, options, tuning)
    plain = replace(image, chip=chip, learning=None)
    assert chip.learn is not None
    rng = np.random.default_rng([seed, 2])
    signals = _signals(plain, chip.learn, tuning, rng)
    rules = [_projection_rule(plain, p, tuning) for p in plain.projections]
    learning = Learning(
        surrogate=np.zeros(options.entries, np.int64),
        levels=np.zeros(options.entries, np.int64),
        surrogate_shift=0,
        error_shift=0,
        taps=np.zeros(0, np.int64),
        keep_weights=0,
        keep_delays=0,
        sign_of_weight=tuning.sign_of_weight,
        nearest=tuning.nearest,
        random=rng.integers(1, 1 << 32, chip.lanes),
        populations=tuple(signals),
        projections=tuple(rules),
    )
    return tuned(replace(plain, learning=learning), tuning)


def tuned(image: Image, tuning: Tuning) -> Image:
    """Return a learning `image` with the tables, taps and rates of `tuning`, all else unchanged."""
    learning, learn = image.learning, image.chip.learn
    if learning is None or learn is None:
        raise ValueError("the image does not learn")
    surrogate_shift, surrogate = _surrogate(image, learn, tuning)
    error_shift, levels = _levels(image, learn, tuning)
    half_taps = tuning.half_taps if tuning.delay_rate > 0 else ()
    taps = np.rint(np.array(half_taps) * 2.0**learn.tap.frac).astype(np.int64)
    keep = _keep(tuning.momentum)
    projections = tuple(
        _rated(image, p, rule, learn, tuning)
        for p, rule in zip(image.projections, learning.projections, strict=True)
    )
    return replace(
        image,
        learning=replace(
            learning,
            surrogate=surrogate,
            levels=levels,
            surrogate_shift=surrogate_shift,
            error_shift=error_shift,
            taps=np.clip(taps, 0, learn.tap.max),
            keep_weights=keep,
            keep_delays=keep,
            sign_of_weight=tuning.sign_of_weight,
            nearest=tuning.nearest,
            projections=projections,
        ),
    )


def _keep(momentum: float) -> int:
    """Shift n for which (2**n - 1) / 2**n comes closest to `momentum`."""
    shares = [1 - 2.0**-n for n in range(KEEP.max + 1)]
    return int(np.argmin(np.abs(np.array(shares) - momentum)))


def _chip(image: Image, options: LearnOptions, tuning: Tuning) -> Chip:
    """Deepen what a recording has to be remembered in, and add the formats of learning."""
    chip = image.chip
    steps = deeper_than(image.steps)
    learns_delays = tuning.delay_rate > 0
    reach = 0
    for p in image.projections:
        if p.delay in (Delay.DENDRITIC, Delay.SYNAPTIC):
            learned = learns_delays and p.delay is Delay.SYNAPTIC
            most = chip.synapse.delay.max if learned else int(p.delays.max(initial=0))
            reach = max(reach, most << p.resolution)
    slots = deeper_than(max(3, reach + options.taps, 2 * options.taps))
    blocks = -(-image.readout.size // chip.lanes)
    feedback = blocks * sum(
        p.size for n, p in enumerate(image.populations) if _gets_fixed_feedback(image, n, tuning)
    )
    largest = _largest_sum(image)
    acc = max(chip.synapse.acc.width, largest, options.signal_bits + options.slope_bits)
    return replace(
        chip,
        synapses=chip.synapses + feedback,
        axon=replace(
            chip.axon,
            channel_steps=max(chip.axon.channel_steps, steps),
            neuron_steps=max(chip.axon.neuron_steps, steps),
        ),
        synapse=replace(chip.synapse, acc=Format(acc), slots=max(chip.synapse.slots, slots)),
        learn=Learn(
            steps=steps,
            lookup=Format(options.lookup_bits, signed=False),
            entries=options.entries,
            coefficient=Format(
                options.coefficient_bits, options.coefficient_bits - 1, signed=False
            ),
            filtered=Format(options.filtered_bits),
            signal=Format(options.signal_bits),
            slope=Format(options.slope_bits),
            tap=Format(options.tap_bits, options.tap_bits, signed=False),
            taps=options.taps,
            weight_gradient=Format(options.weight_gradient_bits),
            delay_gradient=Format(options.delay_gradient_bits),
            weight_fraction=Format(options.weight_fraction_bits, signed=False),
            delay_fraction=Format(options.delay_fraction_bits, signed=False),
            rate=Format(options.rate_bits, signed=False),
            activity=Format(options.activity_bits, signed=False),
        ),
    )


def _largest_sum(image: Image) -> int:
    """Bits that a sum needs if every weight may become the largest."""
    chip, bits = image.chip, 0
    for population in image.populations:
        most = 0
        for p in image.projections:
            if p.post == population.name:
                count = chip.axon.count.max if p.pre == image.input_name else 1
                most += image.source_size(p) * count << p.scale
        bits = max(bits, (most * -chip.synapse.weight.min).bit_length() + 1)
    return bits


def _alpha(image: Image, population: Population) -> float:
    """Mean share of a membrane that is left one tick later."""
    return float(alphas(population.coefficient, image.chip.lif).mean())


def _signals(
    image: Image, learn: Learn, tuning: Tuning, rng: np.random.Generator
) -> list[PopulationRule]:
    """Shifts that use the formats of filtered signals for what weights at hand feed back."""
    one = learn.lookup.max
    readout = image.readout
    # What errors of one sign add up to, at most, and what of it the synapses see.
    kappa = min(_alpha(image, readout), 1 - 1 / image.steps)
    summed = min(one / (1 - kappa), float(learn.filtered.max))
    signal_shift = _shift_into(summed, learn.signal.max)
    seen = summed / 2**signal_shift
    rules = []
    for number, population in enumerate(image.populations):
        alpha = _alpha(image, population)
        coefficient = round(alpha * 2**learn.coefficient.frac)
        if population.name == readout.name:
            rules.append(_signal(None, coefficient, 0, signal_shift, 0, 0))
            continue
        feedback = None
        if _gets_fixed_feedback(image, number, tuning):
            scale = image.chip.synapse.weight.max / 3
            drawn = np.rint(rng.normal(0, scale, (population.size, readout.size)))
            fmt = image.chip.synapse.weight
            feedback = np.clip(drawn, fmt.min, fmt.max).astype(np.int64)
            heavy = feedback
        else:
            through = feedback_projection(image, number)
            assert through is not None
            heavy = through.weights
        # Errors of several classes together, as large as they usually are at once.
        typical = float(np.sqrt((heavy.astype(float) ** 2).mean() * readout.size)) + 1
        drive = typical * seen * one / 4
        drive_shift = _shift_into(drive / (1 - min(alpha, 0.95)), learn.filtered.max / 2)
        signal_shift_here = _shift_into(float(learn.filtered.max), learn.signal.max)
        rules.append(
            _signal(
                feedback,
                coefficient,
                drive_shift,
                signal_shift_here,
                tuning.rate_strength,
                tuning.rate_target,
            )
        )
    return rules


def _gets_fixed_feedback(image: Image, number: int, tuning: Tuning) -> bool:
    """Whether a population is fed back fixed numbers, and not the weights of its readout."""
    if image.populations[number].kind is Kind.READOUT:
        return False
    return tuning.random_feedback or feedback_projection(image, number) is None


def _signal(
    feedback: NDArray[np.int64] | None,
    coefficient: int,
    drive_shift: int,
    signal_shift: int,
    strength: int,
    target: int,
) -> PopulationRule:
    return PopulationRule(
        learns=True,
        feedback=feedback,
        coefficient=coefficient,
        drive_shift=drive_shift,
        signal_shift=signal_shift,
        strength=strength,
        target=target,
    )


def _shift_into(value: float, largest: float) -> int:
    """Right shift by which `value` comes down to `largest`."""
    return max(0, math.ceil(math.log2(max(value, 1) / max(largest, 1))))


def _surrogate(image: Image, learn: Learn, tuning: Tuning) -> tuple[int, NDArray[np.int64]]:
    """Shift and table of the surrogate derivative, a Gaussian of the distance to threshold."""
    thresholds = [p.threshold.mean() for p in image.populations if p.kind is Kind.LIF]
    width = tuning.surrogate_width * float(np.mean(thresholds)) if thresholds else 1.0
    shift = _shift_into(3 * width, learn.entries - 1)
    middle = (np.arange(learn.entries) + 0.5) * 2**shift / width
    return shift, _table(np.exp(-(middle**2) / 2), learn)


def _levels(image: Image, learn: Learn, tuning: Tuning) -> tuple[int, NDArray[np.int64]]:
    """Shift and table of the error, by the distance to the largest readout."""
    into = (p.scale for p in image.projections if p.post == image.readout.name)
    width = tuning.error_width * image.chip.synapse.weight.max * 2.0 ** max(into, default=0)
    shift = _shift_into(width if tuning.linear else 5 * width, learn.entries - 1)
    distance = np.arange(learn.entries) * 2**shift / width
    return shift, _table(1 - distance if tuning.linear else np.exp(-distance), learn)


def _table(values: ArrayLike, learn: Learn) -> NDArray[np.int64]:
    """Values from 0 to 1 as words; the last entry, which holds for all beyond, is 0."""
    words: NDArray[np.int64] = np.rint(np.clip(values, 0, 1) * learn.lookup.max).astype(np.int64)
    words[-1] = 0
    return words


def _projection_rule(image: Image, projection: Projection, tuning: Tuning) -> ProjectionRule:
    """Return the rule of `projection` with no rate yet, and fractions in the middle."""
    chip, learn = image.chip, image.chip.learn
    assert learn is not None
    learns = tuning.delay_rate > 0 and projection.delay in (Delay.AXONAL, Delay.SYNAPTIC)
    if tuning.delay_rate > 0 and projection.delay is Delay.DENDRITIC:
        raise ValueError(
            f"{projection.name}: dendritic delays do not learn on the chip; set the delay rate to "
            "0, or make them axonal or synaptic"
        )
    axonal = projection.delay is Delay.AXONAL
    return ProjectionRule(
        weights=True,
        delays=learns,
        weight_limit=tuning.limit,
        weight_rate=0,
        weight_shift=0,
        delay_scale=_delay_scale(image, projection) if axonal else 0,
        delay_limit=tuning.limit,
        delay_rate=0,
        delay_shift=0,
        largest=_largest_delay(chip, image, projection) if learns else 0,
        weight_fractions=np.array(1 << (learn.weight_fraction.width - 1)),
        weight_gradients=np.array(0),
        delay_fractions=np.array(1 << (learn.delay_fraction.width - 1)),
        delay_gradients=np.array(0),
    )


def _delay_scale(image: Image, projection: Projection) -> int:
    """Right shift by which a recording's sum for an axon fits its gradient."""
    learn = image.chip.learn
    assert learn is not None
    typical = math.sqrt(projection.weights.shape[0]) * image.chip.synapse.weight.max
    return _shift_into(typical * learn.slope.max * image.steps / 4, learn.delay_gradient.max)


def _largest_delay(chip: Chip, image: Image, projection: Projection) -> int:
    """Longest delay word that history and ring allow."""
    if projection.delay is Delay.SYNAPTIC:
        return chip.synapse.delay.max
    history = chip.axon.neuron_steps
    if projection.pre == image.input_name:
        history = chip.axon.channel_steps
    most = (history - 1 - image.age(projection)) >> projection.resolution
    return min(chip.axon.delay.max, most)


def _rated(
    image: Image, projection: Projection, rule: ProjectionRule, learn: Learn, tuning: Tuning
) -> ProjectionRule:
    """Return `rule` with the rates of `tuning`."""
    weight = tuning.weight_rate * image.chip.synapse.weight.max * 2**learn.weight_fraction.width
    delay = tuning.delay_rate * 2.0 ** (learn.delay_fraction.width - projection.resolution)
    weight_rate, weight_shift = _rate(weight, learn.rate)
    delay_rate, delay_shift = _rate(delay if rule.delays else 0.0, learn.rate)
    return replace(
        rule,
        weights=tuning.weight_rate > 0,
        weight_limit=tuning.limit,
        weight_rate=weight_rate,
        weight_shift=weight_shift,
        delay_limit=tuning.limit,
        delay_rate=delay_rate,
        delay_shift=delay_shift,
    )


def _rate(step: float, fmt: Format) -> tuple[int, int]:
    """Factor and right shift whose ratio comes closest to `step`."""
    if step <= 0:
        return 0, 0
    shift = max(0, min(SHIFT.max - 7, math.floor(math.log2(fmt.max / step))))
    return min(fmt.max, round(step * 2**shift)), shift
