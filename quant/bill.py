"""The sections of a report that say what a chip costs."""

from __future__ import annotations

from typing import Any

from quant.page import paragraph, section, table

Figures = dict[str, Any]


def cost_sections(figures: Figures) -> list[str]:
    """Return the sections on delays, time, area, energy and devices that there are figures for."""
    found, parts = figures["cost"], []
    if found is not None:
        parts += [_waiting(found), _work(found), _area(found), _energy(found)]
    if figures["synthesis"]:
        parts.append(_devices(figures["synthesis"]))
    return parts


def _waiting(found: Figures) -> str:
    rows = [
        [
            f"{way['owner']} delays, {way['place']}",
            *(f"{way[part]:,}" for part in ("words", "waiting", "sums", "bits")),
            "counted on the recordings" if way["measured"] else "every case",
        ]
        for way in found["waiting"]
    ]
    head = ("way", "delay words", "what waits", "sums", "bits", "holds for")
    return section(
        "Where delayed spikes wait",
        table("Bits for the delays of this network", head, rows),
        paragraph(
            "Axonal delays belong to sources, synaptic ones to synapses. A ring has a word for "
            "every tick that is needed; a queue is shared by the sources of a population, and as "
            "long as the most spikes that were under way at a time."
        ),
    )


def _work(found: Figures) -> str:
    speed, bench = found["speed"], found["neurobench"]
    times = [
        ["latency of a recording in ms, least", f"{speed['least_ms']:.3f}"],
        ["mean", f"{speed['mean_ms']:.3f}"],
        ["most", f"{speed['most_ms']:.3f}"],
        ["slowest tick in us", f"{speed['tick_us']:.2f}"],
        ["recordings per second", f"{speed['recordings_per_s']:,.0f}"],
        ["times real time", f"{speed['real_time']:,.0f}"],
    ]
    metrics = [
        ["footprint in bytes", f"{bench['footprint_bytes']:,.0f}"],
        ["connection sparsity", f"{bench['connection_sparsity']:.4f}"],
        ["activation sparsity", f"{bench['activation_sparsity']:.4f}"],
        ["effective ACs per recording", f"{bench['effective_acs']:,.0f}"],
        ["effective MACs per recording", f"{bench['effective_macs']:,.0f}"],
        ["dense operations per recording", f"{bench['dense']:,.0f}"],
    ]
    return section(
        "Time and work",
        table(f"At {speed['mhz']:g} MHz, exact", (), times),
        table("NeuroBench", (), metrics),
        paragraph("An operation in a tick in which an input is above 1 is a MAC, else an AC."),
    )


def _area(found: Figures) -> str:
    rows = []
    for family, kinds in found["area"].items():
        for kind, e in kinds.items():
            off, most = (f"{100 * e[name]:.1f} %" for name in ("mean_error", "largest_error"))
            rows.append([f"{family} {kind}", f"{e['number']:,}", off, most])
    head = ("cells", "estimate", "mean error, held-out chips", "largest")
    return section(
        "Area, estimated",
        table("", head, rows),
        paragraph("The areas of standard cells, um2, are without the memories."),
    )


def _energy(found: Figures) -> str:
    energy = found["energy"]
    parts = sorted(energy["parts"], key=lambda part: -float(part["nj"][1]))
    rows = [[p["name"], *(f"{nj:,.1f}" for nj in p["nj"])] for p in parts if p["nj"][1]]
    rows.append(["all", *(f"{nj:,.1f}" for nj in energy["nj_per_recording"])])
    sources = [
        [e["operation"], f"{e['pj']:g} pJ", f"{e['source']}, {e['year']}"] for e in energy["table"]
    ]
    low, high = energy["pj_per_synaptic_operation"]
    return section(
        "Energy, estimated for 45 nm",
        table("nJ per recording", ("operation", "from", "to"), rows),
        paragraph(f"{low:,.2f} to {high:,.2f} pJ per effective synaptic operation."),
        table("The figures behind it", (), sources, text=True),
    )


def _devices(found: list[Figures]) -> str:
    kinds = ("lut", "ff", "lutram", "bram", "dsp")
    rows = [
        [
            entry["target"],
            *(f"{entry['counts'][kind]:,}" for kind in kinds),
            f"{entry['area_um2']:,.0f}" if entry["area_um2"] is not None else "",
            f"{entry['fmax_mhz']:.1f}" if entry["fmax_mhz"] is not None else "",
            str(entry["seed"]),
        ]
        for entry in found
    ]
    tools = sorted({f"{name}: {said}" for entry in found for name, said in entry["tools"].items()})
    return section(
        "Synthesized",
        table("", ("target", *kinds, "um2", "MHz", "seed"), rows),
        paragraph("; ".join(tools)),
    )
