"""The register map of a chip in words, for the people who write its driver."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from datapath import mailbox, ports, timing
from datapath.chip import Chip
from datapath.contents import contents, controls
from datapath.files import digest
from datapath.format import Format
from datapath.image import Image
from datapath.memory import BUS, Field, Memory, addresses, control, memories
from datapath.schema import chip_digest

MEANING = {
    "control.populations": "populations in use",
    "control.channel_blocks": "blocks of `lanes` input channels in use",
    "populations.blocks": "blocks of `lanes` neurons",
    "populations.size": "neurons",
    "populations.projections": "projections that end here, in table order",
    "populations.readout": "1: readout, never fires and is scored",
    "populations.zero": "1: a spike empties the membrane; 0: it takes the threshold off",
    "populations.emit": "1: spikes (readout: membranes) are sent",
    "projections.neuron": "source is 1: a population; 0: the input channels",
    "projections.pre": "first block of the source",
    "projections.size": "sources, one row of weights each",
    "projections.age": "youngest age of a spike that is read, in ticks",
    "projections.axonal": "1: a delay word for every source",
    "projections.dendritic": "1: a delay word for every target neuron",
    "projections.synaptic": "1: a delay word for every synapse",
    "projections.delays": "first word in `axonal_delays` or `dendritic_delays`",
    "projections.resolution": "left shift of delay words",
    "projections.weights": "first word in `weights` and `synaptic_delays`",
    "projections.scale": "left shift of weights",
    "neurons.threshold": "membrane at which a neuron fires",
    "neurons.bias": "added in every tick",
    "neurons.coefficient": "of the leak",
    "current_leaks.coefficient": "of the leak of a neuron's synaptic current",
    "weights.weight": "row after row of a projection, a row being the targets of one source",
    "synaptic_delays.delay": "of the synapse at the same place in `weights`",
    "dendritic_delays.delay": "of a target neuron",
    "axonal_delays.delay": "of a source",
    "control.remember": "1: every TICK writes the history that LEARN reads",
    "control.taps": "taps in use",
    "control.surrogate_shift": "right shift of a membrane's distance to its threshold",
    "control.error_shift": "right shift of a membrane's distance to the largest readout",
    "control.keep_weights": "of a weight's gradient, (2**n - 1) / 2**n stays after an UPDATE",
    "control.keep_delays": "likewise of a delay's",
    "control.sign_of_weight": "1: a synaptic delay learns by the sign of its weight",
    "control.nearest": "1: steps are rounded to the nearest, half up; 0: stochastically",
    "control.readout": "entry of the readout in `populations`",
    "control.readout_block": "its first block",
    "population_rules.learns": "1: it has a learning signal",
    "population_rules.feedback": "first word of its feedback in `weights`, a row per neuron",
    "population_rules.coefficient": "of the filtered signal, per tick",
    "population_rules.drive_shift": "right shift of surrogate times fed-back error",
    "population_rules.signal_shift": "right shift of the filtered signal",
    "population_rules.strength": "0: off; n: spikes beyond the target are shifted left by n - 1",
    "population_rules.target": "spikes of a neuron in a recording",
    "projection_rules.weights": "1: weights learn",
    "projection_rules.delays": "1: delays learn",
    "projection_rules.words": "words of weights",
    "projection_rules.axons": "words of axonal delays",
    "projection_rules.weight_limit": "a gradient counts as at most 2**n - 1",
    "projection_rules.weight_rate": "factor of a step",
    "projection_rules.weight_shift": "right shift of a step",
    "projection_rules.delay_scale": "right shift of weight times gradient or slope",
    "projection_rules.delay_limit": "a gradient counts as at most 2**n - 1",
    "projection_rules.delay_rate": "factor of a step",
    "projection_rules.delay_shift": "right shift of a step",
    "projection_rules.largest": "largest delay word",
    "lookup.value": "first half: surrogate derivatives; second half: error levels",
    "taps.tap": "of the derivative in time, at distances 1, 2, ...",
    "random.state": "of the random number generator of a lane, not 0",
    "weight_fractions.fraction": "bits of the master word below the weight at the same place",
    "weight_gradients.gradient": "of the weight at the same place",
    "synaptic_fractions.fraction": "bits of the master word below the delay at the same place",
    "synaptic_gradients.gradient": "of the synaptic delay at the same place",
    "axonal_fractions.fraction": "bits of the master word below the delay at the same place",
    "axonal_gradients.gradient": "of the axonal delay at the same place",
    "host.address": "in beats",
    "host.data": "beat to be written",
    "host.write": "1: write `data` to `address`",
    "host.read": "1: read `address`; the beat comes in `result`",
    "i.op": "what to do",
    "i.channel": "input channel of an EVENT, label of a LEARN",
    "i.count": "events on it",
    "o.op": "what it is",
    "o.index": "neuron of its population, readout, or winner",
    "o.value": "membrane of a READOUT, score of the winner at END",
    "o.saturated": "END: something saturated in this tick",
    "probe.v": "new membrane",
    "probe.u": "sum before the reset",
    "probe.fired": "the neuron fired",
    "probe.saturated": "the sum saturated",
}
"""What every field is for; `registers` fails on a field without an entry."""

OPERATIONS = {
    "i.EVENT": "`count` events on `channel` in the coming tick",
    "i.TICK": "run the tick",
    "i.CLEAR": "start a recording",
    "i.LEARN": "the recording is over and had the label `channel`: add its gradients",
    "i.UPDATE": "turn gradients into steps",
    "o.SPIKE": "neuron `index` fired",
    "o.READOUT": "readout `index` has membrane `value`",
    "o.END": "the tick is over; `index` leads with score `value`",
}

BUS_PROTOCOL = f"""\
The bus carries one beat of {BUS} bits per clock, while the chip is idle: between a taken END or
CLEAR and the next command. An address counts beats. A word of a memory is `beats` beats, the least
significant at the lowest address; the next word begins `stride` addresses further. Write the beats
of a word in rising order: the word is stored with its last beat. A beat that is read comes in
`result` {timing.READ} clocks later; where there is no word, it is 0. Control registers hold their
value until they are written. Accesses while the chip is not idle do not happen.
"""


MAILBOX = f"""\
There every address above is one of a word of {BUS} bits, the byte address on AXI being four times
that, and these words follow. An access that is refused (SLVERR on AXI) does not happen: a memory
while a command waits or runs, a command without room, a result that is not there.
"""


def meaning_key(owner: str, field: Field) -> str:
    """Return the key of `field` in MEANING; memories of single lanes share theirs."""
    return f"{owner.rstrip('0123456789').rstrip('_')}.{field.name}"


def placed(fields: Iterable[Field]) -> Iterator[tuple[Field, int]]:
    """Yield every field with the bit at which it begins."""
    at = 0
    for field in fields:
        yield field, at
        at += field.fmt.width


def bits(fmt: Format, at: int) -> str:
    """Bit range of a field that begins at bit `at`, most significant first."""
    return f"{at + fmt.width - 1}:{at}" if fmt.width > 1 else f"{at}"


def kind(fmt: Format) -> str:
    """Name a format in words."""
    point = f", {fmt.frac} after the point" if fmt.frac else ""
    plural = "s" if fmt.width > 1 else ""
    return f"{'signed' if fmt.signed else 'unsigned'}, {fmt.width} bit{plural}{point}"


def word_layout(memory: Memory) -> list[str]:
    """Say where every field of a word of `memory` is, one line each."""
    lines = [
        f"bits {bits(field.fmt, at)}: {field.name} ({kind(field.fmt)})"
        for field, at in placed(memory.fields)
    ]
    if memory.lanes > 1:
        step = memory.width // memory.lanes
        lines.append(f"of lane 0; lane n begins at bit {step} * n, n up to {memory.lanes - 1}")
    return lines


def _table(head: tuple[str, ...], rows: Iterable[tuple[object, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "".join("| " + " | ".join(map(str, line)) + " |\n" for line in lines)


def _fields(owner: str, fields: Iterable[Field]) -> str:
    return _table(
        ("bits", "field", "format", "meaning"),
        (
            (
                bits(field.fmt, at),
                f"`{field.name}`",
                kind(field.fmt),
                MEANING[meaning_key(owner, field)],
            )
            for field, at in placed(fields)
        ),
    )


def _memory_map(image: Image) -> str:
    base, used = addresses(image.chip), contents(image)
    return _table(
        ("memory", "first address", "last address", "words", "in use", "bits", "beats", "stride"),
        (
            (
                f"`{m.name}`",
                f"0x{base[m.name]:x}",
                f"0x{base[m.name] + m.words * m.stride - 1:x}",
                m.words,
                len(used[m.name]),
                m.width,
                m.beats,
                m.stride,
            )
            for m in memories(image.chip)
            if not m.state
        ),
    )


def _words(chip: Chip) -> Iterator[str]:
    for memory in memories(chip):
        if not memory.state:
            yield f"### {memory.name}\n"
            yield _fields(memory.name, memory.fields)
            if memory.lanes > 1:
                yield (
                    f"The bits are those of lane 0; lane `n` of {memory.lanes} begins at bit "
                    f"{memory.width // memory.lanes} `n`.\n"
                )


def _stream(name: str, fields: Iterable[Field], ops: Iterable[ports.Command | ports.Result]) -> str:
    rows = ((int(op), op.name, OPERATIONS[f"{name}.{op.name}"]) for op in ops)
    return f"{_fields(name, fields)}\n{_table(('op', 'name', 'meaning'), rows)}"


def _mailbox(chip: Chip) -> Iterator[tuple[str, int, str]]:
    """Yield name, address and meaning of every word behind the memories."""
    at = mailbox.addresses(chip)
    for register, said in mailbox.MEANING.items():
        yield register.name.lower(), at[register.name.lower()], said
    for name, fields in (("command", ports.command(chip)), ("result", ports.result(chip))):
        beats = mailbox.payload(fields).beats
        yield name, at[name], f"{mailbox.WINDOWS[name]}; beats: {beats}"


def registers(image: Image) -> str:
    """Describe bus, registers, memories and streams of `image.chip` in Markdown."""
    chip, values = image.chip, controls(image)
    parts = [
        "# Registers and memories\n",
        f"Chip `{chip_digest(chip)[:16]}` with {chip.lanes} lanes, image `{digest(image)[:16]}`.\n",
        "## Host bus\n",
        _table(
            ("signal", "format", "meaning"),
            (
                (f"`{field.name}`", kind(field.fmt), MEANING[f"host.{field.name}"])
                for field in ports.host(chip)
            ),
        ),
        BUS_PROTOCOL,
        "## Control registers\n",
        _table(
            ("address", "register", "bits", "value for this image", "meaning"),
            (
                (
                    f"0x{addresses(chip)['control'] + n:x}",
                    f"`{field.name}`",
                    bits(field.fmt, 0),
                    values[field.name],
                    MEANING[f"control.{field.name}"],
                )
                for n, field in enumerate(control(chip))
            ),
        ),
        "## Memory map\n",
        _memory_map(image),
        "Words past those in use are never read.\n",
        "## Words\n",
        *_words(chip),
        "## Commands: stream `i`\n",
        _stream("i", ports.command(chip), ports.commands(chip)),
        "## Results: stream `o`\n",
        _stream("o", ports.result(chip), ports.Result),
        "## Probe: every lane\n",
        _fields("probe", ports.probe(chip)),
        "## Behind AXI4-Lite or a serial line\n",
        MAILBOX,
        _table(
            ("address", "byte address", "register", "meaning"),
            (
                (f"0x{at:x}", f"0x{4 * at:x}", f"`{name}`", said)
                for name, at, said in _mailbox(chip)
            ),
        ),
        "## Memories the host cannot reach\n",
        _table(
            ("memory", "words", "bits"),
            ((f"`{m.name}`", m.words, m.width) for m in memories(chip) if m.state),
        ),
    ]
    return "\n".join(parts)
