"""Networks of this project, as `model.save` writes them."""

from __future__ import annotations

import zipfile
from pathlib import Path

from model.archive import HEADER
from model.files import load
from model.importers.settings import Settings
from model.importers.verdict import Finding, Imported, Verdict


def recognizes(path: Path) -> bool:
    """Whether `path` looks like a file of `model.save`."""
    try:
        with zipfile.ZipFile(path) as file:
            return f"{HEADER}.npy" in file.namelist()
    except (OSError, zipfile.BadZipFile):
        return False


def read(path: Path, settings: Settings) -> Imported:
    """Read `path`; no setting is used."""
    network = load(path)
    nodes = (*network.populations, *network.projections)
    findings = tuple(Finding(node.name, Verdict.FAITHFUL, "as it was saved") for node in nodes)
    return Imported(network, findings)
