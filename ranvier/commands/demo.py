"""`ranvier demo`: the whole path on embedded data."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import click

NETWORK, TWIN = "digits-axonal", "digits-none"


@click.command(name="demo")
@click.argument("folder", type=click.Path(), default="build/demo")
@click.option(
    "--recordings",
    type=click.IntRange(min=1),
    default=40,
    show_default=True,
    help="To play on the gates.",
)
def command(folder: str, recordings: int) -> None:
    """Quantize, emulate, report, export, generate gates and prove them, into FOLDER.

    The network is 140-64-20 with learned axonal delays, trained on the embedded spoken digits.
    """
    from ranvier.commands.evaluate import command as evaluate
    from ranvier.commands.export import command as export
    from ranvier.commands.quantize import command as quantize
    from ranvier.commands.report import command as report
    from ranvier.commands.verify import command as verify

    begun = time.monotonic()
    place = Path(folder)
    if place.exists() and not place.is_dir():
        raise ValueError(f"{place}: is a file; name a folder to write into")
    place.mkdir(parents=True, exist_ok=True)
    image, page = place / "digits.ranvier", place / "report.html"
    gates = place / "chip"

    _step(1, "quantize", f"{NETWORK} to 8-bit weights and 6-bit delays")
    _call(quantize, NETWORK, "-o", str(image), "--calibrate", "digits:train")
    _step(2, "evaluate", "float network, chip, and the twin without delays")
    _call(evaluate, TWIN, "digits")
    _call(evaluate, str(image), "digits")
    _step(3, "report", "emulated chip against float network")
    _call(report, str(image), "digits", "-o", str(page))
    _step(4, "export", "memory files, registers, C header, Verilog")
    _call(export, str(image), str(gates))
    _step(5, "verify", f"gates against emulator, {recordings} recordings through CXXRTL")
    _call(verify, str(image), "digits", "--recordings", str(recordings))
    if shutil.which("iverilog"):
        _step(6, "verify", "the exported Verilog's gates again, one recording under Icarus")
        _call(verify, str(image), "digits", "--recordings", "1", "--engine", "icarus")
    else:
        click.echo("\nIcarus Verilog is not installed: the gates ran through CXXRTL alone.")
    click.echo(f"\n{time.monotonic() - begun:.0f} s. Open {page}; the chip is in {gates}/")


def _step(number: int, verb: str, what: str) -> None:
    click.secho(f"\n{number}. ranvier {verb}: {what}", bold=True)


def _call(command: click.Command, *arguments: str) -> None:
    """Run another command of the command line with these arguments."""
    command.main(list(arguments), standalone_mode=False)
