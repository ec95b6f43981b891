"""`ranvier quantize`: a float network onto a chip."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ranvier.mapping import asked, of_projections
from ranvier.options import as_json, granularity, word_bits

if TYPE_CHECKING:
    from quant.loss import Loss


@click.command(name="quantize")
@click.argument("network")
@click.option("--output", "-o", type=click.Path(), required=True, help="Image to write: X.ranvier.")
@click.option("--chip", help="A catalogue name, chip.json or image.  [default: one that fits]")
@of_projections("weight_bits", "delay_bits")
@word_bits
@click.option("--membrane-bits", type=int, help="[default: 20, or the chip's]")
@click.option("--coefficient-bits", type=int, help="Of the leak.  [default: 9, or the chip's]")
@click.option("--count-bits", type=int, help="Of an input event.  [default: 5, or the chip's]")
@click.option("--lanes", type=int, help="Synapses per clock.  [default: 8, or the chip's]")
@click.option("--leak", type=click.Choice(["multiply", "shift"]), help="[default: multiply]")
@granularity
@click.option(
    "--scale",
    type=click.Choice(["free", "power-of-two", "integer"]),
    default="free",
    show_default=True,
    help="What a scale may be.",
)
@click.option(
    "--search",
    type=click.Choice(["range", "weights", "outputs"]),
    default="range",
    show_default=True,
    help="What scales are chosen by: no clipping, least error, or the chip's answers to the data.",
)
@click.option(
    "--clip",
    type=float,
    default=0.25,
    show_default=True,
    help="Share of the weights that a search may clip.",
)
@of_projections("resolution", "prune")
@click.option("--headroom", type=float, default=1.5, show_default=True, help="Of the membranes.")
@click.option("--emit", multiple=True, metavar="POPULATION", help="Let its spikes leave the chip.")
@click.option("--calibrate", metavar="DATA", help="Typical recordings; decides the membrane scale.")
@click.option(
    "--recordings",
    type=click.IntRange(min=1),
    default=256,
    show_default=True,
    help="Of them to use.",
)
@as_json
def command(
    network: str,
    output: str,
    chip: str | None,
    weight_bits: tuple[str, ...],
    delay_bits: tuple[str, ...],
    word_bits: int | None,
    membrane_bits: int | None,
    coefficient_bits: int | None,
    count_bits: int | None,
    lanes: int | None,
    leak: str | None,
    granularity: str,
    scale: str,
    search: str,
    clip: float,
    resolution: tuple[str, ...],
    prune: tuple[str, ...],
    headroom: float,
    emit: tuple[str, ...],
    calibrate: str | None,
    recordings: int,
    as_json: bool,
) -> None:
    """Map NETWORK (an npz file or a shipped name) onto integers, and say what that changed."""
    from dataclasses import replace

    import datapath.files
    from datapath import Leak
    from quant import Granularity, Scale, Search, options_for, quantize
    from ranvier.defaults import OPTIONS
    from ranvier.sources import (
        LOSS,
        NETWORK,
        check_writable,
        for_network,
        network_bytes,
        open_chip,
        open_data,
        open_network,
        some,
    )

    check_writable(output)
    target = None if chip is None else open_chip(chip)
    options = OPTIONS if target is None else options_for(target)

    def chosen(name: str, asked: int | None) -> int:
        value: int = getattr(options, name) if asked is None else asked
        return value

    options = replace(
        options,
        membrane_bits=chosen("membrane_bits", membrane_bits),
        coefficient_bits=chosen("coefficient_bits", coefficient_bits),
        count_bits=chosen("count_bits", count_bits),
        lanes=chosen("lanes", lanes),
        leak=options.leak if leak is None else Leak(leak),
        granularity=Granularity(granularity),
        scale=Scale(scale),
        search=Search(search),
        clip=clip,
        headroom=headroom,
        emit=emit,
    )
    own = {
        "weight_bits": weight_bits,
        "delay_bits": delay_bits,
        "resolution": resolution,
        "prune": prune,
    }
    # Last: bits of single projections and a word to share out exclude each other.
    options = replace(asked(options, own), word_bits=word_bits)
    floats = open_network(network)
    calibration = None
    if calibrate is not None:
        calibration = for_network(some(open_data(calibrate), recordings), floats).counts
    image, loss = quantize(floats, chip=target, options=options, calibration=calibration)
    extras = {NETWORK: network_bytes(floats), LOSS: loss.to_json().encode()}
    datapath.files.save(image, output, extras=extras)
    click.echo(loss.to_json() if as_json else "\n".join(summary(loss)))
    click.echo(f"{output}: written", err=True)


def summary(loss: Loss) -> list[str]:
    """Say what changed, a line per projection and population, then the notes."""
    lines = [*tried(loss)]
    mixed = len({(p.weight_bits, p.delay_bits) for p in loss.projections}) > 1
    for p in loss.projections:
        moved = sum(count for steps, count in p.moved if steps)
        bits = f"{p.weight_bits}-bit " if mixed else ""
        words = f"{p.delay_bits}-bit " if mixed and p.delay_bits else ""
        pruned = f" ({p.pruned} pruned)" if p.pruned else ""
        lines.append(
            f"{p.name}: {p.weights} {bits}weights, rms error {p.rms_error:.2g} of "
            f"{p.rms_weight:.2g}, {p.zeroed} became 0{pruned}, {len(p.clipped)} clipped; "
            f"{words}{p.mode} delays, {moved} moved, {len(p.clamped)} clamped"
        )
        if p.clamped:
            *_, wanted, applied = max(p.clamped, key=lambda entry: entry[-2])
            lines.append(
                f"{p.name}: {len(p.clamped)} delays are beyond the reach of the chip; the longest "
                f"of them, {wanted} steps, became {applied}"
            )
    for q in loss.populations:
        alpha = max((abs(a - b) for a, b in zip(q.alpha, q.alpha_applied, strict=True)), default=0)
        lines.append(
            f"{q.name}: {'lossless' if q.lossless else 'rounded'}, leak off by {alpha:.2g}, "
            f"threshold off by {q.threshold_error:.2g}, {q.saturated} of {q.updates} membrane "
            f"updates saturated, {len(q.silent)} silent neurons in float, "
            f"{len(q.silent_applied)} on the chip"
        )
    return [*lines, *loss.notes]


def tried(loss: Loss) -> list[str]:
    """Say what was tried on the calibration data, a line each, and what was chosen."""
    return [
        f"{'*' if trial.chosen else ' '} {trial.what}: answers {trial.alike:.4f} alike, same class "
        f"in {100 * trial.same_class:.2f} %"
        for trial in loss.trials
    ]
