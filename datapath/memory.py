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

from datapath.chip import Chip, Learn
from datapath.format import Format
from datapath.integers import Integers
from datapath.memory_formats import FLAG, KEEP, RANDOM, SHIFT, STRENGTH

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
    state : written by the chip alone, before it is read in a recording; otherwise loaded by the
    host, and on a chip that learns changed by UPDATE and LEARN as well.
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
    fields = (
        Field("populations", unsigned(chip.populations)),
        Field("channel_blocks", unsigned(chip.channel_blocks)),
    )
    if chip.learn is None:
        return fields
    return (
        *fields,
        Field("remember", FLAG),
        Field("taps", unsigned(chip.learn.taps)),
        Field("surrogate_shift", SHIFT),
        Field("error_shift", SHIFT),
        Field("keep_weights", KEEP),
        Field("keep_delays", KEEP),
        Field("sign_of_weight", FLAG),
        Field("nearest", FLAG),
        Field("readout", unsigned(chip.populations - 1)),
        Field("readout_block", unsigned(chip.neuron_blocks - 1)),
    )


def population_rule_fields(chip: Chip, learn: Learn) -> tuple[Field, ...]:
    """Return the fields of an entry of the table of population rules."""
    return (
        Field("learns", FLAG),
        Field("feedback", unsigned(chip.synapses - 1)),
        Field("coefficient", learn.coefficient),
        Field("drive_shift", SHIFT),
        Field("signal_shift", SHIFT),
        Field("strength", STRENGTH),
        Field("target", learn.activity),
    )


def projection_rule_fields(chip: Chip, learn: Learn) -> tuple[Field, ...]:
    """Return the fields of an entry of the table of projection rules."""
    largest = max(chip.axon.delay.max, chip.synapse.delay.max)
    return (
        Field("weights", FLAG),
        Field("delays", FLAG),
        Field("words", unsigned(chip.synapses)),
        Field("axons", unsigned(chip.axon.delays)),
        Field("weight_limit", SHIFT),
        Field("weight_rate", learn.rate),
        Field("weight_shift", SHIFT),
        Field("delay_scale", SHIFT),
        Field("delay_limit", SHIFT),
        Field("delay_rate", learn.rate),
        Field("delay_shift", SHIFT),
        Field("largest", unsigned(largest)),
    )


def population_fields(chip: Chip) -> tuple[Field, ...]:
    """Return the fields of an entry of the population table."""
    return (
        Field("blocks", unsigned(chip.neuron_blocks)),
        Field("size", unsigned(chip.neurons)),
        Field("projections", unsigned(chip.projections)),
        Field("readout", FLAG),
        Field("zero", FLAG),
        Field("emit", FLAG),
    )


def projection_fields(chip: Chip) -> tuple[Field, ...]:
    """Return the fields of an entry of the projection table."""
    delays = max(chip.axon.delays, chip.synapse.dendritic, 1)
    return (
        Field("neuron", FLAG),
        Field("pre", unsigned(max(chip.channel_blocks, chip.neuron_blocks) - 1)),
        Field("size", unsigned(max(chip.channels, chip.neurons))),
        Field("age", FLAG),
        Field("axonal", FLAG),
        Field("dendritic", FLAG),
        Field("synaptic", FLAG),
        Field("delays", unsigned(delays - 1)),
        Field("resolution", unsigned(15)),
        Field("weights", unsigned(chip.synapses - 1)),
        Field("scale", chip.synapse.scale),
    )


