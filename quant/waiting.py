"""Where delayed spikes wait, and what each way of it takes for one network.

Axonal delays belong to sources, synaptic ones to synapses. A spike waits in a ring of its source
(one word per tick that it may be needed for), its products wait in a ring of accumulators of its
target, or it waits in a queue that all sources of a population share, whose length activity decides
(in the manner of the shared circular delay queue of Meijer et al. 2025, arXiv 2501.13610; the
formula is ours: an entry holds which source it is and how long ago it fired).
"""

from __future__ import annotations

from dataclasses import dataclass

from datapath import Delay, Image, Projection
from quant.activity import Activity, longest


@dataclass(frozen=True, slots=True)
class Way:
    """One way to hold delays: bits of delay words, of what waits, and of sums that do not wait.

    measured : what waits was counted on recordings, and may be more on others.
    """

    owner: Delay
    place: str
    words: int
    waiting: int
    sums: int
    measured: bool

    @property
    def bits(self) -> int:
        """All together."""
        return self.words + self.waiting + self.sums


def ways(image: Image, found: Activity | None) -> tuple[Way, ...]:
    """Compare the ways to hold the delays of the network of `image`.

    Sizes are those of the network, not of the chip, which may be larger and counts in blocks of
    lanes; formats are those of the chip. A delay word is as wide as the longest delay needs. A
    projection without delays has no words, and its spikes wait where they have to for their age.
    found : what happened on recordings; without it there is no queue to compare.
    """
    delayed = [p for p in image.projections if p.delays.any()]
    per_axon = sum(_word(p) * image.source_size(p) for p in delayed)
    per_synapse = sum(_word(p) * p.weights.size for p in delayed)
    acc = image.chip.synapse.acc.width
    neurons = sum(p.size for p in image.populations)
    sums = neurons * acc
    spikes = _spike_rings(image)
    ring = sum(p.size * _depth(_latest(image, p.name)) * acc for p in image.populations)
    found_ways = [
        Way(Delay.AXONAL, "spike ring", per_axon, spikes, sums, False),
        Way(Delay.SYNAPTIC, "spike ring", per_synapse, spikes, sums, False),
        Way(Delay.SYNAPTIC, "accumulator ring", per_synapse, ring, 0, False),
    ]
    if found is not None:
        queue = sum(_entry(image, name) * number for name, number in found.waiting.items())
        found_ways += [
            Way(Delay.AXONAL, "event queue", per_axon, queue, sums, True),
            Way(Delay.SYNAPTIC, "event queue", per_synapse, queue, sums, True),
        ]
    return tuple(found_ways)


def _word(projection: Projection) -> int:
    return int(projection.delays.max()).bit_length()


def _depth(ticks: int) -> int:
    """Words of a ring that reaches `ticks` back: a power of two, as rings are addressed."""
    return 1 << ticks.bit_length()


def _sources(image: Image) -> dict[str, int]:
    """Bits that one source emits per tick, by the name of its population."""
    bits = {image.input_name: image.chip.axon.count.width}
    return bits | {p.pre: 1 for p in image.projections if p.pre != image.input_name}


def _spike_rings(image: Image) -> int:
    rings = 0
    for name, bits in _sources(image).items():
        ticks = longest(image, name)
        rings += ticks.size * bits * _depth(int(ticks.max(initial=0)))
    return rings


def _latest(image: Image, post: str) -> int:
    """Ticks that something for `post` can wait, at most."""
    reach = [image.steps_of(p).max(initial=0) for p in image.projections if p.post == post]
    return int(max(reach, default=0))


def _entry(image: Image, name: str) -> int:
    """Bits of an entry of the queue of a population: its source, its age, its count."""
    if name not in _sources(image):
        return 0
    ticks, bits = longest(image, name), _sources(image)[name]
    who, ago = max(1, (ticks.size - 1).bit_length()), int(ticks.max(initial=0)).bit_length()
    # A spike is there or not; only a channel counts.
    return who + ago + (bits if bits > 1 else 0)
