"""`ranvier check`: how well a file can be imported."""

from __future__ import annotations

import click

from ranvier.importing import config, findings_table, setting, source
from ranvier.options import as_json


@click.command(name="check")
@click.argument("file", type=click.Path())
@source
@setting
@config
@as_json
@click.pass_context
def command(
    context: click.Context,
    file: str,
    form: str,
    settings: tuple[str, ...],
    config: str | None,
    as_json: bool,
) -> None:
    """Say of every node of FILE whether it can be imported, and what differs.

    Exit status 0: all faithful, 1: some approximate, 2: some unsupported.
    """
    import json
    from dataclasses import asdict

    from model.importers import Verdict, import_network, read_settings

    imported = import_network(file, read_settings(file, config, settings), form)
    if as_json:
        click.echo(json.dumps([asdict(one) for one in imported.findings], indent=1))
    else:
        findings_table(imported.findings)
    context.exit(list(Verdict).index(imported.verdict))
