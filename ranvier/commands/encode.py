"""`ranvier encode`: speech to spikes."""

import click

from ranvier.options import seed


@click.command(name="encode")
@click.argument("audio", type=click.Path())
@click.option("--output", "-o", type=click.Path(), required=True, help="npz file to write.")
@seed
def command(audio: str, output: str, seed: int) -> None:
    """Turn AUDIO, a WAV file, into the spikes of 700 cochlea cells."""
    from events import encode, save
    from ranvier.sources import check_writable

    check_writable(output)
    heard = encode(audio, seed=seed)
    save(heard, output)
    length = heard.times_ms[-1] if heard.times_ms.size else 0.0
    click.echo(f"{output}: {heard.times_ms.size} spikes in {length:.0f} ms", err=True)
