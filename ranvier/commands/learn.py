"""`ranvier learn`: learning on the chip, from an image or from scratch."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ranvier.options import as_json, checkpoint, seed, shift
from ranvier.options import start as start_options

if TYPE_CHECKING:
    from datapath import Image
    from ranvier.onchip import Schedule

DELAYS = ["none", "axonal", "synaptic"]


@click.command(name="learn")
@click.argument("data")
@click.option("--output", "-o", type=click.Path(), required=True, help="Image to write.")
@click.option(
    "--from", "start", type=click.Path(), help="Image to go on from.  [default: random weights]"
)
@start_options(DELAYS, hidden=64)
@click.option("--epochs", type=click.IntRange(min=1), default=10, show_default=True)
@click.option(
    "--batch", type=click.IntRange(min=1), default=16, show_default=True, help="Per update."
)
@click.option(
    "--weight-rate",
    type=float,
    default=0.001,
    show_default=True,
    help="Step, in units of the largest weight.",
)
@click.option(
    "--delay-rate",
    type=float,
    default=0.03,
    show_default=True,
    help="Step, in ticks; 0 leaves delays alone.",
)
@click.option(
    "--taps",
    type=click.Choice(["gauss", "hat", "central"]),
    default="gauss",
    show_default=True,
    help="Kind of the delays' derivative in time.",
)
@click.option("--sigma-start", type=float, default=4.0, show_default=True, help="Its width, ticks.")
@click.option("--sigma-end", type=float, default=1.0, show_default=True)
@click.option("--nearest", is_flag=True, help="Round steps to the nearest, not stochastically.")
@click.option("--random-feedback", is_flag=True, help="Fixed feedback, not the readout's weights.")
@shift
@click.option("--hold-out", metavar="SPEAKERS", help="Speakers, as 3,9, that are only tested.")
@checkpoint
@click.option(
    "--engine",
    type=click.Choice(["emulator", "cxxrtl"]),
    default="emulator",
    show_default=True,
    help="What learns: the emulator, or the very gates.",
)
@seed
@as_json
def command(
    data: str,
    output: str,
    start: str | None,
    hidden: tuple[int, ...],
    delay: str,
    recurrent: str | None,
    max_delay: int,
    delays: str,
    steps: int,
    dt_ms: float,
    units_per_channel: int,
    epochs: int,
    batch: int,
    weight_rate: float,
    delay_rate: float,
    taps: str,
    sigma_start: float,
    sigma_end: float,
    nearest: bool,
    random_feedback: bool,
    shift: int,
    hold_out: str | None,
    checkpoint: str | None,
    engine: str,
    seed: int,
    as_json: bool,
) -> None:
    """Let a chip learn DATA: `digits:train`, an SHD file or any file of events or counts."""
    from dataclasses import asdict

    from learn import Taps
    from quant.learnable import Tuning
    from ranvier.onchip import Schedule, fit
    from ranvier.sources import (
        check_writable,
        for_image,
        labelled,
        open_data,
        open_image,
        show,
        split,
    )

    check_writable(output)
    if checkpoint is not None:
        check_writable(checkpoint)
    tuning = Tuning(
        weight_rate=weight_rate,
        delay_rate=delay_rate,
        half_taps=(),
        linear=True,
        error_width=3.0,
        random_feedback=random_feedback,
        nearest=nearest,
    )
    schedule = Schedule(
        epochs=epochs,
        batch=batch,
        tuning=tuning,
        taps=Taps(taps),
        sigma_start=sigma_start,
        sigma_end=sigma_end,
        channel_shift=shift,
    )
    given = labelled(open_data(data), data)
    if start is None:
        counts = given.binned(
            units_per_channel=units_per_channel, dt_ms=dt_ms, steps=steps, maximum=31
        )
        shape = (hidden, delay, recurrent, max_delay, delays)
        image = _from_scratch(counts, shape, schedule, seed)
    else:
        image = _going_on(open_image(start), schedule, seed)
        _check_labels(given.labels, image, data, start)
        counts = for_image(given, image)
    examples, held_out = split(counts, hold_out)

    def report(epoch: Any) -> None:
        held = epoch.held_out_accuracy
        click.echo(
            f"epoch {epoch.number}/{epochs}: learned {100 * epoch.train_accuracy:.2f} %"
            + ("" if held is None else f", held out {100 * held:.2f} %")
            + f", {epoch.cycles} clocks",
            err=True,
        )

    try:
        learned, history = fit(
            image,
            (examples.counts, examples.labels),
            schedule,
            seed=seed,
            held_out=None if held_out is None else (held_out.counts, held_out.labels),
            engine=engine,
            checkpoint=checkpoint,
            progress=report,
        )
    except KeyboardInterrupt:
        raise click.ClickException(
            "stopped, and nothing is kept; with --checkpoint it could be continued"
            if checkpoint is None
            else f"stopped; the same command continues from {checkpoint}, if an epoch was done"
        ) from None
    _write(learned, history, output, {"data": Path(data).name, "source": counts.source})
    if as_json:
        show({"history": [asdict(epoch) for epoch in history]})
    click.echo(f"{output}: learned {len(history)} epochs on the chip", err=True)


def _from_scratch(counts: Any, shape: Any, schedule: Schedule, seed: int) -> Image:
    """Random weights on a chip made for them."""
    from learn import make_network
    from quant.learnable import learnable
    from quant.start import start_image
    from ranvier.defaults import LARGEST_WEIGHT, LEARN_OPTIONS, OPTIONS
    from ranvier.sources import ends

    hidden, delay, recurrent, max_delay, delays = shape
    network = make_network(
        **ends(counts),
        hidden=hidden,
        delay=delay,
        max_delay=max_delay,
        delays=delays,
        recurrent=recurrent,
        seed=seed,
    )
    largest = {p.name: LARGEST_WEIGHT for p in network.populations}
    start = start_image(network, OPTIONS, largest=largest)
    return learnable(start, schedule.at(0), LEARN_OPTIONS, seed=seed)


def _going_on(image: Image, schedule: Schedule, seed: int) -> Image:
    """Return an image that learns, whether it has learned before or not."""
    from quant.learnable import learnable
    from ranvier.defaults import LEARN_OPTIONS

    if image.learning is not None:
        return image
    return learnable(image, schedule.at(0), LEARN_OPTIONS, seed=seed)


def _check_labels(labels: Any, image: Image, data: str, start: str) -> None:
    """Refuse labels that no readout of the image stands for."""
    classes = image.readout.size
    for n in (labels >= classes).nonzero()[0][:1]:
        raise ValueError(
            f"{data}: recording {n} has the label {labels[n]}, and {start} tells {classes} "
            f"classes apart, 0 to {classes - 1}"
        )


def _write(image: Image, history: Any, output: str, told: dict[str, str]) -> None:
    """Write the image, with its learning curve and its float twin."""
    from dataclasses import asdict, replace

    from datapath.files import save
    from datapath.schema import readable
    from quant import Granularity, Scale, dequantize, options_for, quantize
    from ranvier.sources import CURVE, LOSS, NETWORK, network_bytes

    network = dequantize(image)
    # The float twin has the very integers of the chip, so that mapping it back loses nothing.
    options = options_for(image.chip, granularity=Granularity.PROJECTION, scale=Scale.INTEGER)
    _, loss = quantize(network, chip=image.chip, options=options, calibration=None)
    image = replace(image, provenance={**image.provenance, **told})
    curve = readable([asdict(epoch) for epoch in history])
    extras = {
        NETWORK: network_bytes(network),
        LOSS: loss.to_json().encode(),
        CURVE: curve,
    }
    save(image, output, extras=extras)
