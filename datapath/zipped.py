"""Zip files in memory: the same bytes for the same content, and limits on what strangers send."""

from __future__ import annotations

import io
import re
import struct
import zipfile
import zlib
from collections.abc import Mapping

LARGEST_FILES = 2**28
"""All files of one zip file together have at most this many bytes."""

MOST_FILES = 2**14
"""One zip file has at most this many files."""

MODEST = 16 * 2**20
RATIO = 200
"""Past `MODEST` bytes, content has at most this many bytes for each byte of the zip file."""

NAME = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,98}[A-Za-z0-9_])?")
"""What a file may be called: one plain name on every system, no path."""

_END = struct.Struct("<4s4H2LH")
_LONGEST_DIRECTORY = MOST_FILES * (46 + 100)
_BROKEN = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    OSError,
    OverflowError,
    RuntimeError,
    ValueError,
)


def plain_name(name: str) -> None:
    """Refuse a file name that is not one plain name."""
    if not NAME.fullmatch(name):
        raise ValueError(
            f"a file may not be called {name[:100]!r}: at most 100 letters, digits, '_', '-' and "
            "'.', beginning and ending with a letter, a digit or '_'"
        )


def zipped(files: Mapping[str, bytes], *, deflate: bool) -> bytes:
    """Zip `files` in the order given, with a fixed date, so that equal content is equal bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in files.items():
            info = zipfile.ZipInfo(name)  # dated 1980-01-01
            info.create_system = 3
            info.external_attr = 0o100644 << 16
            # What shrinks like a zip bomb is stored, because `unzipped` would refuse it.
            shrunk = len(zlib.compress(data)) if deflate else 0
            small = bool(shrunk) and len(data) <= RATIO * shrunk
            info.compress_type = zipfile.ZIP_DEFLATED if small else zipfile.ZIP_STORED
            archive.writestr(info, data)
    return buffer.getvalue()


def unzipped(data: bytes, where: str) -> dict[str, bytes]:
    """Read every file of a zip file; `where` begins the sentence of every refusal.

    All declared sizes are checked before anything is decompressed.

    Raises
    ------
    ValueError
        Not a zip file, damaged, encrypted, too large, too many files, or a name that is a path or
        there twice.
    """
    end = _END.unpack(data[-_END.size :]) if len(data) >= _END.size else (b"",)
    large = data[-_END.size - 20 :].startswith(b"PK\6\7")
    if end[0] != b"PK\5\6" or end[-1] != 0 or large:
        raise ValueError(
            f"{where}: does not end like one of our zip files; it is cut short or something else, "
            "copy or export it again"
        )
    if end[4] > MOST_FILES or end[5] > _LONGEST_DIRECTORY:
        raise ValueError(f"{where}: lists {end[4]} files, and the limit is {MOST_FILES}")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            _check(archive.infolist(), len(data))
            return {info.filename: _file(archive, info) for info in archive.infolist()}
    except _BROKEN as error:
        # The library quotes whole stretches of a damaged file.
        raise ValueError(f"{where}: {str(error)[:300]}; copy or export it again") from None


def _check(infos: list[zipfile.ZipInfo], size: int) -> None:
    seen: set[str] = set()
    total = 0
    for info in infos:
        plain_name(info.orig_filename)
        if info.filename.lower() in seen:
            raise ValueError(f"there are two files called {info.filename}")
        seen.add(info.filename.lower())
        if info.flag_bits & 1:
            raise ValueError(f"{info.filename} is encrypted")
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ValueError(f"{info.filename} has the unknown compression {info.compress_type}")
        total += info.file_size
    if total > LARGEST_FILES:
        raise ValueError(f"its files have {total} bytes, and the limit is {LARGEST_FILES}")
    if total > MODEST and total > RATIO * size:
        raise ValueError(
            f"its files have {total} bytes, more than {RATIO} for each of its {size} bytes"
        )


def _file(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    with archive.open(info) as file:
        data = file.read(info.file_size)
    if len(data) != info.file_size:
        raise ValueError(f"{info.filename} has {len(data)} bytes and not {info.file_size}")
    return data
