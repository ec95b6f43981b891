"""What `ranvier import` and `ranvier check` have in common."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from model.importers import Finding


def _known(ctx: click.Context, parameter: click.Parameter, value: str) -> str:
    from model.importers import FORMATS

    if value not in ("auto", *FORMATS):
        raise click.BadParameter(f"must be auto or one of {', '.join(FORMATS)}, not {value!r}")
    return value


source = click.option(
    "--from", "form", default="auto", show_default=True, callback=_known, help="Format of FILE."
)
setting = click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="NAME=VALUE",
    help="Something that is not in FILE, such as dt_ms=1; repeatable.",
)
config = click.option("--config", type=click.Path(), help="TOML file of such settings.")


def findings_table(findings: Iterable[Finding]) -> None:
    """Print one line per finding."""
    from rich.console import Console
    from rich.table import Table

    table = Table("node", "verdict", "reason")
    for one in findings:
        table.add_row(one.node, str(one.verdict), one.reason)
    Console().print(table)
