"""Delay words: which slot of the delay line a float delay becomes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from datapath import Delay
from datapath.integers import Integers
from model.network import Network, Projection

COARSEST = 15
"""Largest resolution an image can hold."""


@dataclass(frozen=True, slots=True, eq=False)
class DelayWords:
    """The delays of one projection on a chip.

    mode : of the image; a constant delay that the mode `none` cannot hold becomes `axonal`.
    words : int64, shaped as `mode` asks.  clamped : bool of that shape, delays beyond the reach.
    wanted, applied : int64 of that shape, steps from emission to integration before and after.
    """

    mode: Delay
    words: Integers
    resolution: int
    wanted: Integers
    applied: Integers
    clamped: NDArray[np.bool_]


def image_age(network: Network, projection: Projection) -> int:
    """Youngest age at which `projection` sees a spike on the chip, whose input is always first."""
    order = [p.name for p in network.populations if p.name != network.input.name]
    if projection.pre == network.input.name:
        return 0
    return int(order.index(projection.pre) >= order.index(projection.post))


def image_mode(network: Network, projection: Projection) -> Delay:
    """Return the delay mode of `projection` on the chip."""
    mode = Delay(projection.delay)
    if mode is Delay.NONE and applied_steps(network, projection, mode) > image_age(
        network, projection
    ):
        return Delay.AXONAL
    return mode


def delay_words(
    network: Network, projection: Projection, bits: int, depth: int | None, resolution: int | None
) -> DelayWords:
    """Round the applied delays of `projection` to words of `bits` bits.

    n becomes k = round((n - age) / 2**resolution), half to even, and is applied as
    age + (k << resolution).

    depth : ticks of the delay line that holds them, None for one as deep as needed.
    resolution : None takes the finest that reaches the longest delay.
    """
    age, mode = image_age(network, projection), image_mode(network, projection)
    wanted = applied_steps(network, projection, mode)
    ahead = wanted - age
    # An axonal word lengthens the age at which the history is read; the ring does not count age.
    reach = (1 << 62) if depth is None else depth - 1 - (age if mode is Delay.AXONAL else 0)
    if resolution is None:
        resolution = _finest(min(int(ahead.max(initial=0)), reach), bits)
    words = np.rint(ahead / (1 << resolution)).astype(np.int64)
    largest = min((1 << bits) - 1, max(0, reach) >> resolution)
    if mode is Delay.NONE:
        largest = 0
    held = np.minimum(words, largest)
    return DelayWords(
        mode=mode,
        words=held,
        resolution=resolution if mode is not Delay.NONE else 0,
        wanted=wanted,
        applied=age + (held << resolution),
        clamped=words > largest,
    )


def applied_steps(network: Network, projection: Projection, mode: Delay) -> Integers:
    """Return the applied delays in the shape of `mode`: (), (pre,), (post,) or (post, pre)."""
    steps = network.steps_of(projection)
    of_mode = {
        Delay.NONE: steps[0, 0] if steps.size else np.int64(0),
        Delay.AXONAL: steps[0],
        Delay.DENDRITIC: steps[:, 0],
        Delay.SYNAPTIC: steps,
    }[mode]
    return np.array(of_mode, np.int64)


def _finest(longest: int, bits: int) -> int:
    """Smallest resolution at which no delay has to move by a whole slot to be reached."""
    resolution = 0
    while longest >> resolution >= 1 << bits and resolution < COARSEST:
        resolution += 1
    return resolution