def memories(chip: Chip) -> tuple[Memory, ...]:
    """Every memory of `chip`, in the order of the memory map."""
    lanes, axon, synapse, lif = chip.lanes, chip.axon, chip.synapse, chip.lif
    neuron = (
        Field("threshold", lif.v),
        Field("bias", lif.bias),
        Field("coefficient", lif.coefficient),
    )
    loaded = [
        Memory("populations", chip.populations, 1, population_fields(chip), False),
        Memory("projections", chip.projections, 1, projection_fields(chip), False),
        Memory("neurons", chip.neuron_blocks, lanes, neuron, False),
    ]
    if chip.current is not None:
        # Not in the word of a neuron: it is read before the neuron, which waits for its current.
        leak = (Field("coefficient", chip.current.coefficient),)
        loaded.append(Memory("current_leaks", chip.neuron_blocks, lanes, leak, False))
    loaded.append(
        Memory("weights", chip.synapses, lanes, (Field("weight", synapse.weight),), False)
    )
    delay = (Field("delay", synapse.delay),)
    if synapse.synaptic:
        loaded.append(Memory("synaptic_delays", chip.synapses, lanes, delay, False))
    if synapse.dendritic:
        loaded.append(Memory("dendritic_delays", synapse.dendritic, lanes, delay, False))
    if axon.delays:
        loaded.append(Memory("axonal_delays", axon.delays, 1, (Field("delay", axon.delay),), False))
    if chip.learn is not None:
        loaded += _learned(chip, chip.learn)
    count, acc = (Field("count", axon.count),), (Field("acc", synapse.acc),)
    activity = () if chip.learn is None else (Field("activity", chip.learn.activity),)
    state = [
        Memory("channel_history", chip.channel_blocks * axon.channel_steps, lanes, count, True),
        Memory(
            "neuron_history",
            chip.neuron_blocks * axon.neuron_steps,
            lanes,
            (Field("spike", FLAG),),
            True,
        ),
        *(
            # One bank per lane: with synaptic delays every lane writes to a slot of its own.
            Memory(f"accumulators_{lane}", chip.neuron_blocks * synapse.slots, 1, acc, True)
            for lane in range(lanes)
        ),
        Memory("membranes", chip.neuron_blocks, lanes, (Field("v", lif.v), *activity), True),
        Memory("scores", chip.readout.classes, 1, (Field("score", chip.readout.score),), True),
    ]
    if chip.current is not None:
        current = (Field("i", chip.current.i),)
        state.append(Memory("currents", chip.neuron_blocks, lanes, current, True))
    if chip.learn is not None:
        filtered = (Field("filtered", chip.learn.filtered),)
        words = chip.neuron_blocks * chip.learn.steps
        value = (Field("value", chip.learn.lookup),)
        state += [
            Memory("lookup_history", words, lanes, value, True),
            Memory("level_sums", chip.learn.steps, 1, (Field("sum", level_sum(chip)),), True),
            Memory("filtered", chip.neuron_blocks, lanes, filtered, True),
        ]
    return (*loaded, *state)


def level_sum(chip: Chip) -> Format:
    """Format of the error levels of all readouts together."""
    assert chip.learn is not None
    return unsigned(chip.learn.lookup.max * chip.readout.classes)


def _learned(chip: Chip, learn: Learn) -> list[Memory]:
    """Every memory that the host loads on a chip that learns alone."""
    lanes, synapse = chip.lanes, chip.synapse
    weight = Field("fraction", learn.weight_fraction), Field("gradient", learn.weight_gradient)
    delay = Field("fraction", learn.delay_fraction), Field("gradient", learn.delay_gradient)
    loaded = [
        Memory("population_rules", chip.populations, 1, population_rule_fields(chip, learn), False),
        Memory("projection_rules", chip.projections, 1, projection_rule_fields(chip, learn), False),
        *(
            # One table per lane: every lane looks up a number of its own.
            Memory(f"lookup_{lane}", 2 * learn.entries, 1, (Field("value", learn.lookup),), False)
            for lane in range(lanes)
        ),
        Memory("taps", learn.taps, 1, (Field("tap", learn.tap),), False),
        Memory("random", 1, lanes, (Field("state", RANDOM),), False),
        Memory("weight_fractions", chip.synapses, lanes, weight[:1], False),
        Memory("weight_gradients", chip.synapses, lanes, weight[1:], False),
    ]
    if synapse.synaptic:
        loaded += [
            Memory("synaptic_fractions", chip.synapses, lanes, delay[:1], False),
            Memory("synaptic_gradients", chip.synapses, lanes, delay[1:], False),
        ]
    if chip.axon.delays:
        loaded += [
            Memory("axonal_fractions", chip.axon.delays, 1, delay[:1], False),
            Memory("axonal_gradients", chip.axon.delays, 1, delay[1:], False),
        ]
    return loaded


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
