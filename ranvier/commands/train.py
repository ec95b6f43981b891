"""`ranvier train`: a float network with delays, by one of the rules of `learn`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ranvier.options import as_json, checkpoint, hold_out, seed, shift
from ranvier.options import start as start_options

if TYPE_CHECKING:
    from learn import Epoch

TAU_MS, TAU_SYN_MS, READOUT_ALPHA = 15.0, 10.0, 0.95
"""Where nothing is said; tau_syn_ms for rules that need synaptic currents."""

SHARED = ("objective", "rate_strength", "rate_target")
OWN = {
    "three-factor": (),
    "eventprop": (*SHARED, "smallest_rise"),
    "delgrad": ("objective", "smallest_rise", "margin", "pull", "output_pull"),
    "surrogate": (
        *SHARED, "surrogate_scale", "kernel", "sigma_start", "sigma_end", "connections",
        "active_delays", "rewiring", "device", "threads",
    ),
}  # fmt: skip
"""Options that not every rule has."""

DELAYS = ["none", "axonal", "dendritic", "synaptic"]


@click.command(name="train")
@click.argument("data")
@click.option("--output", "-o", type=click.Path(), required=True, help="Network to write (npz).")
@start_options(DELAYS, hidden=128)
@click.option("--fixed-delays", is_flag=True, help="Leave the delays where they start.")
@click.option(
    "--rule",
    type=click.Choice(list(OWN)),
    default="three-factor",
    show_default=True,
    help="How to learn: docs/learning.md, docs/eventprop.md, docs/delgrad.md, docs/surrogate.md.",
)
@click.option(
    "--tau-ms", type=float, help="Of membranes.  [default: 15, delgrad twice --tau-syn-ms]"
)
@click.option(
    "--tau-syn-ms",
    type=float,
    help="Of synaptic currents.  [default: none, eventprop and delgrad 10]",
)
@click.option("--readout-alpha", type=float, help="Per step.  [default: 0.95, delgrad 1]")
@click.option(
    "--input-scale",
    type=float,
    help="Standard deviation of the first weights from the input; few channels or events want "
    "more than a hundred channels do.  [default: 0.08]",
)
@click.option("--epochs", type=click.IntRange(min=1), default=15, show_default=True)
@click.option("--batch", type=click.IntRange(min=1), default=64, show_default=True)
@click.option("--rate", type=float, help="Step size of the weights.  [default: the rule's]")
@click.option("--delay-rate", type=float, help="Step size of the delays.  [default: the rule's]")
@click.option(
    "--objective",
    type=click.Choice(["mean", "steps", "softmax", "shift"]),
    help="Loss of the readouts' mean, or of steps; of delgrad: of the softmax or the differences "
    "of first spikes.  [default: eventprop mean, surrogate steps, delgrad softmax]",
)
@click.option("--rate-strength", type=float, help="Pull at the number of spikes.  [default: 0]")
@click.option(
    "--rate-target",
    type=float,
    help="Of eventprop: spikes per neuron, recording.  [default: 4]  Of surrogate: per neuron, "
    "step.  [default: 0.05]",
)
@click.option(
    "--smallest-rise",
    type=float,
    help="Of eventprop: of V at a crossing, per step; of delgrad: per --tau-syn-ms.  "
    "[default: 0.1]",
)
@click.option(
    "--margin", type=float, help="Of delgrad: of the objective, in --tau-syn-ms.  [default: 0.1]"
)
@click.option("--pull", type=float, help="Of delgrad: at silent hidden neurons.  [default: 1]")
@click.option("--output-pull", type=float, help="Of delgrad: at silent outputs.  [default: 10]")
@click.option(
    "--surrogate-scale",
    type=float,
    help="Of surrogate: height of a spike's derivative; a smaller one tames gradients that explode "
    "in recurrent networks.  [default: 0.1]",
)
@click.option(
    "--kernel",
    type=click.Choice(["hat", "gauss"]),
    help="Of surrogate: what spreads an event around its delay.  [default: gauss]",
)
@click.option("--sigma-start", type=float, help="Of surrogate: its width at first.  [default: 4]")
@click.option("--sigma-end", type=float, help="Of surrogate: and at last.  [default: 0.1]")
@click.option(
    "--connections", type=float, help="Of surrogate: share of synapses that exist.  [default: 1]"
)
@click.option(
    "--active-delays", type=float, help="Of surrogate: share of them with a delay.  [default: 1]"
)
@click.option(
    "--rewiring",
    type=click.Choice(["fixed", "rigl", "deep-r"]),
    help="Of surrogate: how absent synapses and delays get a chance.  [default: fixed]",
)
@click.option("--device", help="Of surrogate: cpu, cuda, ...  [default: cpu]")
@click.option(
    "--threads", type=click.IntRange(min=1), help="Of surrogate: on the processor.  [default: 1]"
)
@shift
@hold_out
@checkpoint
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
    tau_ms: float | None,
    tau_syn_ms: float | None,
    readout_alpha: float | None,
    input_scale: float | None,
    epochs: int,
    batch: int,
    rate: float | None,
    delay_rate: float | None,
    objective: str | None,
    rate_strength: float | None,
    rate_target: float | None,
    smallest_rise: float | None,
    margin: float | None,
    pull: float | None,
    output_pull: float | None,
    surrogate_scale: float | None,
    kernel: str | None,
    sigma_start: float | None,
    sigma_end: float | None,
    connections: float | None,
    active_delays: float | None,
    rewiring: str | None,
    device: str | None,
    threads: int | None,
    shift: int,
    hold_out: str | None,
    checkpoint: str | None,
    seed: int,
    as_json: bool,
) -> None:
    """Train a network on DATA: `digits:train`, `yin-yang:train` or any file of events or counts."""
    from dataclasses import asdict, replace

    import model
    from learn import make_first_spike_network, make_network
    from learn.initial import INPUT_SCALE
    from ranvier.sources import check_writable, ends, labelled, open_data, show, split
    from ranvier.training import trainer_of

    check_writable(output)
    if checkpoint is not None:
        check_writable(checkpoint)
    own = {
        "objective": objective,
        "rate_strength": rate_strength,
        "rate_target": rate_target,
        "smallest_rise": smallest_rise,
        "margin": margin,
        "pull": pull,
        "output_pull": output_pull,
        "surrogate_scale": surrogate_scale,
        "kernel": kernel,
        "sigma_start": sigma_start,
        "sigma_end": sigma_end,
        "connections": connections,
        "active_delays": active_delays,
        "rewiring": rewiring,
        "device": device,
        "threads": threads,
    }
    own = {name: value for name, value in own.items() if value is not None}
    for name in own:
        if name not in OWN[rule]:
            those = " and ".join(f"--rule {other}" for other, has in OWN.items() if name in has)
            raise ValueError(f"--{name.replace('_', '-')} is an option of {those}, not of {rule}")
    given = labelled(open_data(data), data)
    counts = given.binned(units_per_channel=units_per_channel, dt_ms=dt_ms, steps=steps)
    size: dict[str, Any] = {
        **ends(counts),
        "hidden": hidden,
        "delay": delay,
        "max_delay": max_delay,
        "delays": delays,
        "seed": seed,
    }
    if rule == "delgrad":
        for option, value in (
            ("recurrent", recurrent),
            ("readout-alpha", readout_alpha),
            ("input-scale", input_scale),
        ):
            if value is not None:
                raise ValueError(f"--{option} has no meaning for first spikes; leave it out")
        start = make_first_spike_network(
            **size, tau_ms=tau_ms, tau_syn_ms=TAU_SYN_MS if tau_syn_ms is None else tau_syn_ms
        )
    else:
        exact = rule == "eventprop"
        start = make_network(
            **size,
            tau_ms=TAU_MS if tau_ms is None else tau_ms,
            tau_syn_ms=TAU_SYN_MS if exact and tau_syn_ms is None else tau_syn_ms,
            reset="zero" if exact else "subtract",
            readout_alpha=READOUT_ALPHA if readout_alpha is None else readout_alpha,
            recurrent=recurrent,
            input_scale=INPUT_SCALE if input_scale is None else input_scale,
        )
    told: dict[str, Any] = {"batch": batch, "channel_shift": shift}
    if rate is not None:
        told["weight_rate"] = rate
    if fixed_delays or delay_rate is not None:
        told["delay_rate"] = 0.0 if fixed_delays else delay_rate
    how: dict[str, Any] = {n: own.pop(n) for n in ("device", "threads") if n in own}
    work = trainer_of(rule, {**told, **own}, how)
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
