"""The chip again, slowly: plain Python integers, written from docs/datapath.md alone.

Nothing is shared with the emulator, not even the plan: a spike is bound at its emission to the
tick in which every synapse adds it, in a dictionary by due time.  No ring, no history, no queue.
"""

from collections import Counter, defaultdict
from dataclasses import dataclass, field

from datapath import Compare, Delay, Kind, Leak, Order, Overflow, Reset, Rounding
from datapath.timing import (
    CURRENT,
    EMIT,
    EVENT,
    LEVELS,
    POPULATION,
    PROJECTION,
    ROW,
    TICK,
    clear_cycles,
)


def saturate(x, fmt):
    return sorted((fmt.min, x, fmt.max))[1]


def shift_round(x, k, rounding):
    if rounding is Rounding.FLOOR:
        return x // 2**k
    if rounding is Rounding.ZERO:
        return abs(x) // 2**k * (1 if x >= 0 else -1)
    return (2 * x + 2**k) // 2 ** (k + 1)


def bound(x, fmt, overflow):
    if overflow is Overflow.WRAP:
        return (x - fmt.min) % 2**fmt.width + fmt.min
    return max(saturate(x, fmt), -fmt.max if overflow is Overflow.SYMMETRIC else fmt.min)


def leaked(v, coefficient, p):
    """What is left of a membrane or a current; `p` are the parameters of its block."""
    if p.leak is Leak.MULTIPLY:
        return shift_round(v * coefficient, p.coefficient.frac, p.rounding)
    if not coefficient:
        return v
    lost = shift_round(v, coefficient, p.rounding)
    if p.leak is Leak.SETTLE and lost == 0 and v != 0:
        lost = 1 if v > 0 else -1
    return v - lost


def flow(i, received, coefficient, p):
    """One current, one tick: (i, saturated)."""
    if p.order is Order.SUM_FIRST:
        total = leaked(i + received, coefficient, p)
    else:
        total = leaked(i, coefficient, p) + received
    return bound(total, p.i, p.overflow), bound(total, p.i, p.overflow) != total


def update(v, i, neuron, lif):
    """One neuron, one tick: (v, u, fired, saturated); `neuron` is a dict of its parameters."""
    total = leaked(v, neuron["coefficient"], lif) + i + neuron["bias"]
    u = bound(total, lif.v, lif.overflow)
    above = u > neuron["threshold"] if lif.compare is Compare.GT else u >= neuron["threshold"]
    fired = above and neuron["kind"] is Kind.LIF
    after = 0 if neuron["reset"] is Reset.ZERO else u - neuron["threshold"]
    return after if fired else u, u, fired, u != total


@dataclass
class Outcome:
    """Of one recording; records are lists by tick, then by neuron."""

    scores: list
    winner: int = 0
    cycles: list = field(default_factory=list)
    saturated_ticks: list = field(default_factory=list)
    event_cycles: int = 0
    clear_cycles: int = 0
    score_saturations: int = 0
    saturations: Counter = field(default_factory=Counter)
    deliveries: Counter = field(default_factory=Counter)
    synaptic_operations: int = 0
    spikes: dict = field(default_factory=lambda: defaultdict(list))
    membranes: dict = field(default_factory=lambda: defaultdict(list))
    sums: dict = field(default_factory=lambda: defaultdict(list))
    saturated: dict = field(default_factory=lambda: defaultdict(list))
    readout: list = field(default_factory=list)


def parameters(population):
    arrays = zip(
        population.threshold.tolist(),
        population.bias.tolist(),
        population.coefficient.tolist(),
        strict=True,
    )
    kind = {"kind": population.kind, "reset": population.reset}
    return [{"threshold": t, "bias": b, "coefficient": c} | kind for t, b, c in arrays]


def blocks(size, chip):
    return (size + chip.lanes - 1) // chip.lanes


