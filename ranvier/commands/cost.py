"""`ranvier cost`: memory, time, area and energy of a chip."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import click

from ranvier.options import as_json, mhz, recordings


@click.command(name="cost")
@click.argument("chip")
@click.argument("data", required=False)
@mhz
@recordings
@as_json
def command(chip: str, data: str | None, mhz: float, recordings: int | None, as_json: bool) -> None:
    """Say what CHIP costs: a catalogue name, a chip.json or an image.

    Memory is exact, area an estimate that names its error. With an image and DATA (a data set, or
    `digits`), clocks and latencies, which are exact, and energy, which is an estimate, follow from
    what the chip does on the recordings.
    """
    from datapath.catalog import CHIPS
    from quant.budget import budget
    from ranvier.sources import is_image, open_chip, open_image, show

    image = open_image(chip) if chip not in CHIPS and is_image(chip) else None
    if data is not None and image is None:
        raise ValueError(f"{chip}: is a chip without a network, and only a network works on data")
    found = None if data is None or image is None else _active(image, data, recordings)
    figures = budget(open_chip(chip), image, found, mhz)
    if as_json:
        show({"chip": chip, "data": data, **figures})
        return
    for line in said(figures):
        click.echo(line)


def _active(image: Any, data: str, recordings: int | None) -> Any:
    from quant.activity import activity
    from ranvier.progress import bar
    from ranvier.sources import for_image, open_data, some

    counts = for_image(some(open_data(data), recordings), image)
    with bar("recordings") as progress:
        return activity(image, counts.counts, progress)


def said(figures: dict[str, Any]) -> list[str]:
    """Say the figures in lines."""
    lines = _memory(figures["memory"])
    if "waiting" in figures:
        lines += ["", *_waiting(figures["waiting"])]
    lines += ["", *_area(figures["area"])]
    if "speed" in figures:
        lines += ["", *_speed(figures), "", *_energy(figures["energy"])]
        lines += ["", *_metrics(figures["neurobench"])]
    return lines


def columns(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Set rows in columns, the first to the left and the others to the right."""
    table = [list(head), *map(list, rows)]
    widths = [max(len(row[n]) for row in table) for n in range(len(head))]
    lines = []
    for first, *others in table:
        numbers = (cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True))
        lines.append("  ".join([first.ljust(widths[0]), *numbers]).rstrip())
    return lines


def _memory(found: dict[str, Any]) -> list[str]:
    used = [(name, bits) for name, bits in found["groups"].items() if bits]
    share = [(name, f"{bits:,}", f"{100 * bits / found['bits']:.1f} %") for name, bits in used]
    total = ("all", f"{found['bits']:,}", "100.0 %")
    return columns(("memory, exact", "bits", ""), [*share, total])


def _waiting(found: list[dict[str, Any]]) -> list[str]:
    rows = [
        (
            f"{way['owner']} delays, {way['place']}",
            f"{way['words']:,}",
            f"{way['waiting']:,}" + (" (measured)" if way["measured"] else ""),
            f"{way['sums']:,}",
            f"{way['bits']:,}",
        )
        for way in found
    ]
    return columns(("the delays of this network", "words", "waiting", "sums", "bits"), rows)


def _area(found: dict[str, Any]) -> list[str]:
    rows = []
    for family, kinds in found.items():
        for kind, e in kinds.items():
            error = f"{100 * e['mean_error']:.1f} %, at most {100 * e['largest_error']:.1f} %"
            rows.append((f"{family} {kind}", f"{e['number']:,}", error))
    head = ("area, estimated", "cells", "error on chips held out of the fit")
    return columns(head, rows)


def _speed(figures: dict[str, Any]) -> list[str]:
    cycles, found = figures["cycles"], figures["speed"]
    clocks = (
        f"clocks, exact, {figures['recordings']} recordings: per tick {cycles['least']:,} to "
        f"{cycles['most']:,}, median {cycles['median']:,.0f}"
    )
    time = (
        f"at {found['mhz']:g} MHz: {found['mean_ms']:.3f} ms per recording "
        f"({found['least_ms']:.3f} to {found['most_ms']:.3f}), {found['recordings_per_s']:,.0f} "
        f"recordings per second, {found['real_time']:,.0f} times real time"
    )
    return [clocks, time]


def _energy(found: dict[str, Any]) -> list[str]:
    low, high = found["nj_per_recording"]
    least, most = found["pj_per_synaptic_operation"]
    rows = sorted(found["parts"], key=lambda part: -part["nj"][1])
    lines = columns(
        ("energy, estimated for 45 nm, nJ per recording", "from", "to"),
        [
            *((p["name"], *(f"{nj:,.1f}" for nj in p["nj"])) for p in rows if p["nj"][1]),
            ("all", f"{low:,.1f}", f"{high:,.1f}"),
        ],
    )
    return [*lines, f"{least:,.2f} to {most:,.2f} pJ per effective synaptic operation"]


def _metrics(found: dict[str, float]) -> list[str]:
    sizes = (
        f"NeuroBench: footprint {found['footprint_bytes']:,.0f} bytes, connection sparsity "
        f"{found['connection_sparsity']:.4f}, activation sparsity "
        f"{found['activation_sparsity']:.4f}"
    )
    work = (
        f"synaptic operations per recording: {found['effective_acs']:,.0f} ACs and "
        f"{found['effective_macs']:,.0f} MACs effective, {found['dense']:,.0f} dense"
    )
    return [sizes, work]
