"""`ranvier synth`: a chip on a device."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ranvier.devices import TARGETS
from ranvier.options import as_json

if TYPE_CHECKING:
    from ranvier.synthesis import Synthesis


@click.command(name="synth")
@click.argument("chip")
@click.option("--target", type=click.Choice(list(TARGETS)), default="ecp5-25k", show_default=True)
@click.option(
    "--seed", type=click.IntRange(min=0), default=1, show_default=True, help="Of place and route."
)
@click.option(
    "--output",
    "-o",
    type=click.Path(),
    help="Folder for the results.  [default: beside an image; nowhere for a chip]",
)
@as_json
def command(chip: str, target: str, seed: int, output: str | None, as_json: bool) -> None:
    """Map CHIP (a catalogue name, a chip.json or an image) onto a device, place and route it.

    Writes the figures of all targets so far to NAME.synth.json, where `ranvier report` finds them,
    and the configuration that the bitstream is packed from. What was done once is not done again.
    """
    from dataclasses import asdict
    from pathlib import Path

    from datapath.catalog import CHIPS
    from ranvier.progress import bar
    from ranvier.sources import check_folder, is_image, open_chip, show
    from ranvier.synthesis import keep, named, synthesize

    asked = open_chip(chip)
    beside = chip not in CHIPS and is_image(chip)
    folder = Path(output) if output is not None else Path(chip).parent if beside else None
    if folder is not None:
        check_folder(folder)
    with bar(f"{target}: map, join, place and route") as progress:
        found, config = synthesize(asked, target, seed=seed, progress=progress)
    if folder is not None:
        name = chip if chip in CHIPS else named(chip).name
        for path in keep(folder / name, found, config):
            click.echo(f"{path}: written", err=True)
    if as_json:
        show(asdict(found))
    else:
        click.echo(said(found))
    if found.missing:
        raise SystemExit(1)


def said(found: Synthesis) -> str:
    """Say what a chip takes, in a few lines."""
    lines = [TARGETS[found.target].said]
    lines.append(
        "chip alone: " + ", ".join(f"{n:,} {kind}" for kind, n in found.counts.items() if n)
    )
    lines.append(f"memories: {found.memory_bits:,} bits")
    if found.area_um2 is not None:
        lines.append(f"area without memories: {found.area_um2:,.0f} um2")
    if found.missing:
        lines.append(f"not placed: {found.missing}")
    if found.fmax_mhz is not None:
        used = (f"{kind} {n:,} of {there:,}" for kind, (n, there) in found.used.items())
        path = found.path
        ns = ", ".join(f"{kind} {v} ns" for kind, v in path.items() if kind not in ("from", "to"))
        lines += [
            f"{found.fmax_mhz:.1f} MHz with seed {found.seed}",
            f"used, pins included: {', '.join(used)}",
            f"slowest path: {path['from']} to {path['to']}: {ns}",
        ]
    lines.append(", ".join(found.tools.values()))
    return "\n".join(lines)
