"""What a chip does to answer: every access to a memory and every word of arithmetic, counted.

Follows `docs/datapath.md`, section chip: a count is worked out from the deliveries that the
emulator reports and from the sizes of the network.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from datapath import Delay, Image, Kind, Leak, Population
from datapath.memory import memories
from quant.activity import Activity
from quant.cost import counted_as


@dataclass(frozen=True, slots=True)
class Access:
    """Reads and writes of one memory: words of `width` bits out of `bits` bits in each bank."""

    name: str
    reads: int
    writes: int
    width: int
    bits: int


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """Operations of one kind on operands of `widths` bits: two for a product, one for a sum."""

    name: str
    number: int
    widths: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Operations:
    """All that was done, idle lanes included: they are clocked like the others."""

    accesses: tuple[Access, ...]
    arithmetic: tuple[Arithmetic, ...]


def operations(image: Image, found: Activity) -> Operations:
    """Count the operations of `image` on the recordings of `found`, CLEARs included."""
    reads: Counter[str] = Counter()
    writes: Counter[str] = Counter()
    ticks = found.recordings * found.steps
    rows = _scan(image, found, ticks, reads)
    _update(image, ticks, reads, writes)
    for memory in memories(image.chip):
        name = counted_as(memory.name)
        if memory.state and name != "accumulators":
            writes[name] += found.recordings * memory.words
    lanes, blocks = image.chip.lanes, image.chip.neuron_blocks
    reads["channel_history"] += found.events
    writes["channel_history"] += found.events + ticks * -(-image.channels // lanes)
    reads["accumulators"] += lanes * rows
    writes["accumulators"] += lanes * rows
    writes["accumulators"] += found.recordings * lanes * blocks * image.chip.synapse.slots
    return Operations(
        tuple(
            Access(counted_as(m.name), reads[name], writes[name], m.width, m.bits)
            for m in memories(image.chip)
            if (name := counted_as(m.name)) == m.name or m.name == f"{name}_0"
        ),
        _arithmetic(image, rows, ticks),
    )


def _blocks(image: Image, population: Population) -> int:
    return -(-population.size // image.chip.lanes)


def _scan(image: Image, found: Activity, ticks: int, reads: Counter[str]) -> int:
    """Count the reads of the sources and of their rows; return how many words of rows."""
    sizes = {p.name: p for p in image.populations}
    rows = 0
    for projection, reach in zip(image.projections, found.projections, strict=True):
        sources = ticks * image.source_size(projection)
        at_input = projection.pre == image.input_name
        reads["channel_history" if at_input else "neuron_history"] += sources
        words = reach.deliveries * _blocks(image, sizes[projection.post])
        rows += words
        reads["projections"] += ticks
        reads["weights"] += words
        match projection.delay:
            case Delay.AXONAL:
                reads["axonal_delays"] += sources
            case Delay.SYNAPTIC:
                reads["synaptic_delays"] += words
            case Delay.DENDRITIC:
                reads["dendritic_delays"] += words
    return rows


def _update(image: Image, ticks: int, reads: Counter[str], writes: Counter[str]) -> None:
    """Count the accesses of the update and emission of every population."""
    for population in image.populations:
        words = ticks * _blocks(image, population)
        reads["populations"] += ticks
        reads["neurons"] += words
        reads["membranes"] += words
        writes["membranes"] += words
        writes["neuron_history"] += words
        if image.chip.current is not None:
            reads["current_leaks"] += words
            reads["currents"] += words
            writes["currents"] += words
        reads["accumulators"] += words * image.chip.lanes
        writes["accumulators"] += words * image.chip.lanes
        scanned = ticks * population.size
        if population.kind is Kind.READOUT:
            reads["membranes"] += scanned
            reads["scores"] += scanned
            writes["scores"] += scanned
        elif population.emit:
            reads["neuron_history"] += scanned


def _arithmetic(image: Image, rows: int, ticks: int) -> tuple[Arithmetic, ...]:
    chip = image.chip
    synapse, lif = chip.synapse, chip.lif
    factor = (chip.axon.count.max << synapse.scale.max).bit_length()
    delivered = rows * chip.lanes
    updated = ticks * sum(_blocks(image, p) for p in image.populations) * chip.lanes
    scored = ticks * image.readout.size
    leak = (
        Arithmetic("leak, product", updated, (lif.v.width, lif.coefficient.width))
        if lif.leak is Leak.MULTIPLY
        else Arithmetic("leak, difference", updated, (lif.v.width,))
    )
    flow: tuple[Arithmetic, ...] = ()
    if chip.current is not None:
        i, coefficient = chip.current.i.width, chip.current.coefficient.width
        product = chip.current.leak is Leak.MULTIPLY
        widths = (i, coefficient) if product else (i,)
        what = "product" if product else "difference"
        flow = (
            Arithmetic(f"current, {what}", updated, widths),
            Arithmetic("current, sum", updated, (i,)),
        )
    return (
        *flow,
        Arithmetic("weight times count", delivered, (synapse.weight.width, factor)),
        Arithmetic("delivery, sum", delivered, (synapse.acc.width,)),
        leak,
        # Input and bias, leak and drive, threshold, reset.
        Arithmetic("membrane, sums", 4 * updated, (lif.v.width,)),
        # The score, and whether it is the largest.
        Arithmetic("score, sums", 2 * scored, (chip.readout.score.width,)),
    )