class _Post:
    """Everything still under way in one recording."""

    def __init__(self, image, outcome):
        self.image, self.outcome = image, outcome
        self.due = defaultdict(int)
        self.served = Counter()

    def emit(self, name, t, source, count):
        """Source number `source` of population `name` emits `count` spikes in tick `t`."""
        for p in self.image.projections:
            if p.pre != name:
                continue
            names = [self.image.input_name, *(q.name for q in self.image.populations)]
            age = 0 if names.index(p.pre) < names.index(p.post) else 1
            words = p.delays.tolist()
            read = t + age
            if p.delay is Delay.AXONAL:
                read += words[source] * 2**p.resolution
            self.served[p.name, read] += 1
            for j, row in enumerate(p.weights.tolist()):
                arrival = read
                if p.delay is Delay.DENDRITIC:
                    arrival += words[j] * 2**p.resolution
                if p.delay is Delay.SYNAPTIC:
                    arrival += words[j][source] * 2**p.resolution
                self.due[p.post, j, arrival] += row[source] * count * 2**p.scale


def collect(image, post, i, population, t):
    """Return what enters every membrane in tick `t`, and whether a current did not fit."""
    name, p = population.name, image.chip.current
    received = [post.due.pop((name, j, t), 0) for j in range(population.size)]
    if p is None:
        return received, [False] * population.size
    leaks = population.current_coefficient.tolist()
    rows = [flow(*row, p) for row in zip(i[name], received, leaks, strict=True)]
    i[name], beyond = map(list, zip(*rows, strict=True))
    return i[name], beyond


def tick(image, post, v, i, t, outcome):
    """Update every population in turn; return the clocks of the tick."""
    chip = image.chip
    clocks = TICK + blocks(image.channels, chip)
    flag = False
    for population in image.populations:
        name, neurons = population.name, parameters(population)
        clocks += POPULATION + blocks(population.size, chip)
        if chip.current is not None:
            clocks += CURRENT
        for p in image.projections:
            if p.post == name:
                served = post.served[p.name, t]
                clocks += PROJECTION + p.weights.shape[1]
                clocks += served * max(blocks(population.size, chip), ROW)
                outcome.deliveries[p.name] += served
                outcome.synaptic_operations += served * population.size
        drives, beyond = collect(image, post, i, population, t)
        rows = [update(v[name][j], drives[j], neurons[j], chip.lif) for j in range(population.size)]
        v[name], sums, fired, saturated = map(list, zip(*rows, strict=True))
        saturated = [a or b for a, b in zip(saturated, beyond, strict=True)]
        outcome.membranes[name].append(v[name])
        outcome.sums[name].append(sums)
        outcome.saturated[name].append(saturated)
        outcome.saturations[name] += sum(saturated)
        flag |= any(saturated)
        if population.kind is Kind.LIF:
            outcome.spikes[name].append(fired)
        for j in [j for j, spike in enumerate(fired) if spike]:
            post.emit(name, t, j, 1)
        if population.kind is Kind.READOUT:
            raw = [s + x for s, x in zip(outcome.scores, v[name], strict=True)]
            outcome.scores = [saturate(s, chip.readout.score) for s in raw]
            beyond = sum(a != b for a, b in zip(raw, outcome.scores, strict=True))
            outcome.score_saturations += beyond
            flag |= beyond > 0
            outcome.winner = outcome.scores.index(max(outcome.scores))
        if population.kind is Kind.READOUT or population.emit:
            clocks += EMIT + population.size
        if population.kind is Kind.READOUT and image.learning is not None:
            clocks += LEVELS + 2 * blocks(population.size, chip)
    outcome.saturated_ticks.append(flag)
    outcome.readout.append(outcome.scores)
    return clocks


def play(image, counts):
    """Run one recording, counts[step][channel]."""
    outcome = Outcome(scores=[0] * image.readout.size, clear_cycles=clear_cycles(image.chip))
    post = _Post(image, outcome)
    v = {p.name: [0] * p.size for p in image.populations}
    i = {p.name: [0] * p.size for p in image.populations}
    for t, step in enumerate(counts):
        for channel, count in enumerate(step):
            if count:
                post.emit(image.input_name, t, channel, int(count))
                outcome.event_cycles += EVENT
        outcome.cycles.append(tick(image, post, v, i, t, outcome))
    return outcome
