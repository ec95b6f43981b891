"""`ranvier synth`: a chip on a device."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ranvier.devices import BOARDS, TARGETS
from ranvier.options import as_json

if TYPE_CHECKING:
    from pathlib import Path

    from datapath import Chip
    from ranvier.synthesis import Synthesis


@click.command(name="synth")
@click.argument("chip")
@click.option("--target", type=click.Choice(list(TARGETS)), default="ecp5-25k", show_default=True)
@click.option(
    "--board",
    type=click.Choice(list(BOARDS)),
    help="Make the bitstream of a board instead: the chip behind its serial line.",
)
@click.option(
    "--baud", type=click.IntRange(min=1), help="Of the serial line of a board.  [default: 1000000]"
)
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
def command(
    chip: str,
    target: str,
    board: str | None,
    baud: int | None,
    seed: int,
    output: str | None,
    as_json: bool,
) -> None:
    """Map CHIP (a catalogue name, a chip.json or an image) onto a device, place and route it.

    Writes the figures of all targets so far to NAME.synth.json, where `ranvier report` finds them,
    and the configuration that the bitstream is packed from. What was done once is not done again.

    With --board, writes a bitstream NAME.BOARD.bit or .bin of the chip behind the board's serial
    line; docs/host.md says how to load it and talk to it.
    """
    from dataclasses import asdict
    from pathlib import Path

    from datapath.catalog import CHIPS
    from ranvier.progress import bar
    from ranvier.sources import check_folder, is_image, open_chip, show
    from ranvier.synthesis import keep, named, synthesize

    if baud is not None and board is None:
        raise click.UsageError("--baud is of the serial line of a board: name one with --board")
    asked = open_chip(chip)
    beside = chip not in CHIPS and is_image(chip)
    folder = Path(output) if output is not None else Path(chip).parent if beside else None
    if folder is not None:
        check_folder(folder)
    name = chip if chip in CHIPS else named(chip).name
    if board is not None:
        show_bitstream(asked, (folder or Path()) / name, (board, baud, seed), as_json)
        return
    with bar(f"{target}: map, join, place and route") as progress:
        found, config = synthesize(asked, target, seed=seed, progress=progress)
    if folder is not None:
        for path in keep(folder / name, found, config):
            click.echo(f"{path}: written", err=True)
    if as_json:
        show(asdict(found))
    else:
        click.echo(said(found))
    if found.missing:
        raise SystemExit(1)


def show_bitstream(
    chip: Chip, path: Path, options: tuple[str, int | None, int], as_json: bool
) -> None:
    """Make the bitstream of a board, whose file is called after `path`, and say what it takes."""
    from dataclasses import asdict

    from datapath.serial import BAUD
    from ranvier.boards import build
    from ranvier.progress import bar
    from ranvier.sources import check_writable, show, write

    name, baud, seed = options
    board = BOARDS[name]
    target = path.with_name(f"{path.name}.{name}.{board.suffix}")
    check_writable(target)
    with bar(f"{name}: map, place, route and pack") as progress:
        progress(0, 1)
        found, bits = build(chip, name, seed=seed, baud=baud or BAUD)
        progress(1, 1)
    write(target, bits)
    click.echo(f"{target}: written; load it with `{board.loader} {target}`", err=True)
    if as_json:
        show(asdict(found))
        return
    used = (f"{kind} {n:,} of {there:,}" for kind, (n, there) in found.used.items())
    click.echo(board.said)
    click.echo(f"used: {', '.join(used)}")
    click.echo(
        f"runs at {found.clock_mhz:g} MHz, would run at {found.fmax_mhz:.1f} MHz with seed {seed}"
    )
    click.echo(f"serial line: {found.baud} baud")
    click.echo(", ".join(found.tools.values()))


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
