"""`ranvier report`: emulator against float network."""

from __future__ import annotations

import click

from ranvier.options import as_json, mhz, recordings

COMPARED = 256
"""Recordings of which every membrane is compared; the accuracy takes all of them."""


@click.command(name="report")
@click.argument("image", type=click.Path())
@click.argument("data", default="digits")
@click.option("--output", "-o", type=click.Path(), required=True, help="HTML page to write.")
@mhz
@recordings
@as_json
def command(
    image: str, data: str, output: str, mhz: float, recordings: int | None, as_json: bool
) -> None:
    """Compare IMAGE with its float network on DATA.

    Writes one self-contained HTML page, and its figures beside it as JSON.
    """
    from quant.activity import activity
    from quant.budget import budget
    from quant.compare import compare
    from quant.evaluate import evaluate
    from quant.findings import findings
    from quant.report import write_report
    from ranvier.progress import bar
    from ranvier.sources import (
        check_writable,
        for_image,
        labelled,
        open_curve,
        open_data,
        open_image,
        open_loss,
        open_network,
        show,
        some,
    )
    from ranvier.synthesis import results_for

    check_writable(output)
    chip_image, network, loss = open_image(image), open_network(image), open_loss(image)
    devices = results_for(image, chip_image.chip)
    counts = for_image(labelled(some(open_data(data), recordings), data), chip_image)
    with bar("classes") as progress:
        evaluation = evaluate(network, chip_image, counts.counts, counts.labels, progress)
    compared = some(counts, COMPARED)
    with bar("membranes") as progress:
        comparison = compare(network, chip_image, loss, compared.counts, progress=progress)
    with bar("cost") as progress:
        worked = activity(chip_image, compared.counts, progress)
    figures = findings(
        network,
        chip_image,
        loss,
        evaluation,
        comparison,
        counts.counts[0],
        title="-".join(str(p.size) for p in network.populations),
        provenance={**network.provenance, "data": data, "recordings of": counts.source},
        learning=open_curve(image),
        cost=budget(chip_image.chip, chip_image, worked, mhz),
        synthesis=devices,
    )
    for path in write_report(figures, output):
        click.echo(f"{path}: written", err=True)
    if as_json:
        show(figures)
