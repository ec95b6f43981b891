"""Untrained networks to start from."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from model import Delay, Input, Lif, Network, Population, Projection, Readout, Reset
from model.continuous import gain

FIRST_SPIKE_INPUTS = 30
SILENCE = 40.0
INPUT_SCALE = 0.08
HIDDEN_SCALE = 2.0
RECURRENT_SCALE = 0.3
READOUT_SCALE = 0.1


def make_network(
    *,
    channels: int,
    hidden: Sequence[int],
    classes: int,
    steps: int,
    dt_ms: float,
    seed: int,
    units: int | None = None,
    tau_ms: float = 15.0,
    tau_syn_ms: float | None = None,
    reset: Reset | str = Reset.SUBTRACT,
    readout_alpha: float = 0.95,
    delay: Delay | str = Delay.AXONAL,
    max_delay: int = 40,
    delays: str = "random",
    recurrent: Delay | str | None = None,
    input_scale: float = INPUT_SCALE,
    labels: Sequence[str] = (),
) -> Network:
    """Make input, hidden LIF populations in a chain, and readout, with random normal weights.

    Standard deviations: `input_scale` from the input, 2 / sqrt(pre size) between hidden
    populations, 0.3 / sqrt(size) recurrent, 0.1 to the readout, each times 1 - alpha_syn, so that a
    current brings as much in all.  Threshold 1, no bias, alpha = exp(-dt_ms / tau_ms).  The
    populations are called input, hidden (or hidden1, hidden2, ... if there are several) and
    readout, a projection PRE_to_POST.

    Parameters
    ----------
    units : front-end units summed into the channels; by default one unit is one channel.
    tau_syn_ms : of the synaptic currents of hidden and readout neurons; None for none.
    delay, max_delay : of all projections between input and hidden populations; the one to the
        readout has no delay.  max_delay in steps.
    delays : "random", uniform between the smallest possible and max_delay, or "zero", all
        the smallest possible.
    recurrent : delay mode of a projection of every hidden population to itself, which with
        "none" takes one step; None for none.
    input_scale : a few channels, or few events, want more than the usual 0.08, which is for a
        hundred channels of ten events each.

    Raises
    ------
    ValueError
        A value makes no network.
    """
    _check_delays(delays)
    if not tau_ms > 0:
        raise ValueError(f"tau_ms must be positive, not {tau_ms}")
    if tau_syn_ms is not None and not tau_syn_ms > 0:
        raise ValueError(f"tau_syn_ms must be positive, not {tau_syn_ms}")
    if not (math.isfinite(input_scale) and input_scale > 0):
        raise ValueError(f"input_scale must be a positive number, not {input_scale}")
    names = _names(hidden)
    alpha_syn = 0.0 if tau_syn_ms is None else math.exp(-dt_ms / tau_syn_ms)
    rng = np.random.default_rng(seed)
    populations: list[Population] = [Input("input", channels, channels if units is None else units)]
    projections = []

    def join(pre: Population, post: Population, mode: Delay, scale: float) -> None:
        least = int(pre is post)
        most = least if mode is Delay.NONE else max_delay
        if most < least:
            raise ValueError(
                f"max_delay must be at least {least} from {pre.name} to {post.name}, not {most}"
            )
        shape = mode.shape(post.size, pre.size)
        drawn = mode is not Delay.NONE and delays == "random"
        projections.append(
            Projection(
                name=f"{pre.name}_to_{post.name}",
                pre=pre.name,
                post=post.name,
                weights=rng.normal(0, scale * (1 - alpha_syn), (post.size, pre.size)),
                delay=mode,
                delays=rng.uniform(least, most, shape) if drawn else np.full(shape, float(least)),
                max_delay=most,
            )
        )

    for name, size in zip(names, hidden, strict=True):
        pre = populations[-1]
        post = Lif(
            name,
            size,
            alpha=np.full(size, math.exp(-dt_ms / tau_ms)),
            threshold=np.ones(size),
            bias=np.zeros(size),
            reset=Reset(reset),
            alpha_syn=np.full(size, alpha_syn),
        )
        scale = input_scale if isinstance(pre, Input) else HIDDEN_SCALE / math.sqrt(pre.size)
        join(pre, post, Delay(delay), scale)
        if recurrent is not None:
            join(post, post, Delay(recurrent), RECURRENT_SCALE / math.sqrt(size))
        populations.append(post)
    readout = Readout(
        "readout",
        classes,
        alpha=np.full(classes, readout_alpha),
        bias=np.zeros(classes),
        alpha_syn=np.full(classes, alpha_syn),
    )
    join(populations[-1], readout, Delay.NONE, READOUT_SCALE)
    return Network(
        dt_ms=dt_ms,
        steps=steps,
        populations=(*populations, readout),
        projections=tuple(projections),
        labels=tuple(labels),
    )


def make_first_spike_network(
    *,
    channels: int,
    hidden: Sequence[int],
    classes: int,
    steps: int,
    dt_ms: float,
    seed: int,
    units: int | None = None,
    tau_syn_ms: float = 10.0,
    tau_ms: float | None = None,
    delay: Delay | str = Delay.AXONAL,
    max_delay: int = 40,
    delays: str = "random",
    once: bool = True,
    labels: Sequence[str] = (),
) -> Network:
    """Make a network of first spikes, for `train_delgrad`.

    Populations input, hidden (or hidden1, hidden2, ...), output and readout.  The neuron of
    output that fires first says the class: the readout adds up the steps since its spike.

    Weights are normal with mean and standard deviation 1, in the unit of `learn.delgrad.DelGrad`,
    or, where more than 30 neurons come in, less in proportion.  Threshold 1.

    Parameters
    ----------
    units : front-end units summed into the channels; by default one unit is one channel.
    tau_ms : of membranes, twice tau_syn_ms unless told, or equal to it.
    delay, max_delay : of all projections up to the output.  max_delay in steps.
    delays : "random", uniform between 0 and max_delay, or "zero".
    once : a neuron fires once, because a strong inhibition of itself follows its spike: a
        projection POPULATION_once to itself that no trainer changes.

    Raises
    ------
    ValueError
        A value makes no network.
    """
    _check_delays(delays)
    if not tau_syn_ms > 0:
        raise ValueError(f"tau_syn_ms must be positive, not {tau_syn_ms}")
    tau_ms = 2 * tau_syn_ms if tau_ms is None else tau_ms
    if tau_ms not in (tau_syn_ms, 2 * tau_syn_ms):
        raise ValueError(
            f"tau_ms must be tau_syn_ms, {tau_syn_ms:g}, or twice that for first spikes in closed "
            f"form, not {tau_ms:g}"
        )
    mode = Delay(delay)
    most = 0 if mode is Delay.NONE else max_delay
    unit = gain(dt_ms / tau_syn_ms, tau_ms / tau_syn_ms, 1.0)
    rng = np.random.default_rng(seed)
    populations: list[Population] = [Input("input", channels, channels if units is None else units)]
    projections = []
    for name, size in zip([*_names(hidden), "output"], [*hidden, classes], strict=True):
        pre = populations[-1]
        scale = min(1.0, FIRST_SPIKE_INPUTS / pre.size)
        weights = unit * rng.normal(scale, scale, (size, pre.size))
        shape = mode.shape(size, pre.size)
        start = rng.uniform(0, most, shape) if delays == "random" else np.zeros(shape)
        projections.append(
            Projection(f"{pre.name}_to_{name}", pre.name, name, weights, mode, start, most)
        )
        if once:
            silence = -SILENCE * unit * np.eye(size)
            projections.append(
                Projection(f"{name}_once", name, name, silence, Delay.NONE, np.array(1.0), 1)
            )
        alpha, alpha_syn = math.exp(-dt_ms / tau_ms), math.exp(-dt_ms / tau_syn_ms)
        populations.append(
            Lif(
                name, size, np.array(alpha), np.ones(size), np.zeros(size), Reset.ZERO,
                alpha_syn=np.array(alpha_syn),
            )
        )  # fmt: skip
    readout = Readout("readout", classes, np.ones(classes), np.zeros(classes))
    projections.append(
        Projection(
            "output_to_readout", "output", "readout", np.eye(classes), Delay.NONE, np.array(0.0), 0
        )
    )
    return Network(dt_ms, steps, (*populations, readout), tuple(projections), tuple(labels))


def _check_delays(delays: str) -> None:
    if delays not in ("random", "zero"):
        raise ValueError(f"delays must be 'random' or 'zero', not {delays!r}")


def _names(hidden: Sequence[int]) -> list[str]:
    """Return the names of hidden populations."""
    if not hidden:
        raise ValueError("hidden must name the size of at least one hidden population")
    many = len(hidden) > 1
    return [f"hidden{n + 1}" if many else "hidden" for n in range(len(hidden))]
