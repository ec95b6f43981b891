"""`ranvier device`: an image on a board, or on simulated gates."""

from __future__ import annotations

import click

from ranvier.options import as_json


@click.command(name="device")
@click.argument("image", type=click.Path())
@click.argument("data", default="digits")
@click.option("--port", help="Serial port of the board, such as /dev/ttyUSB1 or COM3.")
@click.option("--simulated", is_flag=True, help="No board: the same gates, serial line included.")
@click.option(
    "--baud", type=click.IntRange(min=1), help="Speed of the bitstream.  [default: 1000000]"
)
@click.option(
    "--recordings",
    type=click.IntRange(min=1),
    default=20,
    show_default=True,
    help="To play, spread evenly over DATA.",
)
@as_json
def command(
    image: str,
    data: str,
    port: str | None,
    simulated: bool,
    baud: int | None,
    recordings: int,
    as_json: bool,
) -> None:
    """Load IMAGE into a chip, play DATA, and compare every result and clock with the emulator.

    The chip is behind a serial line: on a board whose bitstream `ranvier synth --board` has made,
    or simulated. Exit status 1 if anything differs.
    """
    if (port is None) != simulated or (simulated and baud is not None):
        raise click.UsageError("name the board with --port, or say --simulated, which has no speed")

    from datapath.serial import BAUD
    from ranvier.device import Device
    from ranvier.onboard import compare
    from ranvier.progress import bar
    from ranvier.sources import for_image, open_data, open_image, show, some

    chip_image = open_image(image)
    heard = for_image(some(open_data(data), recordings), chip_image)
    chip = chip_image.chip
    opened = Device.simulated(chip) if port is None else Device.on(port, chip, baud=baud or BAUD)
    with opened as device:
        with bar(f"{device.name}: load") as progress:
            device.load(chip_image, progress)
        device.verify(chip_image)
        with bar(f"{device.name}: play") as progress:
            found = compare(device, chip_image, heard.counts, progress)
        again = device.repeated
    right = int((found.classes == heard.labels[: len(found.classes)]).sum())
    if as_json:
        show(
            {
                "recordings": len(found.classes),
                "right": right,
                "results": found.results,
                "clocks": found.clocks,
                "repeated": again,
                "difference": found.difference,
                "equal": not found.difference,
            }
        )
    else:
        said = found.difference or "all equal to the emulator's"
        click.echo(
            f"{device.name}: {len(found.classes)} recordings, {right} heard right, "
            f"{found.results} results, {found.clocks} clocks, {again} requests sent again: {said}"
        )
    if found.difference:
        raise SystemExit(1)
