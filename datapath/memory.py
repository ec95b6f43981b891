"""The memories of a chip: their words, where the host finds them, and how an Image fills them.

A word is packed field after field, lane after lane, from its least significant bit.  The host sees
every word as `beats` words of 32 bits, least significant first, padded to a power of two.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from datapath.chip import Chip
from datapath.format import Format
from datapath.image import Delay, Image, Integers, Kind, Reset

BUS = 32
"""Width of the host bus in bits."""

Beats = NDArray[np.uint32]


def unsigned(largest: int) -> Format:
    """Smallest unsigned format that holds 0 to `largest`."""
    return Format(max(1, largest.bit_length()), signed=False)


class Field(NamedTuple):
    """One number of a word."""

    name: str
    fmt: Format


@dataclass(frozen=True, slots=True)
class Memory:
    """One memory.

    fields : of one lane, least significant first.  lanes : how often the fields repeat in a word.
    state : written by the chip itself and cleared between recordings; otherwise loaded by the host.
    """

    name: str
    words: int
    lanes: int
    fields: tuple[Field, ...]
    state: bool

    @property
    def width(self) -> int:
        """Bits of a word."""
        return self.lanes * sum(field.fmt.width for field in self.fields)

    @property
    def bits(self) -> int:
        """Bits of the memory."""
        return self.words * self.width

    @property
    def beats(self) -> int:
        """Bus words of a memory word."""
        return -(-self.width // BUS)

    @property
    def stride(self) -> int:
        """Bus addresses from one word to the next."""
        return 1 << (self.beats - 1).bit_length()

    @property
    def span(self) -> int:
        """Bus addresses of the whole memory, a power of two."""
        return 1 << (self.words * self.stride - 1).bit_length()


def control(chip: Chip) -> tuple[Field, ...]:
    """Return the registers the host writes before a run, one per bus word."""
    return (
        Field("populations", unsigned(chip.populations)),
        Field("channel_blocks", unsigned(chip.channel_blocks)),
    )


def population_fields(chip: Chip) -> tuple[Field, ...]:
    """Return the fields of an entry of the population table."""
    flag = Format(1, signed=False)
    return (
        Field("blocks", unsigned(chip.neuron_blocks)),
        Field("size", unsigned(chip.neurons)),
        Field("projections", unsigned(chip.projections)),
        Field("readout", flag),
        Field("zero", flag),
        Field("emit", flag),
    )


def projection_fields(chip: Chip) -> tuple[Field, ...]:
    """Return the fields of an entry of the projection table."""
    flag = Format(1, signed=False)
    delays = max(chip.axon.delays, chip.synapse.dendritic, 1)
    return (
        Field("neuron", flag),
        Field("pre", unsigned(max(chip.channel_blocks, chip.neuron_blocks) - 1)),
        Field("size", unsigned(max(chip.channels, chip.neurons))),
        Field("age", flag),
        Field("axonal", flag),
        Field("dendritic", flag),
        Field("synaptic", flag),
        Field("delays", unsigned(delays - 1)),
        Field("resolution", unsigned(15)),
        Field("weights", unsigned(chip.synapses - 1)),
        Field("scale", chip.synapse.scale),
    )


def memories(chip: Chip) -> tuple[Memory, ...]:
    """Every memory of `chip`, in the order of the memory map."""
    lanes, axon, synapse, lif = chip.lanes, chip.axon, chip.synapse, chip.lif
    spike = Format(1, signed=False)
    neuron = (
        Field("threshold", lif.v),
        Field("bias", lif.bias),
        Field("coefficient", lif.coefficient),
    )
    loaded = [
        Memory("populations", chip.populations, 1, population_fields(chip), False),
        Memory("projections", chip.projections, 1, projection_fields(chip), False),
        Memory("neurons", chip.neuron_blocks, lanes, neuron, False),
        Memory("weights", chip.synapses, lanes, (Field("weight", synapse.weight),), False),
    ]
    delay = (Field("delay", synapse.delay),)
    if synapse.synaptic:
        loaded.append(Memory("synaptic_delays", chip.synapses, lanes, delay, False))
    if synapse.dendritic:
        loaded.append(Memory("dendritic_delays", synapse.dendritic, lanes, delay, False))
    if axon.delays:
        loaded.append(Memory("axonal_delays", axon.delays, 1, (Field("delay", axon.delay),), False))
    count, acc = (Field("count", axon.count),), (Field("acc", synapse.acc),)
    state = [
        Memory("channel_history", chip.channel_blocks * axon.channel_steps, lanes, count, True),
        Memory(
            "neuron_history",
            chip.neuron_blocks * axon.neuron_steps,
            lanes,
            (Field("spike", spike),),
            True,
        ),
        *(
            # One bank per lane: with synaptic delays every lane writes to a slot of its own.
            Memory(f"accumulators_{lane}", chip.neuron_blocks * synapse.slots, 1, acc, True)
            for lane in range(lanes)
        ),
        Memory("membranes", chip.neuron_blocks, lanes, (Field("v", lif.v),), True),
        Memory("scores", chip.readout.classes, 1, (Field("score", chip.readout.score),), True),
    ]
    return (*loaded, *state)


def addresses(chip: Chip) -> dict[str, int]:
    """Bus address of `control` and of the first word of every memory the host loads.

    Every region starts at a multiple of its span, so that an address splits into fields.
    """
    base: dict[str, int] = {"control": 0}
    end = 1 << (len(control(chip)) - 1).bit_length()
    for memory in memories(chip):
        if memory.state:
            continue
        base[memory.name] = -(-end // memory.span) * memory.span
        end = base[memory.name] + memory.span
    return base


def bus_addresses(chip: Chip) -> int:
    """Count the bus addresses of `chip`."""
    base = addresses(chip)
    return max(base[m.name] + m.span for m in memories(chip) if not m.state)


def words(memory: Memory, columns: Iterable[Integers]) -> Beats:
    """Pack the words of `memory`.

    columns : one int64[words, lanes] per field, in the order of the fields; values fit.

    Returns
    -------
    uint32[words, beats], least significant first.
    """
    parts = []
    for field, column in zip(memory.fields, columns, strict=True):
        place = np.arange(field.fmt.width)
        parts.append((column[:, :, None] >> place) & 1)
    bits = np.concatenate(parts, axis=2).reshape(len(parts[0]), memory.width)
    padded = np.zeros((len(bits), memory.beats * BUS), np.uint8)
    padded[:, : memory.width] = bits
    return np.packbits(padded, axis=1, bitorder="little").view("<u4").astype(np.uint32)


def numbers(memory: Memory, beats: Beats) -> dict[str, Integers]:
    """Unpack words: the inverse of `words`, int64[words, lanes] per field name."""
    raw = np.ascontiguousarray(beats.astype("<u4")).view(np.uint8)
    bits = np.unpackbits(raw.reshape(len(beats), memory.beats * 4), axis=1, bitorder="little")
    shape = (len(beats), memory.lanes, memory.width // memory.lanes)
    lanes = bits[:, : memory.width].reshape(shape).astype(np.int64)
    out: dict[str, Integers] = {}
    at = 0
    for field in memory.fields:
        width = field.fmt.width
        place = np.left_shift(1, np.arange(width))
        if field.fmt.signed:
            place[-1] = -place[-1]
        out[field.name] = lanes[:, :, at : at + width] @ place
        at += width
    return out


def _lanes(values: Integers, lanes: int) -> Integers:
    """Pad the last axis to whole words and split it: int64[..., blocks, lanes]."""
    blocks = -(-values.shape[-1] // lanes)
    padded = np.zeros((*values.shape[:-1], blocks * lanes), np.int64)
    padded[..., : values.shape[-1]] = values
    return padded.reshape(*values.shape[:-1], blocks, lanes)


def controls(image: Image) -> dict[str, int]:
    """Value of every control register."""
    return {
        "populations": len(image.populations),
        "channel_blocks": -(-image.channels // image.chip.lanes),
    }


def contents(image: Image) -> dict[str, Beats]:
    """Fill every memory the host loads: uint32[words in use, beats] by memory name.

    Projections are sorted by the population they reach, in update order; words past those in use
    are never read.
    """
    lanes = image.chip.lanes
    blocks = {p.name: -(-p.size // lanes) for p in image.populations}
    first: dict[str, int] = {image.input_name: 0}
    at = 0
    for population in image.populations:
        first[population.name] = at
        at += blocks[population.name]
    order = sorted(image.projections, key=lambda p: first[p.post])
    table: list[list[int]] = []
    weights: list[Integers] = []
    synaptic: list[Integers] = []
    dendritic: list[Integers] = []
    axonal: list[Integers] = []
    for projection in order:
        mode = projection.delay
        rows = _lanes(projection.weights.T, lanes).reshape(-1, lanes)
        base = {
            Delay.AXONAL: sum(map(len, axonal)),
            Delay.DENDRITIC: sum(map(len, dendritic)),
        }
        table.append(
            [
                int(projection.pre != image.input_name),
                first[projection.pre],
                image.source_size(projection),
                image.age(projection),
                int(mode is Delay.AXONAL),
                int(mode is Delay.DENDRITIC),
                int(mode is Delay.SYNAPTIC),
                base.get(mode, 0),
                projection.resolution,
                sum(map(len, weights)),
                projection.scale,
            ]
        )
        weights.append(rows)
        if mode is Delay.SYNAPTIC:
            synaptic.append(_lanes(projection.delays.T, lanes).reshape(-1, lanes))
        else:
            synaptic.append(np.zeros_like(rows))
        if mode is Delay.AXONAL:
            axonal.append(projection.delays[:, None])
        if mode is Delay.DENDRITIC:
            dendritic.append(_lanes(projection.delays, lanes))
    columns: dict[str, list[Integers]] = {
        "populations": _columns(
            [
                [
                    blocks[p.name],
                    p.size,
                    sum(q.post == p.name for q in order),
                    int(p.kind is Kind.READOUT),
                    int(p.reset is Reset.ZERO),
                    int(p.emit),
                ]
                for p in image.populations
            ],
            len(population_fields(image.chip)),
        ),
        "projections": _columns(table, len(projection_fields(image.chip))),
        "neurons": [
            np.concatenate([_lanes(getattr(p, name), lanes) for p in image.populations])
            for name in ("threshold", "bias", "coefficient")
        ],
        "weights": [_stack(weights, lanes)],
        "synaptic_delays": [_stack(synaptic, lanes)],
        "dendritic_delays": [_stack(dendritic, lanes)],
        "axonal_delays": [_stack(axonal, 1)],
    }
    return {m.name: words(m, columns[m.name]) for m in memories(image.chip) if not m.state}


def _columns(rows: list[list[int]], fields: int) -> list[Integers]:
    """One int64[words, 1] per field of a table given row by row."""
    table = np.array(rows, np.int64).reshape(len(rows), fields)
    return [table[:, n : n + 1] for n in range(fields)]


def _stack(parts: list[Integers], lanes: int) -> Integers:
    return np.concatenate([np.zeros((0, lanes), np.int64), *parts])
