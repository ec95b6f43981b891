"""A report on one page: HTML without any outside resource, and the same figures as JSON."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from html import escape
from pathlib import Path

from quant import charts
from quant.findings import Figures
from quant.page import STYLE, card, paragraph, picture, pictures, section, table


def write_report(figures: Figures, path: str | os.PathLike[str]) -> tuple[Path, Path]:
    """Write `figures` (see `findings`) to `path` as HTML, and beside it as JSON.

    Both files are complete or not there; the same figures give the same bytes.

    Returns
    -------
    The paths of the HTML and of the JSON file.

    Raises
    ------
    OSError
        The folder does not exist or cannot be written.
    """
    html = Path(path)
    if html.suffix.lower() not in (".html", ".htm"):
        raise ValueError(f"{html}: a report must be called *.html")
    data = html.with_suffix(".json")
    text = json.dumps(figures, indent=1, sort_keys=True, allow_nan=False) + "\n"
    for target, content in ((html, page(figures)), (data, text)):
        _write(target, content)
    return html, data


def _write(path: Path, text: str) -> None:
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        part.write_text(text, encoding="utf-8")
        os.replace(part, path)
    except OSError as error:
        raise OSError(f"{path}: cannot be written: {error.strerror or error}") from None
    finally:
        with suppress(OSError):
            part.unlink()


def page(figures: Figures) -> str:
    """Return the HTML page of `figures`."""
    title = escape(figures["title"])
    sections = (
        _headline(figures),
        _layers(figures),
        _mapping(figures),
        _weights(figures),
        _spikes(figures),
        _classes(figures),
        _memory(figures),
        _chip(figures),
        _provenance(figures),
    )
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n"
        f"<h1>{title}</h1>\n" + "\n".join(sections) + "\n</main>\n</body>\n</html>\n"
    )


def _percent(share: float) -> str:
    return f"{100 * share:.2f} %"


def _within(bounds: list[float]) -> str:
    return f"95 %: {100 * bounds[0]:.2f} to {100 * bounds[1]:.2f} %"


def _number(value: float | None) -> str:
    """Three digits; None is what has no bound."""
    if value is None:
        return "infinite"
    return f"{value:.3g}" if value == 0 or 1e-3 <= abs(value) < 1e6 else f"{value:.2e}"


def _span(values: list[float | None]) -> str:
    low, high = (_number(v) for v in values)
    return low if low == high else f"{low} to {high}"


def _bits(bits: int) -> str:
    return f"{bits / 1024:.1f} Kibit" if bits >= 1024 else f"{bits} bit"


def _headline(figures: Figures) -> str:
    found, cycles = figures["accuracy"], figures["comparison"]["cycles"]
    lost = f"{100 * found['lost']:+.2f} points"
    return "\n".join(
        [
            '<div class="cards">',
            card(_percent(found["float"]), "float accuracy", _within(found["float_interval"])),
            card(_percent(found["chip"]), "chip accuracy", _within(found["chip_interval"])),
            card(lost, "accuracy lost", f"95 %: ± {100 * found['lost_half_interval']:.2f}"),
            card(_percent(found["agreement"]), "same class", _within(found["agreement_interval"])),
            card(_bits(figures["memory"]["bits"]), "memory", f"{figures['memory']['bits']:,} bits"),
            card(
                f"{cycles['median']:,.0f}", "clocks per tick", f"median; at most {cycles['most']:,}"
            ),
            "</div>",
            paragraph(
                f"{found['recordings']:,} recordings. Intervals are Wilson's for a share, and that "
                "of paired recordings for the loss (positive: the chip is worse)."
            ),
        ]
    )


def _layers(figures: Figures) -> str:
    found = figures["comparison"]
    populations = found["populations"]
    firing = [p for p in populations if p["spikes"]]
    spikes = [
        [
            p["name"],
            f"{p['size']}",
            f"{p['spikes']['float_rate_hz']:.2f}",
            f"{p['spikes']['chip_rate_hz']:.2f}",
            f"{100 * p['spikes']['differing']:.3f}",
            _number(p["spikes"]["count_difference"]),
            _number(p["spikes"]["van_rossum"]),
            f"{100 * p['spikes']['unlike']:.2f}",
            f"{p['spikes']['silent_float']} / {p['spikes']['silent_chip']}",
        ]
        for p in firing
    ]
    membranes = [
        [
            p["name"],
            _number(p["membrane"]["early_rms"]),
            _number(p["membrane"]["rms"]),
            _number(p["membrane"]["mean"]),
            f"{p['saturated']:,}",
            f"{p['updates']:,}",
        ]
        for p in populations
    ]
    return section(
        "Layer by layer",
        paragraph(
            f"Float network and chip run side by side on {found['recordings']:,} recordings of "
            f"{found['steps']} steps."
        ),
        table(
            "Spike trains",
            (
                "population",
                "neurons",
                "float Hz",
                "chip Hz",
                "bits that differ %",
                "spikes ±",
                f"van Rossum ({found['tau_ms']:g} ms)",
                "of unrelated %",
                "silent float / chip",
            ),
            spikes,
        ),
        table(
            "Membranes, in thresholds (of the readout: in its float rms)",
            ("population", "rms error, arithmetic", "rms error", "mean error", "saturated", "of"),
            membranes,
        ),
        paragraph(
            "Spikes ± is the mean difference of the number of spikes per neuron and recording. "
            "The van Rossum distance is 1/2 for one spike too many; beside it, its share of what "
            "unrelated trains of these numbers of spikes would have. The arithmetic error counts "
            "the steps before the first spike that differs, the other all steps."
        ),
    )


def _mapping(figures: Figures) -> str:
    data = figures["calibration"]["recordings"]
    seen = f"on {data:,} calibration recordings" if data else "bounded by the weights"
    populations = [
        [
            p["name"],
            _span(p["lsbs"]),
            f"{100 * p['threshold_error']:.3f}",
            _number(p["bias_error"]),
            _span(p["tau_ms"]),
            _span(p["tau_ms_applied"]),
            _number(p["span"]),
            _number(p["headroom"]),
            f"{p['silent']} / {p['silent_applied']}" if data else "no data",
        ]
        for p in figures["populations"]
    ]
    projections = [
        [
            p["name"],
            f"{p['weights']:,}",
            str(p["shift"]),
            f"{100 * p['rms_error'] / (p['rms_weight'] or 1):.2f}",
            _number(p["max_error"]),
            f"{p['zeroed']:,}",
            f"{p['clipped']:,}",
            p["mode"] if p["mode"] == p["mode_wanted"] else f"{p['mode_wanted']} as {p['mode']}",
            str(1 << p["resolution"]),
            f"{p['moved']:,} of {p['delays']:,}",
            str(p["largest_move"]),
            f"{p['clamped']:,}",
        ]
        for p in figures["projections"]
    ]
    return section(
        "What the mapping changed",
        table(
            "Populations",
            (
                "population",
                "LSBs per threshold",
                "threshold error %",
                "bias error",
                "tau ms, float",
                "tau ms, chip",
                "largest membrane",
                "headroom",
                "silent float / chip",
            ),
            populations,
        ),
        table(
            "Projections",
            (
                "projection",
                "weights",
                "shift",
                "rms error %",
                "largest error",
                "became 0",
                "clipped",
                "delays",
                "steps per word",
                "moved",
                "by at most",
                "clamped",
            ),
            projections,
        ),
        paragraph(
            f"Largest membranes are in thresholds, {seen}; headroom is how many times the membrane "
            "word holds them. A readout has no threshold: its LSBs are per float unit."
        ),
        *(paragraph(note) for note in figures["notes"]),
    )


def _weights(figures: Figures) -> str:
    parts = []
    for p in figures["projections"]:
        parts.append(
            picture(
                charts.pair(p["weight_histogram"], "weight, float units", "synapses"),
                f"{p['name']}: weights, float and as the chip applies them.",
            )
        )
        if p["delays"] > 1:
            parts.append(
                picture(
                    charts.pair(p["delay_histogram"], "delay in steps", "delays"),
                    f"{p['name']}: delays from emission to integration.",
                )
            )
    for p in figures["comparison"]["populations"]:
        if p["membrane"]["histogram"]:
            parts.append(
                picture(
                    charts.histogram(
                        p["membrane"]["histogram"],
                        figures["membrane_edges"],
                        "error of the membrane, thresholds",
                        "updates",
                        log=True,
                    ),
                    f"{p['name']}: chip minus float; the outermost bins hold what is beyond.",
                )
            )
    cycles = figures["comparison"]["cycles"]
    parts.append(
        picture(
            charts.histogram(cycles["histogram"], cycles["edges"], "clocks", "ticks", log=False),
            f"Clocks per tick: median {cycles['median']:,.0f}, 99 % within {cycles['high']:,.0f}, "
            f"at most {cycles['most']:,}.",
        )
    )
    return section("Weights, delays, membranes, clocks", pictures(parts))


def _spikes(figures: Figures) -> str:
    found, labels = figures["example"], figures["confusion"]["labels"]
    wanted, got = (labels[n] for n in found["classes"])
    parts = [picture(charts.raster(found, None), "Input events.")]
    for index, p in enumerate(found["populations"]):
        same = len({tuple(s) for s in p["float"]} & {tuple(s) for s in p["chip"]})
        parts.append(
            picture(
                charts.raster(found, index),
                f"{p['name']}: {same:,} spikes of both, {len(p['float']) - same:,} of the float "
                f"network alone, {len(p['chip']) - same:,} of the chip alone.",
            )
        )
    return section(
        "One recording",
        f"<p>Spikes of both are dark, those of the <span class='float'>float network alone</span> "
        f"and of the <span class='chip'>chip alone</span> coloured. Class given: float "
        f"{escape(wanted)}, chip {escape(got)}.</p>",
        pictures(parts),
    )


def _classes(figures: Figures) -> str:
    found = figures["confusion"]
    return section(
        "Classes",
        pictures(
            [
                picture(charts.confusion(found, which), f"Recordings by label and class, {which}.")
                for which in ("float", "chip")
            ]
        ),
    )


def _memory(figures: Figures) -> str:
    found = figures["memory"]
    total = found["bits"]
    groups = [
        [name, f"{bits:,}", f"{100 * bits / total:.1f}"] for name, bits in found["groups"].items()
    ]
    memories = [
        [
            m["name"],
            m["group"],
            str(m["banks"]),
            f"{m['words']:,}",
            str(m["width"]),
            f"{m['bits']:,}",
        ]
        for m in found["memories"]
    ]
    return section(
        "Memory",
        table("By use", ("use", "bits", "%"), [*groups, ["all", f"{total:,}", "100.0"]]),
        table("By memory", ("memory", "use", "banks", "words", "bits per word", "bits"), memories),
        paragraph("Bits are exact: they are those of the memories that the chip is built with."),
    )


def _chip(figures: Figures) -> str:
    return section(
        "Chip",
        table("Parameters", (), figures["chip"].items(), text=True),
        table("Options of the mapping", (), figures["options"].items(), text=True),
    )


def _provenance(figures: Figures) -> str:
    rows = figures["provenance"].items()
    counts = figures["accuracy"]["saturated_counts"] + figures["calibration"]["saturated_counts"]
    parts = [table("How it was made", (), rows, text=True)] if rows else []
    if counts:
        parts.append(
            paragraph(f"{counts:,} input counts were more than a channel takes in a tick.")
        )
    return section("Provenance", *parts) if parts else ""
