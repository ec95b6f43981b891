"""`ranvier import`: a network trained elsewhere."""

from __future__ import annotations

import click

from ranvier.importing import config, findings_table, setting, source
from ranvier.options import as_json


@click.command(name="import")
@click.argument("file", type=click.Path())
@click.option("--output", "-o", type=click.Path(), required=True, help="Network to write: X.npz.")
@source
@setting
@config
@as_json
def command(
    file: str, output: str, form: str, settings: tuple[str, ...], config: str | None, as_json: bool
) -> None:
    """Read FILE, a network of another tool, and write it as a network of ranvier.

    What became of every node is said; nothing is written if one of them cannot be imported.
    """
    import json
    from dataclasses import asdict

    import model
    from model.importers import import_network, read_settings
    from ranvier.sources import check_writable

    check_writable(output)
    imported = import_network(file, read_settings(file, config, settings), form)
    if as_json:
        click.echo(json.dumps([asdict(one) for one in imported.findings], indent=1))
    else:
        findings_table(imported.findings)
    if imported.network is None:
        first = next(one for one in imported.findings if one.verdict == imported.verdict)
        raise ValueError(f"{file}: {first.node}: {first.reason}; nothing was written")
    model.save(imported.network, output)
    click.echo(f"{output}: written", err=True)
