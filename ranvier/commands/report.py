"""`ranvier report`: emulator against float network."""

from __future__ import annotations

import click

from ranvier.options import as_json, recordings


@click.command(name="report")
@click.argument("image", type=click.Path())
@click.argument("data", default="digits")
@click.option("--output", "-o", type=click.Path(), required=True, help="HTML page to write.")
@recordings
@as_json
def command(image: str, data: str, output: str, recordings: int | None, as_json: bool) -> None:
    """Compare IMAGE with its float network on DATA, and write one self-contained HTML page."""
    from quant.report import figures, page, report
    from ranvier.progress import bar
    from ranvier.sources import (
        check_writable,
        for_image,
        labelled,
        open_data,
        open_image,
        open_loss,
        open_network,
        show,
        some,
        write,
    )

    check_writable(output)
    chip_image, network, loss = open_image(image), open_network(image), open_loss(image)
    given = labelled(some(open_data(data), recordings), data)
    counts = for_image(given, chip_image)
    with bar("float and chip") as progress:
        made = report(
            network,
            chip_image,
            loss,
            counts.counts,
            counts.labels,
            source=f"{len(counts)} of {data}: {counts.source}",
            progress=progress,
        )
    write(output, page(made))
    if as_json:
        show(figures(made))
    click.echo(f"{output}: written", err=True)
