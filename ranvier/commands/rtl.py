"""`ranvier rtl`: the Verilog of a chip."""

import click

from ranvier import tops


@click.command(name="rtl")
@click.argument("chip")
@tops.options
@click.option("--output", "-o", type=click.Path(), help="File to write.  [default: print]")
def command(chip: str, host: str, divisor: int, output: str | None) -> None:
    """Write the Verilog of CHIP: a catalogue name, a chip.json or an image."""
    from ranvier.sources import check_writable, open_chip, write
    from rtl.emit import verilog

    if output is not None:
        check_writable(output)
    text = verilog(tops.top(open_chip(chip), host, divisor), "chip")
    if output is None:
        click.echo(text, nl=False)
    else:
        write(output, text)
        click.echo(f"{output}: {len(text.splitlines())} lines of Verilog", err=True)
