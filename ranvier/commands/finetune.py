"""`ranvier finetune`: a float network, trained on for the integers of a chip."""

from __future__ import annotations

from pathlib import Path

import click

from ranvier.mapping import asked, of_projections
from ranvier.options import (
    as_json,
    checkpoint,
    granularity,
    hold_out,
    seed,
    shift,
    word_bits,
)


@click.command(name="finetune")
@click.argument("network")
@click.argument("data")
@click.option("--output", "-o", type=click.Path(), required=True, help="Network to write (npz).")
@of_projections("weight_bits", "delay_bits", "resolution")
@word_bits
@granularity
@click.option(
    "--search",
    type=click.Choice(["range", "weights", "outputs"]),
    default="weights",
    show_default=True,
    help="What scales are chosen by, once, before the first epoch.",
)
@click.option("--epochs", type=click.IntRange(min=1), default=30, show_default=True)
@click.option("--batch", type=click.IntRange(min=1), default=64, show_default=True)
@click.option("--rate", type=float, default=2e-3, show_default=True, help="Step of the weights.")
@click.option("--delay-rate", type=float, default=0.1, show_default=True, help="Of the delays.")
@shift
@hold_out
@checkpoint
@seed
@as_json
def command(
    network: str,
    data: str,
    output: str,
    weight_bits: tuple[str, ...],
    delay_bits: tuple[str, ...],
    resolution: tuple[str, ...],
    word_bits: int | None,
    granularity: str,
    search: str,
    epochs: int,
    batch: int,
    rate: float,
    delay_rate: float,
    shift: int,
    hold_out: str | None,
    checkpoint: str | None,
    seed: int,
    as_json: bool,
) -> None:
    """Train NETWORK on DATA with weights and delays rounded as on a chip.

    By the three-factor rule, and by EventProp where neurons have synaptic currents.

    What is written has the very numbers of the chip: `ranvier quantize` with the same bits finds
    them again, and loses nothing.
    """
    from dataclasses import asdict, replace

    import model
    from learn import EventProp
    from quant import Granularity, Search
    from ranvier.commands.quantize import summary
    from ranvier.commands.train import said, stopped
    from ranvier.defaults import OPTIONS
    from ranvier.sources import (
        check_writable,
        for_network,
        labelled,
        open_data,
        open_network,
        show,
        split,
    )
    from ranvier.tuning import RULE, finetune

    check_writable(output)
    if checkpoint is not None:
        check_writable(checkpoint)
    bits = {"weight_bits": weight_bits, "delay_bits": delay_bits, "resolution": resolution}
    options = replace(
        asked(OPTIONS, bits),
        word_bits=word_bits,
        granularity=Granularity(granularity),
        search=Search(search),
    )
    start = open_network(network)
    rule = replace(
        EventProp() if start.has_currents else RULE,
        batch=batch,
        weight_rate=rate,
        delay_rate=delay_rate,
        channel_shift=shift,
    )
    counts = for_network(labelled(open_data(data), data), start)
    examples, held_out = split(counts, hold_out)
    try:
        tuned = finetune(
            start,
            examples,
            rule,
            options=options,
            epochs=epochs,
            seed=seed,
            held_out=held_out,
            checkpoint=checkpoint,
            progress=lambda epoch: click.echo(said(epoch, epochs), err=True),
        )
    except KeyboardInterrupt:
        raise click.ClickException(stopped(checkpoint)) from None
    provenance = {**tuned.network.provenance, "data": Path(data).name, "source": counts.source}
    model.save(replace(tuned.network, provenance=provenance), output)
    if as_json:
        history = [asdict(epoch) for epoch in tuned.history]
        show({"history": history, "provenance": provenance})
    else:
        click.echo("\n".join(summary(tuned.loss)))
    click.echo(f"{output}: written", err=True)
