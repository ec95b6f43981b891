"""What an image learns by as flat arrays for the kernels, and the scratch memory of a recording."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from datapath import Delay, Format, Image, Kind, Learn, Learning, Projection
from datapath.learning import feedback_projection
from datapath.timing import (
    LEARN,
    PASSED,
    ROW,
    SIGNAL,
    SIGNAL_BLOCK,
    SLOPE,
    STEP,
    STEP_POPULATION,
    UPDATE,
    UPDATE_PROJECTION,
)
from emulator.kernels.tables import FIRST, NOWHERE, Tables

Integers = NDArray[np.int64]

STRIDE = 16
"""Ticks of a spike train come in groups of so many, which is a round of the loop over them."""

FEW = 16
"""Spikes of a source that are added up one by one, and not tick by tick."""

PAIR = 32
"""Bits of the lower number of a pair, and of the sums of such numbers."""

NARROW = 16
"""Bits of small signals, slopes and counts; int32 holds sums of their products, within bounds."""

(
    BEGIN,
    SIZE,
    IS_READOUT,
    LEARNS,
    COEFFICIENT,
    DRIVE_SHIFT,
    SIGNAL_SHIFT,
    STRENGTH,
    TARGET,
    FEEDBACK,
) = range(10)
"""Columns of `Rules.populations`: the start of its neurons, how many there are, what it is; its
rule; and the start of its feedback weights [class][neuron]."""

(
    POST,
    SOURCE,
    SOURCES,
    SYNAPSES,
    AXONS,
    IS_SYNAPTIC,
    PASSABLE,
    AGE,
    RESOLUTION,
    COST,
    WEIGHTS,
    DELAYS,
    WEIGHT_LIMIT,
    WEIGHT_RATE,
    WEIGHT_SHIFT,
    DELAY_SCALE,
    DELAY_LIMIT,
    DELAY_RATE,
    DELAY_SHIFT,
    LARGEST,
) = range(20)
"""Columns of `Rules.projections`: the population it reaches, the first of its sources and how many
there are; the start of its synapses [post][pre] and of its axons; its delays, and whether it is
passed over where there is nothing to learn; clocks of a row; its rule."""


class Formats(NamedTuple):
    """Of the chip.

    one : the largest entry of a lookup table.  tap, coefficient : bits behind the point.
    weight_bits, delay_bits : of a fraction.
    """

    one: int
    activity: int
    coefficient: int
    tap: int
    filtered: Format
    signal: Format
    slope: Format
    weight_gradient: Format
    delay_gradient: Format
    weight_min: int
    weight_max: int
    weight_bits: int
    delay_bits: int


class Rules(NamedTuple):
    """What no update changes."""

    formats: Formats
    lanes: int
    surrogate: Integers
    levels: Integers
    surrogate_shift: int
    error_shift: int
    taps: Integers
    keep_weights: int
    keep_delays: int
    sign_of_weight: bool
    nearest: bool
    # Clocks of a LEARN, of every step, of every step with signals, and of what feeds a neuron.
    learn_clocks: int
    step_clocks: int
    signal_clocks: int
    feedback_clocks: int
    threshold: Integers
    populations: Integers
    projections: Integers  # in table order


class Master(NamedTuple):
    """What learning changes: of all synapses, of all axons, and the random number generators.

    ticks : from a spike to what a synapse sees of its neuron.
    """

    weights: Integers
    weight_fractions: Integers
    weight_gradients: Integers
    delays: Integers
    delay_fractions: Integers
    delay_gradients: Integers
    ticks: Integers
    axon_delays: Integers
    axon_fractions: Integers
    axon_gradients: Integers
    feedback: Integers
    random: Integers


class Sweep(NamedTuple):
    """What the sweep over one recording leaves for its gradients, and scratch.

    Narrow sweeps have int16 `trains`, `signal_rows` and `slope_rows` and an int32 `sums`, wide ones
    int64, and no `pairs`.
    """

    # [tick][neuron], and the sum of all errors of a tick.
    looked_up: Integers
    level_sums: Integers
    filtered: Integers
    signals: Integers
    # [neuron][tick], tick 0 being in column `taps`, and the largest of every neuron.
    signal_rows: NDArray[np.int16] | Integers
    slope_rows: NDArray[np.int16] | Integers
    pairs: Integers  # the same two side by side, the signal below
    largest_signal: Integers
    largest_slope: Integers
    live: NDArray[np.uint8]  # [population][tick]: whether any of the two is not 0
    # [source][tick]: channels, then neurons; nothing after the last tick; and how many they are.
    trains: NDArray[np.int16] | Integers
    times: Integers
    spikes: NDArray[np.uint32]  # [source][FEW]: the ticks of the first ones
    activity: Integers  # of every neuron
    drive: Integers  # of every neuron
    total: Integers  # of every neuron or tick
    sums: NDArray[np.int32] | Integers  # of a signal and of a slope


def _blocks(size: int, width: int) -> int:
    return -(-size // width)


class Layout:
    """Where the synapses and axons of an image lie."""

    def __init__(self, image: Image, learning: Learning, learn: Learn, tables: Tables) -> None:
        self.image, self.learning, self.learn, self.tables = image, learning, learn, tables
        number = {p.name: n for n, p in enumerate(image.populations)}
        self.number = number
        self.order = sorted(range(len(image.projections)), key=self._post)
        self.synapses: dict[str, int] = {}
        self.axons: dict[str, int] = {}
        self.end = self.axon_end = 0
        for p in (image.projections[q] for q in self.order):
            post, pre = p.weights.shape
            self.synapses[p.name] = self.end
            self.end += pre * post
            self.axons[p.name] = self.axon_end if p.delay is Delay.AXONAL else NOWHERE
            self.axon_end += pre * (p.delay is Delay.AXONAL)

    def _post(self, q: int) -> int:
        return self.number[self.image.projections[q].post]

    def rules(self) -> Rules:
        """Lay out everything that no update changes."""
        learning = self.learning
        learn_clocks, step_clocks, signal_clocks, feedback_clocks = self._clocks()
        return Rules(
            self._formats(),
            self.image.chip.lanes,
            learning.surrogate,
            learning.levels,
            learning.surrogate_shift,
            learning.error_shift,
            learning.taps,
            learning.keep_weights,
            learning.keep_delays,
            learning.sign_of_weight,
            learning.nearest,
            learn_clocks,
            step_clocks,
            signal_clocks,
            feedback_clocks,
            self.tables.threshold.astype(np.int64),
            self._populations(),
            np.array([self._projection(q) for q in self.order], np.int64).reshape(-1, 20),
        )

    def _formats(self) -> Formats:
        learn = self.learn
        return Formats(
            one=learn.lookup.max,
            activity=learn.activity.max,
            coefficient=learn.coefficient.frac,
            tap=learn.tap.frac,
            filtered=learn.filtered,
            signal=learn.signal,
            slope=learn.slope,
            weight_gradient=learn.weight_gradient,
            delay_gradient=learn.delay_gradient,
            weight_min=self.image.chip.synapse.weight.min,
            weight_max=self.image.chip.synapse.weight.max,
            weight_bits=learn.weight_fraction.width,
            delay_bits=learn.delay_fraction.width,
        )

    def _clocks(self) -> tuple[int, int, int, int]:
        """Clocks of a LEARN, as `Rules` has them, but for projections that learn."""
        image, chip, taps = self.image, self.image.chip, len(self.learning.taps)
        step, signal = STEP, 0
        for p, rule in zip(image.populations, self.learning.populations, strict=True):
            blocks = _blocks(p.size, chip.lanes)
            step += STEP_POPULATION
            if rule.learns:
                step += SLOPE + blocks * (2 * taps + 1) + PASSED * self._idle(p.name)
                signal += SIGNAL + blocks * SIGNAL_BLOCK + p.size * (p.kind is Kind.LIF)
        reader = _blocks(image.readout.size, chip.lanes)
        return LEARN + chip.neuron_blocks * chip.synapse.slots, step, signal, max(reader, ROW)

    def _idle(self, name: str) -> int:
        """Count the projections into population `name` that do not learn."""
        pairs = zip(self.image.projections, self.learning.projections, strict=True)
        return sum(p.post == name and not (rule.weights or rule.delays) for p, rule in pairs)

    def update_clocks(self) -> int:
        """Clocks of an UPDATE."""
        total = UPDATE + STEP_POPULATION * len(self.image.populations)
        for p, rule in zip(self.image.projections, self.learning.projections, strict=True):
            total += UPDATE_PROJECTION if rule.weights or rule.delays else PASSED
            if rule.weights or (rule.delays and p.delay is Delay.SYNAPTIC):
                total += p.weights.shape[1] * _blocks(p.weights.shape[0], self.image.chip.lanes)
            if rule.delays and p.delay is Delay.AXONAL:
                total += p.weights.shape[1]
        return total

    def _populations(self) -> Integers:
        rows, feedback = [], 0
        for n, (p, rule) in enumerate(
            zip(self.image.populations, self.learning.populations, strict=True)
        ):
            rows.append(
                [
                    int(self.tables.populations[n, FIRST]),
                    p.size,
                    p.kind is Kind.READOUT,
                    rule.learns,
                    rule.coefficient,
                    rule.drive_shift,
                    rule.signal_shift,
                    rule.strength,
                    rule.target,
                    feedback,
                ]
            )
            feedback += p.size * self.image.readout.size
        return np.array(rows, np.int64)

    def _projection(self, q: int) -> list[int]:
        image, p, rule = self.image, self.image.projections[q], self.learning.projections[q]
        post, pre = p.weights.shape
        blocks = _blocks(post, image.chip.lanes)
        source = 0
        if p.pre != image.input_name:
            source = image.channels + int(self.tables.populations[self.number[p.pre], FIRST])
        return [
            self.number[p.post],
            source,
            pre,
            self.synapses[p.name],
            self.axons[p.name],
            p.delay is Delay.SYNAPTIC,
            p.delay in (Delay.NONE, Delay.AXONAL),
            image.age(p),
            p.resolution,
            max(blocks, ROW),
            rule.weights,
            rule.delays,
            rule.weight_limit,
            rule.weight_rate,
            rule.weight_shift,
            rule.delay_scale,
            rule.delay_limit,
            rule.delay_rate,
            rule.delay_shift,
            rule.largest,
        ]

    def master(self) -> Master:
        """Lay out everything that learning changes."""
        image, rules = self.image, self.learning.projections
        pairs = [(image.projections[q], rules[q]) for q in self.order]
        late = [p.delays if p.delay is Delay.SYNAPTIC else 0 for p, _ in pairs]
        fractions = [r.delay_fractions if p.delay is Delay.SYNAPTIC else 0 for p, r in pairs]
        gradients = [r.delay_gradients if p.delay is Delay.SYNAPTIC else 0 for p, r in pairs]
        axonal = [(p, r) for p, r in pairs if p.delay is Delay.AXONAL]
        master = Master(
            weights=self._pool([p.weights for p, _ in pairs]),
            weight_fractions=self._pool([r.weight_fractions for _, r in pairs]),
            weight_gradients=self._pool([r.weight_gradients for _, r in pairs]),
            delays=self._pool(late),
            delay_fractions=self._pool(fractions),
            delay_gradients=self._pool(gradients),
            ticks=self._pool([image.steps_of(p) for p, _ in pairs]),
            axon_delays=_joined([p.delays for p, _ in axonal]),
            axon_fractions=_joined([r.delay_fractions for _, r in axonal]),
            axon_gradients=_joined([r.delay_gradients for _, r in axonal]),
            feedback=np.zeros(
                image.readout.size * sum(p.size for p in image.populations), np.int64
            ),
            random=self.learning.random.copy(),
        )
        self.load_feedback(master)
        return master

    def _pool(self, values: list[Integers | int]) -> Integers:
        """Lay out [post, pre] of every projection, in table order."""
        pool = np.zeros(self.end, np.int64)
        for q, own in zip(self.order, values, strict=True):
            self.of_synapses(pool, self.image.projections[q])[:] = own
        return pool

    def of_synapses(self, pool: Integers, p: Projection) -> Integers:
        """View the part of `pool` that is of `p` as [post, pre]."""
        first = self.synapses[p.name]
        return pool[first : first + p.weights.size].reshape(p.weights.shape)

    def of_axons(self, pool: Integers, p: Projection) -> Integers:
        """View the part of `pool` that is of `p`."""
        first = self.axons[p.name]
        return pool[first : first + p.weights.shape[1]]

    def load_feedback(self, master: Master) -> None:
        """Let every population hear the readout through the weights of now, or its own."""
        classes, end = self.image.readout.size, 0
        for n, (p, rule) in enumerate(
            zip(self.image.populations, self.learning.populations, strict=True)
        ):
            first, end = end, end + p.size * classes
            rows = master.feedback[first:end].reshape(classes, p.size)
            through = feedback_projection(self.image, n)
            if rule.feedback is not None:
                rows[:] = rule.feedback.T
            elif through is not None:
                rows[:] = self.of_synapses(master.weights, through)

    def _ahead(self) -> int:
        """Most ticks from a spike to what a synapse sees."""
        longest = 0
        for p, rule in zip(self.image.projections, self.learning.projections, strict=True):
            word = max(int(p.delays.max(initial=0)), rule.largest if rule.delays else 0)
            longest = max(longest, word << p.resolution)
        return 1 + longest

    def is_narrow(self) -> bool:
        """Whether the small types hold every signal, slope and count."""
        learn, count = self.learn, self.image.chip.axon.count
        return max(learn.signal.width, learn.slope.width, count.width + 1) <= NARROW

    def sweep(self, steps: int, channels: int) -> Sweep:
        """Allocate what a recording of `steps` ticks needs."""
        taps, neurons = len(self.learning.taps), len(self.tables.threshold)
        whole = _blocks(steps, STRIDE) * STRIDE
        width = taps + max(steps + 2 * taps, whole + self._ahead())
        small, middle = (np.int16, np.int32) if self.is_narrow() else (np.int64, np.int64)
        return Sweep(
            looked_up=np.zeros((steps, neurons), np.int64),
            level_sums=np.zeros(steps, np.int64),
            filtered=np.zeros((steps + 1, neurons), np.int64),
            signals=np.zeros((steps, neurons), np.int64),
            signal_rows=np.zeros((neurons, width), small),
            slope_rows=np.zeros((neurons, width), small),
            pairs=np.zeros((neurons, width * (small is np.int16)), np.int64),
            largest_signal=np.zeros(neurons, np.int64),
            largest_slope=np.zeros(neurons, np.int64),
            live=np.zeros((len(self.image.populations), steps + taps), np.uint8),
            trains=np.zeros((channels + neurons, whole), small),
            times=np.zeros(channels + neurons, np.int64),
            spikes=np.zeros((channels + neurons, FEW), np.uint32),
            activity=np.zeros(neurons, np.int64),
            drive=np.zeros(neurons, np.int64),
            total=np.zeros(max(neurons, width), np.int64),
            sums=np.zeros(2, middle),
        )


def _joined(parts: list[Integers]) -> Integers:
    return np.concatenate([np.zeros(0, np.int64), *parts])
