"""`ranvier export`: files for hardware people."""

import click


@click.command(name="export")
@click.argument("image", type=click.Path())
@click.argument("folder", type=click.Path())
@click.option("--no-verilog", is_flag=True, help="Leave out chip.v.")
def command(image: str, folder: str, no_verilog: bool) -> None:
    """Write IMAGE into FOLDER: memory files, registers.md, a C header, chip.v, a manifest."""
    from pathlib import Path

    import datapath.files
    from datapath.export import export
    from ranvier.sources import LOSS, NETWORK, check_folder, open_image
    from rtl.chip import ChipTop
    from rtl.emit import verilog

    target = Path(folder)
    check_folder(target.parent)
    chip_image = open_image(image)
    text = None if no_verilog else verilog(ChipTop(chip_image.chip), "chip")
    there = datapath.files.names(image)
    extras = {
        name: datapath.files.read_extra(image, name) for name in (NETWORK, LOSS) if name in there
    }
    export(chip_image, target, verilog=text, extras=extras)
    for name in datapath.files.names(target):
        click.echo(target / name)
