"""What the host writes into a chip before it runs an image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from datapath.image import Delay, Image, Kind, Projection, Reset
from datapath.integers import Integers
from datapath.learning import Learning, ProjectionRule, feedback_projection
from datapath.memory import Beats, control, memories, numbers, words


def controls(image: Image) -> dict[str, int]:
    """Value of every control register."""
    values = {
        "populations": len(image.populations),
        "channel_blocks": -(-image.channels // image.chip.lanes),
    }
    if image.learning is not None:
        learning = image.learning
        values |= {
            "remember": 1,
            "taps": len(learning.taps),
            "surrogate_shift": learning.surrogate_shift,
            "error_shift": learning.error_shift,
            "keep_weights": learning.keep_weights,
            "keep_delays": learning.keep_delays,
            "sign_of_weight": int(learning.sign_of_weight),
            "nearest": int(learning.nearest),
            "readout": image.populations.index(image.readout),
            "readout_block": _Layout(image).first[image.readout.name],
        }
    return {field.name: values.get(field.name, 0) for field in control(image.chip)}


def contents(image: Image) -> dict[str, Beats]:
    """Fill every memory the host loads: uint32[words in use, beats] by memory name.

    Projections are sorted by the population they reach, in update order; rows of fixed feedback
    follow those of the weights.  Words past those in use are never read.
    """
    layout = _Layout(image)
    columns = layout.columns()
    return {m.name: words(m, columns[m.name]) for m in memories(image.chip) if not m.state}


def learned_image(image: Image, beats: Mapping[str, Beats]) -> Image:
    """Return `image` as a chip has changed it, which is the inverse of `contents`.

    image : what was loaded, with rules to learn by.
    beats : what the host reads back: uint32[words in use, beats] by memory name.  Only memories
    that learning changes are looked at.

    Raises
    ------
    ValueError
        The words are those of no image: a delay reaches too far, a random state is 0.
    """
    return _ReadBack(image, beats).image()


class _Layout:
    """Where everything of an image lies."""

    def __init__(self, image: Image) -> None:
        self.image, self.lanes = image, image.chip.lanes
        self.blocks = {p.name: -(-p.size // self.lanes) for p in image.populations}
        self.first: dict[str, int] = {image.input_name: 0}
        at = 0
        for population in image.populations:
            self.first[population.name] = at
            at += self.blocks[population.name]
        self.order = sorted(image.projections, key=lambda p: self.first[p.post])
        self.rows: dict[str, int] = {}
        at = 0
        for projection in self.order:
            self.rows[projection.name] = at
            at += image.source_size(projection) * self.blocks[projection.post]

    def columns(self) -> dict[str, list[Integers]]:
        """Return one int64[words, lanes] per field, by memory name."""
        image = self.image
        weights = [self._synapses(p.weights) for p in self.order]
        synaptic = [
            self._synapses(p.delays)
            if p.delay is Delay.SYNAPTIC
            else np.zeros_like(self._synapses(p.weights))
            for p in self.order
        ]
        axonal = [p.delays[:, None] for p in self.order if p.delay is Delay.AXONAL]
        dendritic = [_lanes(p.delays, self.lanes) for p in self.order if p.delay is Delay.DENDRITIC]
        columns = {
            "populations": _columns([self._population(p.name) for p in image.populations], 6),
            "projections": _columns([self._projection(p) for p in self.order], 11),
            "neurons": [self._neurons(name) for name in ("threshold", "bias", "coefficient")],
            "weights": [_stack(weights, self.lanes)],
            "synaptic_delays": [_stack(synaptic, self.lanes)],
            "dendritic_delays": [_stack(dendritic, self.lanes)],
            "axonal_delays": [_stack(axonal, 1)],
        }
        if image.chip.current is not None:
            columns["current_leaks"] = [self._neurons("current_coefficient")]
        if image.chip.learn is None:
            return columns
        if image.learning is None:
            return self._nothing() | columns
        feedback = [
            self._synapses(rule.feedback.T)
            for rule in image.learning.populations
            if rule.feedback is not None
        ]
        return columns | self._learned(image.learning, _stack([*weights, *feedback], self.lanes))

    def _neurons(self, name: str) -> Integers:
        """Lay out the parameter `name` of every neuron."""
        values = [_lanes(getattr(p, name), self.lanes) for p in self.image.populations]
        return np.concatenate(values)

    def _population(self, name: str) -> list[int]:
        p = next(p for p in self.image.populations if p.name == name)
        return [
            self.blocks[p.name],
            p.size,
            sum(q.post == p.name for q in self.order),
            int(p.kind is Kind.READOUT),
            int(p.reset is Reset.ZERO),
            int(p.emit),
        ]

    def _projection(self, projection: Projection) -> list[int]:
        image, mode = self.image, projection.delay
        return [
            int(projection.pre != image.input_name),
            self.first[projection.pre],
            image.source_size(projection),
            image.age(projection),
            int(mode is Delay.AXONAL),
            int(mode is Delay.DENDRITIC),
            int(mode is Delay.SYNAPTIC),
            self.delays_before(projection),
            projection.resolution,
            self.rows[projection.name],
            projection.scale,
        ]

    def delays_before(self, projection: Projection) -> int:
        """Count the words of axonal or dendritic delays before those of `projection`."""
        mode = projection.delay
        before = self.order[: self.order.index(projection)]
        if mode is Delay.AXONAL:
            return sum(p.delays.size for p in before if p.delay is mode)
        if mode is Delay.DENDRITIC:
            return sum(self.blocks[p.post] for p in before if p.delay is mode)
        return 0

    def _synapses(self, values: Integers) -> Integers:
        """[post, pre] as words of `lanes` neighbouring post neurons, source by source."""
        return _lanes(values.T, self.lanes).reshape(-1, self.lanes)

    def _nothing(self) -> dict[str, list[Integers]]:
        """Return every memory with no word in use, for a chip that is not told to learn."""
        return {
            m.name: [np.zeros((0, m.lanes), np.int64)] * len(m.fields)
            for m in memories(self.image.chip)
        }

    def _learned(self, learning: Learning, weights: Integers) -> dict[str, list[Integers]]:
        image = self.image
        rules = {p.name: r for p, r in zip(image.projections, learning.projections, strict=True)}
        order = [rules[p.name] for p in self.order]
        tables = np.concatenate([learning.surrogate, learning.levels])[:, None]
        columns: dict[str, list[Integers]] = {
            "weights": [weights],
            "population_rules": _columns(self._population_rules(learning), 7),
            "projection_rules": _columns(
                [self._projection_rule(p, r) for p, r in zip(self.order, order, strict=True)], 12
            ),
            "taps": [learning.taps[:, None]],
            "random": [learning.random[None, :]],
            **{f"lookup_{lane}": [tables] for lane in range(self.lanes)},
        }
        for what in ("fractions", "gradients"):
            own = [self._synapses(getattr(rule, f"weight_{what}")) for rule in order]
            spread = _stack(own, self.lanes)
            columns[f"weight_{what}"] = [np.zeros_like(weights)]
            columns[f"weight_{what}"][0][: len(spread)] = spread
            delays = [getattr(rule, f"delay_{what}") for rule in order]
            columns[f"synaptic_{what}"] = [np.zeros_like(weights)]
            columns[f"axonal_{what}"] = [np.zeros((0, 1), np.int64)]
            for p, values in zip(self.order, delays, strict=True):
                if p.delay is Delay.SYNAPTIC:
                    part = self._synapses(values)
                    at = self.rows[p.name]
                    columns[f"synaptic_{what}"][0][at : at + len(part)] = part
                if p.delay is Delay.AXONAL:
                    columns[f"axonal_{what}"] = [
                        np.concatenate([columns[f"axonal_{what}"][0], values[:, None]])
                    ]
        return columns

    def _population_rules(self, learning: Learning) -> list[list[int]]:
        """Rows of the table; rows of fixed feedback lie behind the last projection's weights."""
        image = self.image
        at = sum(image.source_size(p) * self.blocks[p.post] for p in self.order)
        table = []
        for number, rule in enumerate(learning.populations):
            through = feedback_projection(image, number)
            feedback = self.rows[through.name] if through is not None else 0
            if rule.feedback is not None:
                feedback = at
                at += len(rule.feedback) * self.blocks[image.readout.name]
            table.append(
                [
                    int(rule.learns),
                    feedback,
                    rule.coefficient,
                    rule.drive_shift,
                    rule.signal_shift,
                    rule.strength,
                    rule.target,
                ]
            )
        return table

    def _projection_rule(self, projection: Projection, rule: ProjectionRule) -> list[int]:
        axonal = projection.delay is Delay.AXONAL
        return [
            int(rule.weights),
            int(rule.delays),
            self.image.source_size(projection) * self.blocks[projection.post],
            projection.delays.size if axonal else 0,
            rule.weight_limit,
            rule.weight_rate,
            rule.weight_shift,
            rule.delay_scale,
            rule.delay_limit,
            rule.delay_rate,
            rule.delay_shift,
            rule.largest,
        ]


