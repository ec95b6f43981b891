"""`ranvier export-nir`: a network for other tools."""

from __future__ import annotations

import click


@click.command(name="export-nir")
@click.argument("network")
@click.argument("file", type=click.Path())
def command(network: str, file: str) -> None:
    """Write NETWORK, a float network, into FILE, a NIR graph that other tools read.

    Delays on one side of weights become Delay nodes; those of single weights, for which NIR has no
    node, lie in metadata. `ranvier import` gives the identical network back.
    """
    from model.exporters import write_nir
    from ranvier.sources import check_writable, open_network

    check_writable(file)
    write_nir(open_network(network), file)
    click.echo(f"{file}: written", err=True)
