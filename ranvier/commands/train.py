"""`ranvier train`: a float network with delays, by the three-factor rule."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ranvier.options import as_json, seed

if TYPE_CHECKING:
    from events import Counts
    from learn import Epoch, Rule

DELAYS = click.Choice(["none", "axonal", "dendritic", "synaptic"])


@click.command(name="train")
@click.argument("data")
@click.option("--output", "-o", type=click.Path(), required=True, help="Network to write (npz).")
@click.option(
    "--hidden",
    type=click.IntRange(min=1),
    multiple=True,
    help="Neurons of a hidden layer; once per layer.  [default: 128]",
)
@click.option("--delay", type=DELAYS, default="axonal", show_default=True, help="Who owns delays.")
@click.option("--recurrent", type=DELAYS, help="Recurrent synapses, with these delays.")
@click.option("--max-delay", type=click.IntRange(min=0), default=40, show_default=True)
@click.option(
    "--delays",
    type=click.Choice(["random", "zero"]),
    default="random",
    show_default=True,
    help="Where they start.",
)
@click.option("--fixed-delays", is_flag=True, help="Leave the delays where they start.")
@click.option("--steps", type=click.IntRange(min=1), default=100, show_default=True)
@click.option("--dt-ms", type=float, default=10.0, show_default=True, help="Length of a step.")
@click.option("--units-per-channel", type=click.IntRange(min=1), default=5, show_default=True)
@click.option("--tau-ms", type=float, default=15.0, show_default=True, help="Of hidden membranes.")
@click.option("--readout-alpha", type=float, default=0.95, show_default=True, help="Per step.")
@click.option("--epochs", type=click.IntRange(min=1), default=15, show_default=True)
@click.option("--batch", type=click.IntRange(min=1), default=64, show_default=True)
@click.option("--rate", type=float, help="Step size of the weights.  [default: the rule's]")
@click.option("--delay-rate", type=float, help="Step size of the delays.  [default: the rule's]")
@click.option("--shift", type=int, default=0, show_default=True, help="Channel augmentation.")
@click.option(
    "--hold-out",
    metavar="SPEAKERS",
    help="Speakers, as 3,9, never trained on; they choose the epoch.  [default: last epoch]",
)
@click.option("--checkpoint", type=click.Path(), help="Written every epoch; continued if there.")
@seed
@as_json
def command(
    data: str,
    output: str,
    hidden: tuple[int, ...],
    delay: str,
    recurrent: str | None,
    max_delay: int,
    delays: str,
    fixed_delays: bool,
    steps: int,
    dt_ms: float,
    units_per_channel: int,
    tau_ms: float,
    readout_alpha: float,
    epochs: int,
    batch: int,
    rate: float | None,
    delay_rate: float | None,
    shift: int,
    hold_out: str | None,
    checkpoint: str | None,
    seed: int,
    as_json: bool,
) -> None:
    """Train a network on DATA: `digits:train`, an SHD file or any file of events or counts."""
    from dataclasses import asdict, replace

    import model
    from learn import make_network, train
    from ranvier.sources import check_writable, labelled, open_data, show

    check_writable(output)
    if checkpoint is not None:
        check_writable(checkpoint)
    given = labelled(open_data(data), data)
    counts = given.binned(units_per_channel=units_per_channel, dt_ms=dt_ms, steps=steps)
    start = make_network(
        channels=counts.channels,
        units=counts.n_units,
        hidden=hidden or (128,),
        classes=len(counts.label_names) or int(counts.labels.max()) + 1,
        labels=counts.label_names,
        steps=steps,
        dt_ms=dt_ms,
        tau_ms=tau_ms,
        readout_alpha=readout_alpha,
        delay=delay,
        max_delay=max_delay,
        delays=delays,
        recurrent=recurrent,
        seed=seed,
    )
    rule = _rule(batch, rate, 0.0 if fixed_delays else delay_rate, shift)
    examples, held_out = split(counts, hold_out)
    if counts.late.any() or counts.excess.any():
        click.echo(counts.cut, err=True)

    def report(epoch: Epoch) -> None:
        held = epoch.held_out_accuracy
        click.echo(
            f"epoch {epoch.number}/{epochs}: loss {epoch.loss:.4f}, "
            f"trained {100 * epoch.train_accuracy:.2f} %"
            + ("" if held is None else f", held out {100 * held:.2f} %"),
            err=True,
        )

    try:
        result = train(
            start,
            examples,
            rule,
            epochs=epochs,
            seed=seed,
            held_out=held_out,
            checkpoint=checkpoint,
            progress=report,
        )
    except KeyboardInterrupt:
        raise click.ClickException(_stopped(checkpoint)) from None
    told = {**result.network.provenance, "data": Path(data).name, "source": counts.source}
    network = replace(result.network, provenance=told)
    model.save(network, output)
    if as_json:
        history = [asdict(epoch) for epoch in result.history]
        show({"history": history, "provenance": told})
    click.echo(f"{output}: {network.parameters} parameters", err=True)


def _stopped(checkpoint: str | None) -> str:
    if checkpoint is None:
        return "stopped, and nothing is kept; with --checkpoint it could be continued"
    if not Path(checkpoint).exists():
        return "stopped before the first epoch was done, and nothing is kept"
    return f"stopped; the same command continues from {checkpoint}"


def _rule(batch: int, rate: float | None, delay_rate: float | None, shift: int) -> Rule:
    from dataclasses import replace

    from learn import Rule

    rule = replace(Rule(), batch=batch, channel_shift=shift)
    if rate is not None:
        rule = replace(rule, weight_rate=rate)
    if delay_rate is not None:
        rule = replace(rule, delay_rate=delay_rate)
    return rule


def split(counts: Counts, hold_out: str | None) -> tuple[Any, Any]:
    """Split off the held-out speakers: examples to learn, and to test or None."""
    import numpy as np

    from learn import Examples

    if hold_out is None:
        return Examples(counts.counts, counts.labels), None
    if counts.speakers is None:
        raise ValueError("--hold-out names speakers, and the data set does not say who speaks")
    there = set(counts.speakers.tolist())
    try:
        wanted = {int(speaker) for speaker in hold_out.split(",")}
    except ValueError:
        raise ValueError(
            f"--hold-out must be numbers of speakers, as 3,9, not {hold_out!r}"
        ) from None
    if not wanted <= there or wanted == there:
        raise ValueError(
            f"--hold-out must name some of the speakers {sorted(there)}, not {sorted(wanted)}"
        )
    out = np.isin(counts.speakers, sorted(wanted))
    return (
        Examples(counts.counts[~out], counts.labels[~out]),
        Examples(counts.counts[out], counts.labels[out]),
    )
