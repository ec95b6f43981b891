"""`ranvier rtl`: the Verilog of a chip."""

import click


@click.command(name="rtl")
@click.argument("chip")
@click.option(
    "--host",
    type=click.Choice(["bare", "axi"]),
    default="bare",
    show_default=True,
    help="What stands between the chip and its host: its own ports, or AXI4-Lite and AXI4-Stream.",
)
@click.option("--output", "-o", type=click.Path(), help="File to write.  [default: print]")
def command(chip: str, host: str, output: str | None) -> None:
    """Write the Verilog of CHIP: a catalogue name, a chip.json or an image."""
    from ranvier.sources import check_writable, open_chip, write
    from rtl.axi import AxiChip
    from rtl.chip import ChipTop
    from rtl.emit import verilog

    if output is not None:
        check_writable(output)
    asked = open_chip(chip)
    text = verilog(AxiChip(asked) if host == "axi" else ChipTop(asked), "chip")
    if output is None:
        click.echo(text, nl=False)
    else:
        write(output, text)
        click.echo(f"{output}: {len(text.splitlines())} lines of Verilog", err=True)
