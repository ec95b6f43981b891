"""Named files with a manifest, in a folder or in one zip file: written whole or not at all."""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import stat
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from datapath.schema import SCHEMA, members, parse, readable, versioned
from datapath.zipped import LARGEST_FILES, MOST_FILES, plain_name, unzipped, zipped

SUFFIX = ".ranvier"
"""Ending of a path that is one zip file; any other path is a folder."""

MANIFEST = "manifest.json"


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _whole_digest(entries: Mapping[str, Mapping[str, Any]]) -> str:
    lines = (f"{entries[name]['sha256']} {entries[name]['bytes']} {name}\n" for name in entries)
    return _sha256("".join(sorted(lines)).encode())


def _manifest(files: Mapping[str, bytes]) -> bytes:
    entries = {name: {"bytes": len(data), "sha256": _sha256(data)} for name, data in files.items()}
    return readable({"schema": SCHEMA, "files": entries, "digest": _whole_digest(entries)})


def _entries(manifest: bytes, where: str) -> dict[str, dict[str, Any]]:
    """Read a manifest: bytes and sha256 of every file by its name."""
    document = parse(manifest, where)
    try:
        found = versioned(document, {"files": dict, "digest": str})
        entries: dict[str, dict[str, Any]] = found["files"]
        for name, entry in entries.items():
            plain_name(name)
            members(entry, {"bytes": int, "sha256": str}, f"files.{name}")
            if not 0 <= entry["bytes"] <= LARGEST_FILES:
                raise ValueError(f"files.{name}.bytes must be between 0 and {LARGEST_FILES}")
        if len({name.lower() for name in (*entries, MANIFEST)}) <= len(entries):
            raise ValueError("files names two files that differ in nothing but case")
        if found["digest"] != _whole_digest(entries):
            raise ValueError("digest is not that of the files it lists; export the files again")
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None
    return entries


def _matching(files: Mapping[str, bytes], entries: Mapping[str, Any], where: str) -> None:
    for name, entry in entries.items():
        if len(files[name]) != entry["bytes"]:
            raise ValueError(
                f"{where}: {name} has {len(files[name])} bytes, and {MANIFEST} says "
                f"{entry['bytes']}; copy or export it again"
            )
        if _sha256(files[name]) != entry["sha256"]:
            raise ValueError(
                f"{where}: {name} has the SHA-256 {_sha256(files[name])[:12]}..., and {MANIFEST} "
                f"says {entry['sha256'][:12]!r}...; it was changed, export it again"
            )


def read(path: str | os.PathLike[str]) -> dict[str, bytes]:
    """Read every file that the manifest in `path` lists, and check it.

    Raises
    ------
    OSError
        Something is missing or cannot be read.
    ValueError
        Something is damaged, not listed (in a zip file), a link, too large, or not ours.
    """
    where = Path(path)
    try:
        return _read_folder(where) if where.is_dir() else _read_zip(where)
    except OSError as error:
        if error.errno is None:
            raise
        raise type(error)(f"{error.filename or where}: cannot be read: {error.strerror}") from None


def read_file(path: str | os.PathLike[str]) -> bytes:
    """Read one plain file.

    Raises
    ------
    OSError, ValueError
        It is missing, cannot be read, is no plain file, or is too large.
    """
    try:
        # The path itself may be a link; what lies in a folder may not.
        return _contents(Path(os.path.realpath(path)), 2 * LARGEST_FILES)
    except OSError as error:
        raise type(error)(f"{path}: cannot be read: {error.strerror}") from None


def _read_zip(path: Path) -> dict[str, bytes]:
    files = unzipped(read_file(path), str(path))
    if MANIFEST not in files:
        raise ValueError(f"{path}: has no {MANIFEST}, so it is not one of ours; export it again")
    entries = _entries(files.pop(MANIFEST), f"{path}: {MANIFEST}")
    for name in entries.keys() ^ files.keys():
        what = "lists no" if name in files else "lists a missing"
        raise ValueError(f"{path}: {MANIFEST} {what} {name}; copy or export it again")
    _matching(files, entries, str(path))
    return files


def _read_folder(path: Path) -> dict[str, bytes]:
    if not (path / MANIFEST).exists():
        raise FileNotFoundError(f"{path}: has no {MANIFEST}, so it is not an export; export again")
    entries = _entries(_contents(path / MANIFEST, LARGEST_FILES), f"{path / MANIFEST}")
    if sum(entry["bytes"] for entry in entries.values()) > LARGEST_FILES:
        raise ValueError(f"{path / MANIFEST}: lists more than {LARGEST_FILES} bytes in all")
    files = {name: _contents(path / name, entry["bytes"]) for name, entry in entries.items()}
    _matching(files, entries, str(path))
    return files


