"""`ranvier data`: data sets."""

import click


@click.group(name="data")
def command() -> None:
    """Fetch or unpack data sets."""


@command.command()
@click.argument("folder", type=click.Path())
def shd(folder: str) -> None:
    """Fetch the official Spiking Heidelberg Digits into FOLDER, and check them."""
    from events.official import fetch
    from ranvier.sources import check_folder

    check_folder(folder)
    for path in fetch(folder):
        click.echo(path)


@command.command()
@click.argument("folder", type=click.Path())
def digits(folder: str) -> None:
    """Write the embedded spoken digits into FOLDER, as files of counts."""
    from pathlib import Path

    from events import save, spoken_digits
    from ranvier.sources import check_folder

    check_folder(folder)
    for name, counts in zip(("train", "test"), spoken_digits(), strict=True):
        path = Path(folder) / f"digits_{name}.npz"
        save(counts, path)
        click.echo(f"{path}: {len(counts)} recordings")


@command.command(name="yin-yang")
@click.argument("folder", type=click.Path())
def yin_yang(folder: str) -> None:
    """Write the Yin-Yang data set into FOLDER, as files of events."""
    from pathlib import Path

    from events import save
    from events.yin_yang import PARTS, part
    from ranvier.sources import check_folder

    check_folder(folder)
    for name in PARTS:
        recordings = part(name)
        path = Path(folder) / f"yin_yang_{name}.npz"
        save(recordings, path)
        click.echo(f"{path}: {len(recordings)} recordings")
