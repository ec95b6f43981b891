"""`ranvier export`: files for hardware people."""

import click

from ranvier import tops


@click.command(name="export")
@click.argument("image", type=click.Path())
@click.argument("folder", type=click.Path())
@tops.options
@click.option("--no-verilog", is_flag=True, help="Leave out chip.v.")
def command(image: str, folder: str, host: str, divisor: int, no_verilog: bool) -> None:
    """Write IMAGE into FOLDER: memory files, registers.md, C header and driver, chip.v, a manifest.

    docs/host.md says how chip and host talk to each other.
    """
    import importlib.resources
    from pathlib import Path

    import datapath.files
    from datapath.export import export
    from ranvier.sources import LOSS, NETWORK, check_folder, open_image
    from rtl.emit import verilog

    target = Path(folder)
    check_folder(target.parent)
    chip_image = open_image(image)
    text = None if no_verilog else verilog(tops.top(chip_image.chip, host, divisor), "chip")
    there = datapath.files.names(image)
    extras = {
        name: datapath.files.read_extra(image, name) for name in (NETWORK, LOSS) if name in there
    }
    driver = importlib.resources.files("ranvier").joinpath("driver")
    extras |= {name: driver.joinpath(name).read_bytes() for name in ("ranvier.h", "ranvier.c")}
    export(chip_image, target, verilog=text, extras=extras)
    for name in datapath.files.names(target):
        click.echo(target / name)