def _plain(path: str, flags: int) -> int:
    # Should a link or a pipe have taken the place of the file by now: fail, do not wait.
    return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))


def _contents(path: Path, most: int) -> bytes:
    """Bytes of the plain file `path`, which is no link and has at most `most` bytes."""
    if not stat.S_ISREG(path.lstat().st_mode):
        raise ValueError(f"{path}: is not a plain file; replace it or export it again")
    with open(path, "rb", opener=_plain) as file:
        size = os.fstat(file.fileno()).st_size
        if size > most:
            raise ValueError(
                f"{path}: has {size} bytes, more than the {most} expected; copy or export it again"
            )
        return file.read(size)


def write(path: str | os.PathLike[str], files: Mapping[str, bytes]) -> None:
    """Write `files` and their manifest to `path`: one zip file (`*.ranvier`) or a folder.

    What was there is replaced in one step once everything is on disk; until then, and after any
    error, it is untouched. A folder is replaced only if it is empty or all its files are listed in
    a manifest of ours.

    Raises
    ------
    OSError
        The parent folder is missing or cannot be written, or the path is taken.
    ValueError
        A file has no plain name, two have the same, or they are too large.
    """
    where = Path(path)
    seen = {MANIFEST}
    for name in files:
        plain_name(name)
        if name.lower() in seen:
            raise ValueError(f"{where}: there would be two files called {name}; rename one")
        seen.add(name.lower())
    files = dict(sorted(files.items()))
    everything = {MANIFEST: _manifest(files), **files}
    total = sum(map(len, everything.values()))
    if total > LARGEST_FILES or len(everything) > MOST_FILES:
        raise ValueError(
            f"{where}: {len(everything)} files of {total} bytes are too many; the limits are "
            f"{MOST_FILES} files and {LARGEST_FILES} bytes"
        )
    try:
        target = Path(os.path.realpath(where))
        if where.name.endswith(SUFFIX):
            _write_zip(target, everything)
        else:
            _write_folder(target, everything)
    except OSError as error:
        if error.errno is None:
            raise
        raise type(error)(
            f"{where}: cannot be written: {error.strerror}; choose a folder that is there, that "
            "you may write to and that has room"
        ) from None


def _sibling(target: Path, what: str) -> Path:
    return target.with_name(f".{target.name[:100]}.{secrets.token_hex(8)}.{what}")


def _put(path: Path, data: bytes) -> None:
    with path.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _settle(folder: Path) -> None:
    """Put the names in `folder` on disk, where the system can do that."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _keep_mode(target: Path, part: Path) -> None:
    if target.exists():
        shutil.copymode(target, part)


def _write_zip(target: Path, files: Mapping[str, bytes]) -> None:
    if target.is_dir():
        raise IsADirectoryError(f"{target}: is a folder; remove it or choose another name")
    part = _sibling(target, "part")
    try:
        _put(part, zipped(files, deflate=True))
        _keep_mode(target, part)
        part.replace(target)
    finally:
        with suppress(OSError):
            part.unlink()
    _settle(target.parent)


def _write_folder(target: Path, files: Mapping[str, bytes]) -> None:
    _replaceable(target)
    part, old = _sibling(target, "part"), _sibling(target, "old")
    try:
        part.mkdir()
        for name, data in files.items():
            _put(part / name, data)
        _settle(part)
        _keep_mode(target, part)
        _swap(part, target, old)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    _settle(target.parent)
    shutil.rmtree(old, ignore_errors=True)


def _swap(part: Path, target: Path, old: Path) -> None:
    if not target.exists():
        part.rename(target)
        return
    target.rename(old)
    try:
        part.rename(target)
    except BaseException:
        old.rename(target)
        raise


def _replaceable(target: Path) -> None:
    """Refuse to replace anything but an empty folder or a folder we wrote."""
    if not target.exists():
        return
    if not target.is_dir():
        raise NotADirectoryError(
            f"{target}: is a file; choose a folder, or a name that ends in {SUFFIX}"
        )
    there = sorted(target.iterdir())
    if not there:
        return
    if target / MANIFEST not in there:
        raise FileExistsError(
            f"{target}: is a folder with other files (no {MANIFEST}); choose another name"
        )
    try:
        listed = _entries(_contents(target / MANIFEST, LARGEST_FILES), MANIFEST).keys()
    except ValueError:
        raise FileExistsError(
            f"{target}: has a {MANIFEST} that is not ours or damaged; remove the folder or choose "
            "another name"
        ) from None
    ours = {*listed, MANIFEST}
    for entry in there:
        if entry.name not in ours or (entry.is_dir() and not entry.is_symlink()):
            raise FileExistsError(
                f"{target}: {entry.name!r} is not part of the export there; move it away or choose "
                "another folder"
            )
