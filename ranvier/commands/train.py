"""`ranvier train`: a float network with delays, by the three-factor rule or by EventProp."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ranvier.options import as_json, seed
from ranvier.options import start as start_options

if TYPE_CHECKING:
    from learn import Epoch

TAU_SYN_MS = 10.0
"""Of synaptic currents for EventProp, where nothing is said."""

DELAYS = ["none", "axonal", "dendritic", "synaptic"]


@click.command(name="train")
@click.argument("data")
@click.option("--output", "-o", type=click.Path(), required=True, help="Network to write (npz).")
@start_options(DELAYS, hidden=128)
@click.option("--fixed-delays", is_flag=True, help="Leave the delays where they start.")
@click.option(
    "--rule",
    type=click.Choice(["three-factor", "eventprop"]),
    default="three-factor",
    show_default=True,
    help="How to learn: docs/learning.md, docs/eventprop.md.",
)
@click.option("--tau-ms", type=float, default=15.0, show_default=True, help="Of hidden membranes.")
@click.option(
    "--tau-syn-ms",
    type=float,
    help="Of synaptic currents, which EventProp needs.  [default: none, eventprop 10]",
)
@click.option("--readout-alpha", type=float, default=0.95, show_default=True, help="Per step.")
@click.option("--epochs", type=click.IntRange(min=1), default=15, show_default=True)
@click.option("--batch", type=click.IntRange(min=1), default=64, show_default=True)
@click.option("--rate", type=float, help="Step size of the weights.  [default: the rule's]")
@click.option("--delay-rate", type=float, help="Step size of the delays.  [default: the rule's]")
@click.option(
    "--objective",
    type=click.Choice(["mean", "steps"]),
    help="Of EventProp: a loss of the readouts' mean or of every step.  [default: mean]",
)
@click.option(
    "--rate-strength", type=float, help="Of EventProp: pull at the number of spikes.  [default: 0]"
)
@click.option(
    "--rate-target", type=float, help="Of EventProp: spikes per neuron, recording.  [default: 4]"
)
@click.option(
    "--smallest-rise", type=float, help="Of EventProp: at a crossing, per step.  [default: 0.1]"
)
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
    rule: str,
    tau_ms: float,
    tau_syn_ms: float | None,
    readout_alpha: float,
    epochs: int,
    batch: int,
    rate: float | None,
    delay_rate: float | None,
    objective: str | None,
    rate_strength: float | None,
    rate_target: float | None,
    smallest_rise: float | None,
    shift: int,
    hold_out: str | None,
    checkpoint: str | None,
    seed: int,
    as_json: bool,
) -> None:
    """Train a network on DATA: `digits:train`, an SHD file or any file of events or counts."""
    from dataclasses import asdict, replace
    from functools import partial

    import model
    from learn import EventProp, Rule, make_network, train, train_eventprop
    from ranvier.sources import check_writable, labelled, open_data, show, split

    check_writable(output)
    if checkpoint is not None:
        check_writable(checkpoint)
    own = {
        "objective": objective,
        "rate_strength": rate_strength,
        "rate_target": rate_target,
        "smallest_rise": smallest_rise,
    }
    own = {name: value for name, value in own.items() if value is not None}
    exact = rule == "eventprop"
    if own and not exact:
        name = next(iter(own)).replace("_", "-")
        raise ValueError(f"--{name} is an option of --rule eventprop, not of {rule}")
    given = labelled(open_data(data), data)
    counts = given.binned(units_per_channel=units_per_channel, dt_ms=dt_ms, steps=steps)
    start = make_network(
        channels=counts.channels,
        units=counts.n_units,
        hidden=hidden,
        classes=len(counts.label_names) or int(counts.labels.max()) + 1,
        labels=counts.label_names,
        steps=steps,
        dt_ms=dt_ms,
        tau_ms=tau_ms,
        tau_syn_ms=TAU_SYN_MS if exact and tau_syn_ms is None else tau_syn_ms,
        reset="zero" if exact else "subtract",
        readout_alpha=readout_alpha,
        delay=delay,
        max_delay=max_delay,
        delays=delays,
        recurrent=recurrent,
        seed=seed,
    )
    told: dict[str, Any] = {**own, "batch": batch, "channel_shift": shift}
    if rate is not None:
        told["weight_rate"] = rate
    if fixed_delays or delay_rate is not None:
        told["delay_rate"] = 0.0 if fixed_delays else delay_rate
    work = (
        partial(train_eventprop, rule=replace(EventProp(), **told))
        if exact
        else partial(train, rule=replace(Rule(), **told))
    )
    examples, held_out = split(counts, hold_out)
    if counts.late.any() or counts.excess.any():
        click.echo(counts.cut, err=True)

    try:
        result = work(
            start,
            examples,
            epochs=epochs,
            seed=seed,
            held_out=held_out,
            checkpoint=checkpoint,
            progress=lambda epoch: click.echo(said(epoch, epochs), err=True),
        )
    except KeyboardInterrupt:
        raise click.ClickException(stopped(checkpoint)) from None
    made = {**result.network.provenance, "data": Path(data).name, "source": counts.source}
    network = replace(result.network, provenance=made)
    model.save(network, output)
    if as_json:
        history = [asdict(epoch) for epoch in result.history]
        show({"history": history, "provenance": made})
    click.echo(f"{output}: {network.parameters} parameters", err=True)


def said(epoch: Epoch, epochs: int) -> str:
    """Say in a line what an epoch of training brought."""
    held = epoch.held_out_accuracy
    return (
        f"epoch {epoch.number}/{epochs}: loss {epoch.loss:.4f}, "
        f"trained {100 * epoch.train_accuracy:.2f} %"
        + ("" if held is None else f", held out {100 * held:.2f} %")
    )


def stopped(checkpoint: str | None) -> str:
    """Say what is kept of a training that was interrupted."""
    if checkpoint is None:
        return "stopped, and nothing is kept; with --checkpoint it could be continued"
    if not Path(checkpoint).exists():
        return "stopped before the first epoch was done, and nothing is kept"
    return f"stopped; the same command continues from {checkpoint}"
