"""JSON from strangers, and a chip as JSON: every key present, none unknown, every type exact."""

from __future__ import annotations

import difflib
import hashlib
import json
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, NoReturn, cast, get_type_hints

from datapath.chip import Chip, Current, Learn, Lif, Overflow, choice
from datapath.format import Format

SCHEMA = 1
"""Version of every JSON file written here."""

LONGEST = 16 * 2**20
"""No JSON file has more bytes than this."""

LATER: dict[type, dict[str, object]] = {
    Chip: {"current": None},
    Lif: {"overflow": Overflow.SATURATE},
}
"""Parameters that chips once did not have, and what those chips were.

Where it is still that, it is not written, so that an older chip keeps its file and its digest.
"""

WORDS = {
    dict: "an object",
    list: "a list",
    str: "text",
    int: "a whole number",
    bool: "true or false",
}


def shown(value: object) -> str:
    """`value` as JSON, short enough for a sentence."""
    if isinstance(value, dict | list):
        return WORDS[type(value)]
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:60]}..."


def parse(data: bytes, where: str) -> object:
    """Read one JSON file; `where` begins the sentence of every refusal.

    Raises
    ------
    ValueError
        Not JSON, too long, too deep, a key twice, or a number that is not finite.
    """
    if len(data) > LONGEST:
        raise ValueError(f"{where}: has {len(data)} bytes, and the limit is {LONGEST}")

    def unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
        found: dict[str, object] = {}
        for key, value in pairs:
            if key in found:
                raise ValueError(f"the key {shown(key)} is there twice")
            found[key] = value
        return found

    def refuse(word: str) -> NoReturn:
        raise ValueError(f"{word} is not a number")

    try:
        value: object = json.loads(data.decode(), object_pairs_hook=unique, parse_constant=refuse)
    except RecursionError:
        raise ValueError(f"{where}: is nested too deeply to be one of ours") from None
    except ValueError as error:
        raise ValueError(f"{where}: is not valid JSON ({error}); export it again") from None
    return value


def typed(value: object, kind: type, where: str) -> Any:
    """Return `value` if its type is exactly `kind`; true is no number."""
    if type(value) is not kind:
        raise ValueError(f"{where} must be {WORDS[kind]}, not {shown(value)}")
    return value


def members(value: object, keys: Mapping[str, type], where: str) -> dict[str, Any]:
    """Return the object `value` if it has exactly the `keys`, with exactly these types.

    where : what the object is called, "" for the whole file.
    """
    found: dict[str, Any] = typed(value, dict, where or "the file")
    dot = f"{where}." if where else ""
    for key in found:
        if key not in keys:
            near = difflib.get_close_matches(key[:60], keys, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(keys)}"
            raise ValueError(f"{dot}{shown(key)[1:-1]} is not a field that is known; {hint}")
    for key, kind in keys.items():
        if key not in found:
            raise ValueError(f"{dot}{key} is missing; add it or export the file again")
        if kind is not object:
            typed(found[key], kind, f"{dot}{key}")
    return found


def versioned(value: object, keys: Mapping[str, type]) -> dict[str, Any]:
    """Return the file `value` if its `schema` is ours and it has exactly the `keys` beside it."""
    # The version first: the fields of another one would be reported as unknown.
    found = typed(value, dict, "the file").get("schema")
    if typed(found, int, "schema") != SCHEMA:
        raise ValueError(
            f"schema must be {SCHEMA}, not {shown(found)}; "
            "read the file with the release that wrote it"
        )
    return members(value, {"schema": int, **keys}, "")


def readable(document: object) -> bytes:
    """Write `document` for people: two spaces, ASCII, keys as given."""
    return (json.dumps(document, indent=2, allow_nan=False) + "\n").encode()


def canonical(document: object) -> bytes:
    """Write `document` for hashing: keys sorted, no spaces, ASCII."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def _plain(value: Any, kind: Any) -> Any:
    if kind is Format:
        return {"width": int(value.width), "frac": int(value.frac), "signed": bool(value.signed)}
    if kind in (int, bool):
        return kind(value)
    for block in (Current, Learn):
        if kind == block | None:
            return None if value is None else _plain(value, block)
    if issubclass(kind, StrEnum):
        return str(value)
    hints, later = get_type_hints(kind), LATER.get(kind, {})
    values = {name: getattr(value, name) for name in hints}
    kept = (n for n in hints if n not in later or values[n] != later[n])
    return {name: _plain(values[name], hints[name]) for name in kept}


def _built(value: object, kind: Any, where: str) -> Any:
    dot = f"{where}." if where else ""
    if kind is Format:
        found = members(value, {"width": int, "frac": int, "signed": bool}, where)
        try:
            return Format(found["width"], found["frac"], signed=found["signed"])
        except ValueError as error:
            raise ValueError(f"{dot}{error}") from None
    if kind in (int, bool):
        return typed(value, kind, where)
    for block in (Current, Learn):
        if kind == block | None:
            return None if value is None else _built(value, block, where)
    if issubclass(kind, StrEnum):
        return choice(where, typed(value, str, where), kind)
    hints = get_type_hints(kind)
    was = {n: None if x is None else str(x) for n, x in LATER.get(kind, {}).items()}
    given = typed(value, dict, where or "the file")
    found = members({**was, **given}, dict.fromkeys(hints, object), where)
    return kind(**{name: _built(found[name], hints[name], dot + name) for name in hints})


def chip_to_json(chip: Chip) -> dict[str, Any]:
    """Every parameter of `chip`, nested by block; a Format is its width, frac and signed."""
    return cast(dict[str, Any], _plain(chip, Chip))


def chip_from_json(document: object) -> Chip:
    """Build the chip that `chip_to_json` wrote.

    Raises
    ------
    ValueError
        A field is missing, unknown, of another type, or out of range; it is named.
    """
    return cast(Chip, _built(document, Chip, ""))


def chip_digest(chip: Chip) -> str:
    """SHA-256 of every parameter of `chip`, in hexadecimal."""
    return hashlib.sha256(canonical(chip_to_json(chip))).hexdigest()
