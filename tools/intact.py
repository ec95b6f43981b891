"""Exit with 1 unless every locked package is here in its version, with every file it came with."""

import csv
import os
import re
import sys
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

LOCK = Path(__file__).parents[1] / "requirements.lock"


def intact(name: str, version: str) -> bool:
    """Whether package `name` is installed in `version` and none of its files has gone."""
    try:
        package = distribution(name)
    except PackageNotFoundError:
        return False
    record = package.read_text("RECORD")
    if package.version != version or record is None:
        return False
    site = package.locate_file("")
    files = (row[0] for row in csv.reader(record.splitlines()))
    return all(os.path.exists(f"{site}/{file}") for file in files if not file.endswith(".pyc"))


# A pin with a marker is for some machines only.
pins = re.findall(r"^([\w.-]+)==(\S+) \\$", LOCK.read_text(), re.MULTILINE)
sys.exit(not pins or not all(intact(name, version) for name, version in pins))
