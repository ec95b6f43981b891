"""`ranvier run`: what the chip hears."""

import click

from ranvier.options import as_json, seed


@click.command(name="run")
@click.argument("image", type=click.Path())
@click.argument("recording", type=click.Path())
@seed
@as_json
def command(image: str, recording: str, seed: int, as_json: bool) -> None:
    """Say which class IMAGE hears in RECORDING, a WAV file or a file of events.

    A file of several recordings gives one line each.  --seed is that of the front end.
    """
    from emulator.chip import run as emulate
    from events import encode
    from ranvier.sources import for_image, open_data, open_image, show

    chip_image = open_image(image)
    heard = (
        encode(recording, seed=seed) if recording.lower().endswith(".wav") else open_data(recording)
    )
    counts = for_image(heard, chip_image)
    result = emulate(chip_image, counts.counts)
    names = chip_image.labels or tuple(str(n) for n in range(chip_image.readout.size))
    clocks = result.cycles.sum(axis=1)
    rows = [
        {
            "recording": n,
            "class": names[result.classes[n]],
            "scores": {name: int(s) for name, s in zip(names, result.scores[n], strict=True)},
            "clocks": int(clocks[n]),
        }
        for n in range(len(counts))
    ]
    if as_json:
        show(rows)
        return
    for row, scores in zip(rows, result.scores, strict=True):
        best = scores.argsort(kind="stable")[::-1]
        second = names[best[1]] if len(best) > 1 else "nothing else"
        click.echo(f"{row['class']}  (then {second}; {row['clocks']} clocks)")
