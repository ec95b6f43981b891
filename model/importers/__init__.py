"""Networks trained elsewhere, read as `model.Network`, with a verdict on every node.

One module per format, each with

    recognizes(path: Path) -> bool          looks at the file without trusting it
    read(path: Path, settings: Settings) -> Imported

`read` raises ValueError, naming the file, for a damaged or hostile file and for a missing setting;
what the file asks for and no network can do is a finding, not an error.
"""

from __future__ import annotations

import hashlib
import importlib
import os
from dataclasses import replace
from pathlib import Path
from typing import Protocol, cast

from model.importers.settings import Scheme, Settings, read_settings
from model.importers.verdict import Finding, Imported, Verdict

__all__ = [
    "FORMATS",
    "Finding",
    "Imported",
    "Scheme",
    "Settings",
    "Verdict",
    "import_network",
    "read_settings",
]

FORMATS: dict[str, str] = {
    "npz": "a network of ranvier",
    "nir": "a NIR graph",
    "mlgenn": "a folder of checkpoints of mlGeNN",
    "netx": "a network of lava-dl",
    "snntorch": "a state dict or module of snnTorch",
    "delgrad": "a module of DelGrad",
    "dcls": "a state dict of SNN-delays",
    "delrec": "a state dict of DelRec",
    "axden": "a state dict with axonal or dendritic delays",
}
"""Name of every module, and what it reads; tried in this order."""

SUFFIXES = {".npz": "npz", ".nir": "nir", ".net": "netx", ".pt": "snntorch", ".pth": "snntorch"}
"""Whose reader says why a file that nobody recognizes cannot be read, by the end of its name."""


class Format(Protocol):
    """What the module of a format has."""

    def recognizes(self, path: Path) -> bool:
        """Whether `path` looks like a file of this format."""

    def read(self, path: Path, settings: Settings) -> Imported:
        """Read `path`."""


def _module(name: str) -> Format:
    return cast(Format, importlib.import_module(f"model.importers.{name}"))


def import_network(
    path: str | os.PathLike[str], settings: Settings, source: str = "auto"
) -> Imported:
    """Read a network that was trained elsewhere.

    Parameters
    ----------
    source : a name of `FORMATS`, or "auto" to look at the file.

    Returns
    -------
    Imported
        Its network says in its provenance where it comes from: name and SHA-256 of the file, the
        format, and every setting in use.

    Raises
    ------
    ValueError
        No format is recognized, the file is damaged, or a setting is missing, wrong or not used.
    OSError
        The file cannot be read.
    """
    file = Path(path)
    if not file.exists():
        raise FileNotFoundError(2, "there is no such file", str(path))
    if not (file.is_file() or file.is_dir()):
        raise ValueError(f"{path}: is neither a file nor a folder")
    name = _recognized(file) if source == "auto" else source
    if name not in FORMATS:
        raise ValueError(f"{path}: the format must be one of {', '.join(FORMATS)}, not {name!r}")
    try:
        imported = _module(name).read(file, settings)
    except ValueError as error:
        # A network's own sentences name population, field and value, but not the file.
        named = str(error).startswith((str(path), str(settings.source)))
        raise ValueError(str(error) if named else f"{path}: {error}") from None
    if imported.network is None:
        # Whoever gave up early has not asked for all settings.
        return imported
    settings.check_used(name)
    provenance = {
        **imported.network.provenance,
        "import.format": name,
        "import.file": file.name,
        "import.sha256": _digest(file),
        **{f"import.{key}": value for key, value in settings.values.items()},
    }
    network = replace(imported.network, provenance=provenance)
    return replace(imported, network=network)


def _recognized(path: Path) -> str:
    for name in FORMATS:
        if _module(name).recognizes(path):
            return name
    if path.suffix in SUFFIXES and path.is_file():
        # Its reader says what is wrong with it.
        return SUFFIXES[path.suffix]
    raise ValueError(
        f"{path}: is in no format that is recognized; name one with --from: {', '.join(FORMATS)}"
    )


def _digest(path: Path) -> str:
    """SHA-256 of a file, or of the names and contents of a folder's files."""
    sha = hashlib.sha256()
    for file in sorted(path.iterdir()) if path.is_dir() else [path]:
        if path.is_dir():
            sha.update(file.name.encode() + b"\0")
        if file.is_file():
            with file.open("rb") as stream:
                while block := stream.read(1 << 20):
                    sha.update(block)
    return sha.hexdigest()
