"""`ranvier experiment`: a plan of many trainings."""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

import click

from ranvier.options import as_json

if TYPE_CHECKING:
    from ranvier.experiment import Job


@click.command(name="experiment")
@click.argument("plan")
@click.option("--output", "-o", required=True, help="Folder of results; continued if it is there.")
@click.option(
    "--jobs",
    type=click.IntRange(min=1),
    default=os.cpu_count() or 1,
    help="Trainings side by side on this machine.  [default: one per core]",
)
@click.option("--scheduler", help="Address of a Dask scheduler, as tcp://host:8786.")
@as_json
def command(plan: str, output: str, jobs: int, scheduler: str | None, as_json: bool) -> None:
    """Run the trainings of PLAN, a TOML file, and map each network onto a chip.

    Every training that has ended adds a line to OUTPUT/rows.jsonl, and its network to
    OUTPUT/networks.
    """
    from ranvier.experiment import Results, read_plan, run_plan
    from ranvier.progress import bar
    from ranvier.sources import show

    try:
        import_module("distributed")
    except ModuleNotFoundError:
        raise ValueError(
            "experiments need Dask: install it, as by pip install 'ranvier[dask]'"
        ) from None
    todo = read_plan(plan)
    results = Results(output)
    ended = sum(job.identity in results.rows for job in todo)
    if ended:
        click.echo(f"{ended} of {len(todo)} trainings are in {output} already", err=True)

    with bar("trainings") as advance:
        advance(ended, len(todo))

        def progress(job: Job, row: Mapping[str, Any] | str) -> None:
            click.echo(said(job, row), err=True)
            advance(sum(job.identity in results.rows for job in todo), len(todo))

        try:
            failed = run_plan(todo, results, workers=jobs, scheduler=scheduler, progress=progress)
        except KeyboardInterrupt:
            raise click.ClickException(f"stopped; the same command continues {output}") from None
    if as_json:
        show([results.rows[job.identity] for job in todo if job.identity in results.rows])
    if failed:
        raise ValueError(f"{plan}: {failed} of {len(todo)} trainings failed, as said above")


def said(job: Job, row: Mapping[str, Any] | str) -> str:
    """Say in a line what a training has brought."""
    who = f"{job.trial.name}, seed {job.trial.seed}"
    if isinstance(row, str):
        return f"{who}: {row}"
    return (
        f"{who}: float {100 * row['float_accuracy']:.2f} %, chip {100 * row['chip_accuracy']:.2f} %"
        f", {row['parameters']} parameters, {row['memory_bits']} bits, {row['seconds']:.0f} s"
    )
