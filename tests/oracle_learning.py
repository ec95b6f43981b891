"""Learning again, slowly: plain Python integers, written from docs/datapath.md alone.

A synapse asks, tick by tick from the last on, whether its source had emitted anything so many ticks
ago, and what its neuron makes of it.  No ring, no history, no lists of events, no packed words.
"""

from collections import defaultdict
from dataclasses import dataclass, field, replace

from datapath import Delay, Kind, Rounding
from datapath.timing import (
    CREDIT,
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
from tests.oracle import blocks, play, saturate, shift_round


@dataclass
class Lesson:
    """What one LEARN does; filtered, signals and slopes by population, tick, neuron."""

    cycles: int = 0
    saturated: bool = False
    filtered: dict = field(default_factory=lambda: defaultdict(dict))
    signals: dict = field(default_factory=lambda: defaultdict(dict))
    slopes: dict = field(default_factory=lambda: defaultdict(dict))

    def clamp(self, x, fmt):
        y = saturate(x, fmt)
        self.saturated |= x != y
        return y

    def signal(self, name, t, j):
        return self.signals[name][t][j] if t in self.signals[name] else 0

    def slope(self, name, t, j):
        return self.slopes[name][t][j] if t in self.slopes[name] else 0


def look_up(table, distance, shift):
    entry = distance // 2**shift
    return table[entry] if entry < len(table) else table[-1]


def levels(image, y):
    """Errors of all readouts in one tick, before the label is known."""
    one, learning = image.chip.learn.lookup.max, image.learning
    table = learning.levels.tolist()
    raw = [look_up(table, max(y) - x, learning.error_shift) for x in y]
    halvings = len([n for n in range(64) if 2 * sum(raw) >= 3 * one * 2**n])
    return [shift_round(e, halvings, Rounding.NEAREST) for e in raw]


def generate(r):
    r = (r ^ r * 2**13) % 2**32
    r = r ^ r // 2**17
    return (r ^ r * 2**5) % 2**32


def table_order(image):
    place = [p.name for p in image.populations]
    return sorted(
        range(len(image.projections)), key=lambda q: place.index(image.projections[q].post)
    )


class Pupil:
    """A chip that learns: its image, and beside it everything that changes, as nested lists."""

    def __init__(self, image):
        self.image, self.chip, self.learning = image, image.chip, image.learning
        self.learn = image.chip.learn
        self.rule = dict(
            zip((p.name for p in image.populations), image.learning.populations, strict=True)
        )
        self.weights = [p.weights.tolist() for p in image.projections]
        self.delays = [p.delays.tolist() for p in image.projections]
        rules = image.learning.projections
        self.weight_fractions = [r.weight_fractions.tolist() for r in rules]
        self.weight_gradients = [r.weight_gradients.tolist() for r in rules]
        self.delay_fractions = [r.delay_fractions.tolist() for r in rules]
        self.delay_gradients = [r.delay_gradients.tolist() for r in rules]
        self.random = image.learning.random.tolist()
        self.taps = image.learning.taps.tolist()

    def now(self):
        """Image with the weights, delays, fractions, gradients and random states of now."""
        projections, rules = [], []
        for q, p in enumerate(self.image.projections):
            projections.append(replace(p, weights=self.weights[q], delays=self.delays[q]))
            rules.append(
                replace(
                    self.learning.projections[q],
                    weight_fractions=self.weight_fractions[q],
                    weight_gradients=self.weight_gradients[q],
                    delay_fractions=self.delay_fractions[q],
                    delay_gradients=self.delay_gradients[q],
                )
            )
        learning = replace(self.learning, random=self.random, projections=tuple(rules))
        return replace(self.image, projections=tuple(projections), learning=learning)

    def feedback(self, name, j, k):
        """Weight by which neuron `j` of population `name` hears readout `k`."""
        if self.rule[name].feedback is not None:
            return int(self.rule[name].feedback[j, k])
        for q, p in enumerate(self.image.projections):
            if (p.pre, p.post) == (name, self.image.readout.name):
                return self.weights[q][k][j]
        raise AssertionError(name)

    def drives(self, lesson, outcome, p, t, label):
        """Drives of population `p` in tick `t`, and the clocks they take."""
        rule, threshold = self.rule[p.name], p.threshold.tolist()
        clocks = SIGNAL + blocks(p.size, self.chip) * SIGNAL_BLOCK
        if p.kind is Kind.READOUT:
            errors = levels(self.image, outcome.membranes[p.name][t])
            return [e - sum(errors) * (k == label) for k, e in enumerate(errors)], clocks
        reader, drives = self.image.readout, []
        for j, u in enumerate(outcome.sums[p.name][t]):
            looked_up = look_up(
                self.learning.surrogate.tolist(),
                abs(u - threshold[j]),
                self.learning.surrogate_shift,
            )
            errors = sum(
                self.feedback(p.name, j, k) * lesson.signals[reader.name][t][k]
                for k in range(reader.size)
            )
            if rule.strength:
                spikes = sum(fired[j] for fired in outcome.spikes[p.name])
                activity = min(spikes, self.learn.activity.max)
                errors += (activity - rule.target) * 2 ** (rule.strength - 1)
            drives.append(shift_round(looked_up * errors, rule.drive_shift, Rounding.ZERO))
            clocks += 1 + (looked_up != 0) * max(blocks(reader.size, self.chip), ROW)
        return drives, clocks

    def filter(self, lesson, p, t, drives):
        """Filter the drives of population `p` in tick `t`, the later ones being known."""
        rule, learn, frac = self.rule[p.name], self.learn, self.learn.coefficient.frac
        later = lesson.filtered[p.name].get(t + 1, [0] * p.size)
        lesson.filtered[p.name][t] = [
            lesson.clamp(
                shift_round(f * rule.coefficient, frac, Rounding.ZERO) + drive, learn.filtered
            )
            for f, drive in zip(later, drives, strict=True)
        ]
        lesson.signals[p.name][t] = [
            lesson.clamp(shift_round(f, rule.signal_shift, Rounding.ZERO), learn.signal)
            for f in lesson.filtered[p.name][t]
        ]

    def differ(self, lesson, p, tau):
        """Derive the signals of population `p` at tick `tau`."""
        lesson.slopes[p.name][tau] = [
            lesson.clamp(
                shift_round(
                    sum(
                        c * (lesson.signal(p.name, tau + u, j) - lesson.signal(p.name, tau - u, j))
                        for u, c in enumerate(self.taps, 1)
                    ),
                    self.learn.tap.frac,
                    Rounding.NEAREST,
                ),
                self.learn.slope,
            )
            for j in range(p.size)
        ]

    def ages(self, q):
        """Ticks from emission to reading, of every source of projection number `q`."""
        p = self.image.projections[q]
        names = [self.image.input_name, *(a.name for a in self.image.populations)]
        age = 0 if names.index(p.pre) < names.index(p.post) else 1
        words = self.delays[q] if p.delay is Delay.AXONAL else [0] * p.weights.shape[1]
        return [age + k * 2**p.resolution for k in words]

    def late(self, q, j, i):
        """Ticks from reading to arrival of a synapse."""
        p = self.image.projections[q]
        if p.delay is Delay.DENDRITIC:
            return self.delays[q][j] * 2**p.resolution
        return self.delays[q][j][i] * 2**p.resolution if p.delay is Delay.SYNAPTIC else 0

    def credit(self, lesson, q, tau, emitted):
        """Gradients of projection number `q` from what is read in tick `tau`; its clocks."""
        p, rule = self.image.projections[q], self.learning.projections[q]
        post, pre = p.weights.shape
        late = p.delay in (Delay.DENDRITIC, Delay.SYNAPTIC)
        live = any(
            lesson.signal(p.post, tau, j) or lesson.slope(p.post, tau, j) for j in range(post)
        )
        if not (rule.weights or rule.delays) or not (late or live):
            return PASSED
        rows = 0
        for i, age in enumerate(self.ages(q)):
            c = emitted[p.pre, i].get(tau - age, 0)
            rows += c > 0
            if c:
                self.credit_row(lesson, q, i, c, tau)
        return CREDIT + pre + rows * max(blocks(post, self.chip), ROW)

    def credit_row(self, lesson, q, i, c, tau):
        p, rule = self.image.projections[q], self.learning.projections[q]
        post = p.weights.shape[0]
        for j in range(post):
            at = tau + self.late(q, j, i)
            if rule.weights:
                gw = self.weight_gradients[q][j]
                gw[i] = lesson.clamp(
                    gw[i] + c * lesson.signal(p.post, at, j), self.learn.weight_gradient
                )
            if rule.delays and p.delay is Delay.SYNAPTIC:
                gd = self.delay_gradients[q][j]
                gd[i] = lesson.clamp(
                    gd[i] + c * lesson.slope(p.post, at, j), self.learn.delay_gradient
                )
        if rule.delays and p.delay is Delay.AXONAL:
            total = sum(self.weights[q][j][i] * lesson.slope(p.post, tau, j) for j in range(post))
            step = c * shift_round(total, rule.delay_scale, Rounding.NEAREST)
            gd = self.delay_gradients[q]
            gd[i] = lesson.clamp(gd[i] + step, self.learn.delay_gradient)

    def take(self, counts, label):
        """Play one recording and learn from it: (outcome, lesson)."""
        outcome, lesson = play(self.now(), counts), Lesson()
        if label < 0:
            return outcome, lesson
        lesson.cycles = LEARN + self.chip.neuron_blocks * self.chip.synapse.slots
        emitted, steps = self.emitted(counts, outcome), len(counts)
        for t in range(steps - 1, -len(self.taps) - 1, -1):
            lesson.cycles += self.step(lesson, outcome, t, label, emitted)
        return outcome, lesson

    def emitted(self, counts, outcome):
        """Spikes by tick, of every source of every population."""
        emitted = defaultdict(dict)
        for t, step in enumerate(counts):
            for channel, count in enumerate(step):
                emitted[self.image.input_name, channel][t] = count
        for name, ticks in outcome.spikes.items():
            for t, fired in enumerate(ticks):
                for j, spike in enumerate(fired):
                    emitted[name, j][t] = int(spike)
        return emitted

    def step(self, lesson, outcome, t, label, emitted):
        """One tick of the sweep; its clocks."""
        clocks, reader, tau = STEP, self.image.readout, t + len(self.taps)
        others = [p for p in self.image.populations if p is not reader]
        for p in [reader, *others]:
            if self.rule[p.name].learns and t >= 0:
                drives, more = self.drives(lesson, outcome, p, t, label)
                self.filter(lesson, p, t, drives)
                clocks += more
        for p in self.image.populations:
            clocks += STEP_POPULATION
            if self.rule[p.name].learns:
                self.differ(lesson, p, tau)
                clocks += SLOPE + blocks(p.size, self.chip) * (2 * len(self.taps) + 1)
                for q in table_order(self.image):
                    if self.image.projections[q].post == p.name:
                        clocks += self.credit(lesson, q, tau, emitted)
        return clocks

    def draw(self, lane):
        self.random[lane] = generate(self.random[lane])
        return self.random[lane]

    def update(self):
        """Turn gradients into steps; the clocks of it."""
        clocks = UPDATE + STEP_POPULATION * len(self.image.populations)
        for q in table_order(self.image):
            p, rule = self.image.projections[q], self.learning.projections[q]
            post, pre = p.weights.shape
            if not (rule.weights or rule.delays):
                clocks += PASSED
                continue
            clocks += UPDATE_PROJECTION
            words = rule.weights or (rule.delays and p.delay is Delay.SYNAPTIC)
            for i in range(pre if words else 0):
                for block in range(blocks(post, self.chip)):
                    self.update_word(q, i, block)
                    clocks += 1
            if rule.delays and p.delay is Delay.AXONAL:
                for i in range(pre):
                    self.move_delay(q, self.row_of_axons(q), i, self.delay_gradients[q][i], 0)
                    clocks += 1
        return clocks

    def update_word(self, q, i, block):
        """Every lane draws; lanes past the population have nothing to move."""
        p, rule = self.image.projections[q], self.learning.projections[q]
        for lane in range(self.chip.lanes):
            j = block * self.chip.lanes + lane
            there = j < p.weights.shape[0]
            before = self.weights[q][j][i] if there else 0
            if rule.weights:
                r = self.draw(lane)
                if there:
                    self.move_weight(q, j, i, r)
            if rule.delays and p.delay is Delay.SYNAPTIC:
                if not there:
                    self.draw(lane)
                    continue
                factor = before
                if self.learning.sign_of_weight:
                    factor = (before > 0) - (before < 0)
                product = factor * self.delay_gradients[q][j][i]
                x = shift_round(product, rule.delay_scale, Rounding.NEAREST)
                lists = self.delays[q][j], self.delay_fractions[q][j], self.delay_gradients[q][j]
                self.move_delay(q, lists, i, x, lane)

    def row_of_axons(self, q):
        return self.delays[q], self.delay_fractions[q], self.delay_gradients[q]

    def move_weight(self, q, j, i, r):
        rule, size = self.learning.projections[q], 2**self.learn.weight_fraction.width
        fmt, gradient = self.chip.synapse.weight, self.weight_gradients[q][j]
        most = 2**rule.weight_limit - 1
        x = sorted((-most, gradient[i], most))[1]
        step = self.rounded(x * rule.weight_rate, rule.weight_shift, r)
        master = self.weights[q][j][i] * size + self.weight_fractions[q][j][i] - step
        master = sorted((fmt.min * size, master, fmt.max * size + size - 1))[1]
        self.weights[q][j][i], self.weight_fractions[q][j][i] = divmod(master, size)
        gradient[i] = stays(gradient[i], self.learning.keep_weights)

    def rounded(self, x, shift, r):
        """X / 2**shift, up or down as chance has it, or as it is nearer, halves going up."""
        if self.learning.nearest:
            return (2 * x + 2**shift) // 2 ** (shift + 1)
        return (x + r % 2**shift) // 2**shift

    def move_delay(self, q, lists, i, x, lane):
        r = self.draw(lane)
        rule, size = self.learning.projections[q], 2**self.learn.delay_fraction.width
        delays, fractions, gradients = lists
        most = 2**rule.delay_limit - 1
        x = sorted((-most, x, most))[1]
        step = self.rounded(x * rule.delay_rate, rule.delay_shift, r)
        master = delays[i] * size + fractions[i] - step
        master = sorted((0, master, rule.largest * size + size - 1))[1]
        delays[i], fractions[i] = divmod(master, size)
        gradients[i] = stays(gradients[i], self.learning.keep_delays)


def stays(gradient, keep):
    """`(2**keep - 1) / 2**keep` of a gradient, towards 0."""
    return shift_round(gradient * (2**keep - 1), keep, Rounding.ZERO)
