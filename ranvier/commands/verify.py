"""`ranvier verify`: gates against emulator."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from ranvier.options import as_json

if TYPE_CHECKING:
    from sim.compare import Verdict


@click.command(name="verify")
@click.argument("image", type=click.Path())
@click.argument("data", default="digits")
@click.option(
    "--engine",
    type=click.Choice(["cxxrtl", "icarus", "verilator"]),
    default="cxxrtl",
    show_default=True,
    help="What simulates the gates.",
)
@click.option(
    "--recordings",
    type=click.IntRange(min=1),
    default=20,
    show_default=True,
    help="To play, spread evenly over DATA.",
)
@click.option("--learn", "learns", is_flag=True, help="Learn DATA, and compare what is learned.")
@click.option("--batch", type=click.IntRange(min=1), help="Recordings per update.  [default: 16]")
@as_json
def command(
    image: str,
    data: str,
    engine: str,
    recordings: int,
    learns: bool,
    batch: int | None,
    as_json: bool,
) -> None:
    """Play DATA on the gates of IMAGE and on the emulator, and compare every bit and clock.

    Exit status 1 if anything differs.
    """
    from ranvier.progress import bar
    from ranvier.sources import for_image, open_data, open_image, show, some
    from sim.verify import verify, verify_learning

    if batch is not None and not learns:
        raise ValueError("--batch is for --learn: give both, or neither")
    chip_image = open_image(image)
    if learns and chip_image.learning is None:
        raise ValueError(
            f"{image}: learns nothing, so there is no learning to verify; `ranvier learn` makes an "
            "image that does"
        )
    counts = for_image(some(open_data(data), recordings), chip_image)
    with bar(f"{engine}") as progress:
        if learns:
            verdict = verify_learning(
                chip_image,
                counts.counts,
                counts.labels,
                batch=batch or 16,
                engine=engine,
                progress=progress,
            )
        else:
            verdict = verify(chip_image, counts.counts, engine, progress)
    if as_json:
        show(asdict(verdict) | {"equal": verdict.equal})
    else:
        click.echo(said(verdict))
    if not verdict.equal:
        raise SystemExit(1)


def said(verdict: Verdict) -> str:
    """Say what was compared, and what came out."""
    learned = f"{verdict.learns} LEARN, {verdict.learning_steps} UPDATE, " * bool(verdict.learns)
    compared = (
        f"{verdict.engine}: {verdict.recordings} recordings, {verdict.ticks} ticks, "
        f"{verdict.clocks} clocks, {verdict.updates} neuron updates, {verdict.results} results, "
        f"{learned}{verdict.beats} memory words: {verdict.bits} bits compared"
    )
    if verdict.equal:
        return f"{compared}, all equal"
    return f"{compared}; gates and emulator differ: {verdict.difference}"
