"""Fine-tuning of a float network for the integers that a mapping will give it."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from datapath import Image
from learn import Epoch, EventProp, Examples, Grid, Grids, Rule, train, train_eventprop
from model import Lif, Network
from quant import Loss, Options, quantize

ROOM = 2.0
"""Times the headroom asked for that membranes have at the start: training may make them larger."""

CALIBRATION = 256
"""Examples, spread evenly, that the mapping is calibrated on."""

RULE = Rule(sigma_start=2.0)
"""That of training from random weights, whose steps are large enough to leave a word's rounding."""


@dataclass(frozen=True, slots=True, eq=False)
class Tuned:
    """A network whose weights, delays and biases are those of a chip, in float.

    history : of its training.  image, loss : `quantize` of it, with the options it was tuned for.
    """

    network: Network
    history: tuple[Epoch, ...]
    image: Image
    loss: Loss


def finetune(
    network: Network,
    examples: Examples,
    rule: Rule | EventProp,
    *,
    options: Options,
    epochs: int,
    seed: int,
    held_out: Examples | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    progress: Callable[[Epoch], None] | None = None,
) -> Tuned:
    """Train `network` with the scales and words that `quantize` chooses for it at the start.

    Those are chosen on `CALIBRATION` of the examples.  Arguments are those of `learn.train`, or of
    `learn.train_eventprop`, which a network with synaptic currents needs.

    Raises
    ------
    ValueError
        As `quantize` and `learn.train`; or `options` prune: tuning would bring pruned weights back.
    """
    if options.prune or any(own.prune for own in options.own.values()):
        raise ValueError("prune must be 0: tuning would bring pruned weights back")
    some = np.linspace(0, len(examples) - 1, min(CALIBRATION, len(examples))).round()
    calibration = examples.counts[some.astype(np.int64)]
    roomy = replace(options, headroom=ROOM * options.headroom)
    image, loss = quantize(network, chip=None, options=roomy, calibration=calibration)
    start = _with_thresholds(network, loss)
    run = (
        partial(train, start, examples, rule)
        if isinstance(rule, Rule)
        else partial(train_eventprop, start, examples, rule)
    )
    result = run(
        epochs=epochs,
        seed=seed,
        held_out=held_out,
        grids=grids_of(image, loss),
        checkpoint=checkpoint,
        progress=progress,
    )
    tuned = result.network
    # A word that was shared out stays as it was.
    bits = {name: loss.options[name] for name in ("weight_bits", "delay_bits")}
    fixed = replace(options, word_bits=None, **bits)
    image, loss = quantize(tuned, chip=None, options=fixed, calibration=calibration)
    return Tuned(tuned, result.history, image, loss)


def grids_of(image: Image, loss: Loss) -> Grids:
    """Return what `image`, of which `loss` is the loss, can hold of a network."""
    projections = {}
    for p in image.projections:
        lost = loss.projection(p.name)
        projections[p.name] = Grid(
            unit=2.0**p.scale / np.array(loss.population(p.post).scale),
            weight_bits=lost.weight_bits,
            age=image.age(p),
            largest=(1 << lost.delay_bits) - 1,
            resolution=p.resolution,
        )
    biases = {p.name: 1 / np.array(p.scale) for p in loss.populations}
    return Grids(projections, biases, image.chip.lif.bias.width)


def _with_thresholds(network: Network, loss: Loss) -> Network:
    """Return `network` with the thresholds of the chip, which training leaves alone."""

    def whole(population: Lif) -> Lif:
        scale = np.array(loss.population(population.name).scale)
        return replace(population, threshold=np.rint(population.threshold * scale) / scale)

    populations = tuple(whole(p) if isinstance(p, Lif) else p for p in network.populations)
    return replace(network, populations=populations)