class _ReadBack:
    """The words that learning changes, read back from a chip that `image` was loaded into."""

    def __init__(self, image: Image, beats: Mapping[str, Beats]) -> None:
        self.old, self.layout = image, _Layout(image)
        self.words = {
            m.name: numbers(m, beats[m.name])[m.fields[0].name]
            for m in memories(image.chip)
            if m.name in _CHANGED
        }

    def image(self) -> Image:
        """Return the image of these words."""
        old, learning = self.old, self.old.learning
        if learning is None:
            raise ValueError("learning: the image has no rules to learn by")
        rules = tuple(map(self._rule, old.projections, learning.projections))
        return replace(
            old,
            projections=tuple(map(self._projection, old.projections)),
            learning=replace(learning, random=self.words["random"][0], projections=rules),
        )

    def _projection(self, p: Projection) -> Projection:
        delays = self._of_delays("delays", p, p.delays)
        return replace(p, weights=self._of_synapses("weights", p), delays=delays)

    def _rule(self, p: Projection, rule: ProjectionRule) -> ProjectionRule:
        return replace(
            rule,
            weight_fractions=self._of_synapses("weight_fractions", p),
            weight_gradients=self._of_synapses("weight_gradients", p),
            delay_fractions=self._of_delays("fractions", p, rule.delay_fractions),
            delay_gradients=self._of_delays("gradients", p, rule.delay_gradients),
        )

    def _of_delays(self, what: str, p: Projection, old: Integers) -> Integers:
        """Return `what` of the delays of `p`, or `old` where no delay can learn."""
        if p.delay is Delay.SYNAPTIC:
            return self._of_synapses(f"synaptic_{what}", p)
        if p.delay is Delay.AXONAL:
            at = self.layout.delays_before(p)
            return self.words[f"axonal_{what}"][at : at + p.delays.size, 0]
        return old

    def _of_synapses(self, name: str, p: Projection) -> Integers:
        """Return the words of `p` in memory `name`, int64[post, pre]."""
        at, blocks = self.layout.rows[p.name], self.layout.blocks[p.post]
        post, pre = p.weights.shape
        rows = self.words[name][at : at + pre * blocks]
        return rows.reshape(pre, blocks * self.layout.lanes)[:, :post].T


_CHANGED = frozenset(
    (
        "weights",
        "synaptic_delays",
        "axonal_delays",
        "random",
        "weight_fractions",
        "weight_gradients",
        "synaptic_fractions",
        "synaptic_gradients",
        "axonal_fractions",
        "axonal_gradients",
    )
)
"""Loaded memories that learning changes, as far as a chip is built with them."""


def _lanes(values: Integers, lanes: int) -> Integers:
    """Pad the last axis to whole words and split it: int64[..., blocks, lanes]."""
    blocks = -(-values.shape[-1] // lanes)
    padded = np.zeros((*values.shape[:-1], blocks * lanes), np.int64)
    padded[..., : values.shape[-1]] = values
    return padded.reshape(*values.shape[:-1], blocks, lanes)


def _columns(rows: list[list[int]], fields: int) -> list[Integers]:
    """One int64[words, 1] per field of a table given row by row."""
    table = np.array(rows, np.int64).reshape(len(rows), fields)
    return [table[:, n : n + 1] for n in range(fields)]


def _stack(parts: list[Integers], lanes: int) -> Integers:
    return np.concatenate([np.zeros((0, lanes), np.int64), *parts])
