"""Options that several commands share."""

from __future__ import annotations

import click

as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON for machines.")
recordings = click.option(
    "--recordings",
    type=click.IntRange(min=1),
    help="Use so many recordings, spread evenly over the data set.  [default: all]",
)
seed = click.option(
    "--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of every draw."
)
