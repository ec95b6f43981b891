"""An image for people who build hardware: memories, register map, C header, Verilog."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

import numpy as np

from datapath.archive import write
from datapath.contents import contents
from datapath.files import image_files
from datapath.header import header
from datapath.image import Image
from datapath.memory import BUS, Beats, Memory, memories
from datapath.registers import registers, word_layout

HEADER, REGISTERS, VERILOG = "ranvier_image.h", "registers.md", "chip.v"


def export(
    image: Image,
    folder: str | os.PathLike[str],
    *,
    verilog: str | None,
    extras: Mapping[str, bytes] = {},
) -> None:
    """Write everything about `image` into `folder`; `datapath.files.load` reads it back.

    `chip.json`, `image.npz`, one `<memory>.mem` per memory that the host loads, `registers.md`,
    `ranvier_image.h`, `chip.v` if there is `verilog`, the `extras` by name, and `manifest.json`.

    Raises
    ------
    ValueError, OSError
        As `datapath.files.save`.
    """
    files = image_files(image)
    packed = contents(image)
    for memory in memories(image.chip):
        if not memory.state:
            files[f"{memory.name}.mem"] = mem(memory, packed[memory.name]).encode()
    files[REGISTERS] = registers(image).encode()
    files[HEADER] = header(image).encode()
    if verilog is not None:
        files[VERILOG] = verilog.encode()
    for name in extras:
        if name in files:
            raise ValueError(
                f"{folder}: {name} is part of the export; call the extra file something else"
            )
    write(folder, {**files, **extras})


def _digits(memory: Memory) -> int:
    return -(-memory.width // 4)


def mem(memory: Memory, beats: Beats) -> str:
    """Write the words in use of `memory` as a `$readmemh` file, one word per line."""
    digits = _digits(memory)
    size = f"{memory.words} words of {memory.width} bits, the first {len(beats)} in use"
    lines = [
        f"// {memory.name}: {size}",
        *(f"// {line}" for line in word_layout(memory)),
        # An address says that fewer words than the memory has are meant.
        "@0",
        *("".join(f"{beat:08x}" for beat in word[::-1])[-digits:] for word in beats.tolist()),
    ]
    return "\n".join(lines) + "\n"


def load_mem(text: str, memory: Memory) -> Beats:
    """Read what `mem` wrote: uint32[words, beats], least significant first.

    Raises
    ------
    ValueError
        A line that is no word of `memory`, or more words than it has; the line is named.
    """
    digits = _digits(memory)
    word = re.compile(f"[0-9a-fA-F]{{{digits}}}")
    values: list[int] = []
    for number, line in enumerate(text.splitlines(), 1):
        where = f"{memory.name}.mem line {number}"
        code = line.partition("//")[0].strip()
        if not code or (code == "@0" and not values):
            continue
        if not word.fullmatch(code):
            raise ValueError(
                f"{where}: {code[:60]!r} is not a word of {digits} hexadecimal digits; "
                "export it again"
            )
        value = int(code, 16)
        if value >> memory.width:
            raise ValueError(f"{where}: {code[:60]} does not fit {memory.width} bits")
        if len(values) == memory.words:
            raise ValueError(f"{where}: the memory has {memory.words} words and no more")
        values.append(value)
    size = memory.beats * BUS // 8
    data = b"".join(value.to_bytes(size, "little") for value in values)
    return np.frombuffer(data, "<u4").astype(np.uint32).reshape(len(values), memory.beats)
