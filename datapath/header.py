"""A C header with the addresses of a chip and the beats that load an image."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from datapath import mailbox, ports
from datapath.chip import Chip
from datapath.contents import contents, controls
from datapath.files import digest
from datapath.image import Image
from datapath.memory import BUS, Field, Memory, addresses, bus_addresses, control, memories
from datapath.registers import placed
from datapath.schema import chip_digest

PREAMBLE = """\
/* Addresses and contents of a chip.  ranvier.c is a driver made of them.
 *
 * REGISTER, COMMAND and RESULT addresses are those of a chip behind AXI or a serial line.
 *
 * Load: for every run r of ranvier_runs, write r.data[w * r.beats + b] to the bus address
 * r.address + w * r.stride + b, for every word w in rising order and, within it, every beat b in
 * rising order.
 *
 * A field is at bits SHIFT to SHIFT + BITS - 1 of its word or payload, in two's complement if
 * SIGNED is 1; MASK is its largest bit pattern, not shifted. In a word of several lanes, add
 * lane * LANE_BITS to SHIFT.
 */
#ifndef RANVIER_IMAGE_H
#define RANVIER_IMAGE_H

#include <stdint.h>
"""

RUN = """\
struct ranvier_run {
    uint32_t address;
    uint32_t words;
    uint32_t beats;
    uint32_t stride;
    const uint32_t *data;
};
"""


def header(image: Image) -> str:
    """Write the C99 header of `image`.

    Raises
    ------
    ValueError
        The chip has more bus addresses than `uint32_t` has room for beside the registers.
    """
    chip = image.chip
    most = 1 << (BUS - 1)
    if bus_addresses(chip) > most:
        raise ValueError(
            f"the chip has {bus_addresses(chip)} bus addresses, and a C header of {BUS}-bit "
            f"addresses holds no more than {most} beside the registers; build fewer words or lanes"
        )
    lines = [
        PREAMBLE,
        f'#define RANVIER_CHIP_DIGEST "{chip_digest(chip)}"',
        f'#define RANVIER_IMAGE_DIGEST "{digest(image)}"',
        "",
        _define("LANES", chip.lanes),
        _define("CHANNELS", image.channels),
        _define("CLASSES", image.readout.size),
        _define("STEPS", image.steps),
        _define("DT_US", image.dt_us),
        _define("LEARNS", int(chip.learn is not None)),
        "",
        *_registers(chip),
        "",
        *_places(chip),
        "",
        *_streams(chip),
        "",
        *_runs(image),
        "",
        "#endif",
    ]
    return "\n".join(lines) + "\n"


def _define(name: str, value: int, *, base: str = "") -> str:
    return f"#define RANVIER_{name.upper()} {value:{base}}u"


def _fields(owner: str, fields: Iterable[Field]) -> Iterator[str]:
    for field, at in placed(fields):
        name = f"{owner}_{field.name}".upper()
        yield _define(f"{name}_SHIFT", at)
        yield _define(f"{name}_BITS", field.fmt.width)
        yield _define(f"{name}_SIGNED", int(field.fmt.signed))
        yield f"#define RANVIER_{name}_MASK UINT64_C({(1 << field.fmt.width) - 1:#x})"


def _registers(chip: Chip) -> Iterator[str]:
    """Yield what lies behind the memories, and what the registers that never change read."""
    at = mailbox.addresses(chip)
    for register in mailbox.Register:
        name = register.name.lower()
        yield _define(f"REGISTER_{name}_ADDRESS", at[name], base="#x")
    yield _define("MAGIC", mailbox.MAGIC, base="#x")
    yield _define("CHIP", mailbox.chip_word(chip), base="#x")
    yield _define("DEPTH", mailbox.DEPTH)
    for name, fields in (("command", ports.command(chip)), ("result", ports.result(chip))):
        yield _define(f"{name}_ADDRESS", at[name], base="#x")
        yield _define(f"{name}_BEATS", mailbox.payload(fields).beats)


def _places(chip: Chip) -> Iterator[str]:
    base = addresses(chip)
    for n, field in enumerate(control(chip)):
        yield _define(f"CONTROL_{field.name}_ADDRESS", base["control"] + n, base="#x")
    for memory in memories(chip):
        if not memory.state:
            yield ""
            yield _define(f"{memory.name}_ADDRESS", base[memory.name], base="#x")
            yield _define(f"{memory.name}_WORDS", memory.words)
            yield _define(f"{memory.name}_BEATS", memory.beats)
            yield _define(f"{memory.name}_STRIDE", memory.stride)
            yield _define(f"{memory.name}_LANE_BITS", memory.width // memory.lanes)
            yield from _fields(memory.name, memory.fields)


def _streams(chip: Chip) -> Iterator[str]:
    for name, fields, ops in (
        ("COMMAND", ports.command(chip), ports.Command),
        ("RESULT", ports.result(chip), ports.Result),
    ):
        for op in ops:
            yield _define(f"{name}_{op.name}", op)
        yield from _fields(name, fields)


def _array(name: str, beats: list[int]) -> Iterator[str]:
    yield f"static const uint32_t ranvier_{name}[{len(beats)}] = {{"
    for at in range(0, len(beats), 8):
        yield "    " + " ".join(f"{beat:#010x}u," for beat in beats[at : at + 8])
    yield "};"


def _runs(image: Image) -> Iterator[str]:
    base, values = addresses(image.chip), controls(image)
    beats = [values[field.name] for field in control(image.chip)]
    yield from _array("control", beats)
    runs = [(f"{base['control']:#x}u", f"{len(beats)}u", "1u", "1u", "ranvier_control")]
    packed = contents(image)
    for memory in memories(image.chip):
        # ISO C has no empty arrays.
        if not memory.state and len(packed[memory.name]):
            yield from _array(memory.name, packed[memory.name].ravel().tolist())
            runs.append(_run(memory, base[memory.name], len(packed[memory.name])))
    yield ""
    yield RUN
    yield f"#define RANVIER_RUNS {len(runs)}u"
    yield f"static const struct ranvier_run ranvier_runs[{len(runs)}] = {{"
    for run in runs:
        yield f"    {{{', '.join(run)}}},"
    yield "};"


def _run(memory: Memory, base: int, words: int) -> tuple[str, str, str, str, str]:
    return (
        f"{base:#x}u",
        f"{words}u",
        f"{memory.beats}u",
        f"{memory.stride}u",
        f"ranvier_{memory.name}",
    )
