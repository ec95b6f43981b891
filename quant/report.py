"""A report on one page: HTML without any outside resource, and the same figures as JSON."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from html import escape
from pathlib import Path

from quant import charts
from quant.bill import cost_sections
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
    text = json.dumps(figures, indent=1, allow_nan=False) + "\n"
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
        *_learning(figures),
        _memory(figures),
        *cost_sections(figures),
        _chip(figures),
        _provenance(figures),
    )
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n"
        f"<h1>{title}</h1>\n" + "\n".join(sections) + "\n</main>\n</body>\n</html>\n"
    )


def _percent(share: float, digits: int = 2) -> str:
    return f"{100 * share:.{digits}f} %"


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
    return f"{bits / 1024:.0f} Kibit" if bits >= 10240 else f"{bits} bit"


def _headline(figures: Figures) -> str:
    found, cycles = figures["accuracy"], figures["comparison"]["cycles"]
    lost, half = (f"{100 * found[name]:.2f}" for name in ("lost", "lost_half_interval"))
    return "\n".join(
        [
            '<div class="cards">',
            card(_percent(found["float"]), "float accuracy", _within(found["float_interval"])),
            card(_percent(found["chip"]), "chip accuracy", _within(found["chip_interval"])),
            card(lost, "points of accuracy lost", f"95 %: ± {half}"),
            card(_percent(found["agreement"]), "same class", _within(found["agreement_interval"])),
            card(_bits(figures["memory"]["bits"]), "memory", f"{figures['memory']['bits']:,} bits"),
            card(
                f"{cycles['median']:,.0f}", "clocks per tick", f"median; at most {cycles['most']:,}"
            ),
            "</div>",
            paragraph(
                f"{found['recordings']:,} recordings. Intervals are Wilson's for a share, and that "
                "of paired recordings for the loss."
            ),
        ]
    )


def _layers(figures: Figures) -> str:
    found = figures["comparison"]
    firing = [p["name"] for p in found["populations"] if p["spikes"]]
    spikes = [p["spikes"] for p in found["populations"] if p["spikes"]]
    names = [p["name"] for p in found["populations"]]
    membranes = [p["membrane"] for p in found["populations"]]
    saturated = [f"{p['saturated']:,} of {p['updates']:,}" for p in found["populations"]]
    return section(
        "Layer by layer",
        paragraph(
            f"Float network and chip side by side on {found['recordings']:,} recordings of "
            f"{found['steps']} steps."
        ),
        table(
            "",
            ("Spike trains", *firing),
            [
                [
                    "spikes per second, float",
                    *(f"{p['float_rate_hz']:.2f}" for p in spikes),
                ],
                ["spikes per second, chip", *(f"{p['chip_rate_hz']:.2f}" for p in spikes)],
                ["spike bits that differ", *(_percent(p["differing"], 3) for p in spikes)],
                [
                    "spikes too many or few, per neuron and recording",
                    *(_number(p["count_difference"]) for p in spikes),
                ],
                [
                    f"van Rossum distance, {found['tau_ms']:g} ms",
                    *(_number(p["van_rossum"]) for p in spikes),
                ],
                ["of that of unrelated trains", *(_percent(p["unlike"]) for p in spikes)],
                ["silent neurons, float", *(str(p["silent_float"]) for p in spikes)],
                ["silent neurons, chip", *(str(p["silent_chip"]) for p in spikes)],
            ],
        ),
        table(
            "",
            ("Membranes, chip minus float", *names),
            [
                ["rms, arithmetic alone", *(_number(p["early_rms"]) for p in membranes)],
                ["rms", *(_number(p["rms"]) for p in membranes)],
                ["mean", *(_number(p["mean"]) for p in membranes)],
                ["updates that saturated", *saturated],
            ],
        ),
        paragraph(
            "The van Rossum distance is 1/2 for one spike too many. Membranes are in thresholds, "
            "those of the readout in root mean squares of the float readout; arithmetic alone "
            "counts the steps before the first spike that differs."
        ),
    )


def _learning(figures: Figures) -> list[str]:
    """Return what learning on the chip brought, if it did learn."""
    epochs = figures["learning"]
    if not epochs:
        return []
    last = epochs[-1]
    clocks = sum(epoch["cycles"] for epoch in epochs)
    return [
        section(
            "Learning on the chip",
            picture(charts.curve(epochs), "Accuracy over the epochs."),
            paragraph(
                f"{len(epochs)} epochs, {clocks:,} clocks with the updates. In the last one a "
                f"signal or a gradient was out of range in {_percent(last['saturated'])} of the "
                "recordings."
            ),
        )
    ]


def _mapping(figures: Figures) -> str:
    data = figures["calibration"]["recordings"]
    seen = f"on {data:,} calibration recordings" if data else "at most, by the weights"
    populations, projections = figures["populations"], figures["projections"]
    silent = [f"{p['silent']} / {p['silent_applied']}" if data else "no data" for p in populations]
    return section(
        "What the mapping changed",
        table(
            "",
            ("Populations", *(p["name"] for p in populations)),
            [
                ["LSBs per threshold", *(_span(p["lsbs"]) for p in populations)],
                ["threshold error", *(_percent(p["threshold_error"], 3) for p in populations)],
                ["bias error, thresholds", *(_number(p["bias_error"]) for p in populations)],
                ["biases that became 0", *(str(p["biases_zeroed"]) for p in populations)],
                ["time constant in ms, float", *(_span(p["tau_ms"]) for p in populations)],
                ["time constant in ms, chip", *(_span(p["tau_ms_applied"]) for p in populations)],
                [f"largest membrane {seen}", *(_number(p["span"]) for p in populations)],
                ["times it fits the word", *(_number(p["headroom"]) for p in populations)],
                ["silent in calibration, float / chip", *silent],
            ],
        ),
        table(
            "",
            ("Projections", *(p["name"] for p in projections)),
            [
                ["weights", *(f"{p['weights']:,}" for p in projections)],
                ["bits of a weight", *(str(p["weight_bits"]) for p in projections)],
                ["left shift", *(str(p["shift"]) for p in projections)],
                ["rms error, of the rms weight", *(_relative(p) for p in projections)],
                ["largest error, float units", *(_number(p["max_error"]) for p in projections)],
                ["weights that became 0", *(f"{p['zeroed']:,}" for p in projections)],
                ["of them pruned", *(f"{p['pruned']:,}" for p in projections)],
                ["weights clipped", *(f"{p['clipped']:,}" for p in projections)],
                ["delays", *(_mode(p) for p in projections)],
                ["bits of a delay word", *(str(p["delay_bits"]) for p in projections)],
                ["steps per delay word", *(str(1 << p["resolution"]) for p in projections)],
                ["delays moved", *(f"{p['moved']:,} of {p['delays']:,}" for p in projections)],
                ["by at most, steps", *(str(p["largest_move"]) for p in projections)],
                ["delays clamped", *(f"{p['clamped']:,}" for p in projections)],
            ],
        ),
        paragraph("A readout has no threshold: its figures are in float units."),
        *(
            _listed(p["name"], what, p[f"first_{what}"], p[what])
            for p in projections
            for what in ("clipped", "clamped")
            if p[what]
        ),
        *_tried(figures),
        *(paragraph(note) for note in figures["notes"]),
    )


def _tried(figures: Figures) -> list[str]:
    """List what was tried on the calibration data, if anything was."""
    rows = [
        [t["what"], f"{t['alike']:.4f}", _percent(t["same_class"]), "yes" if t["chosen"] else ""]
        for t in figures["trials"]
    ]
    if not rows:
        return []
    return [
        table("Tried on the calibration data", ("what", "alike", "same class", "taken"), rows),
        paragraph(
            "Alike is the mean cosine of the scores of network and chip, each less its mean."
        ),
    ]


def _listed(name: str, what: str, rows: list[list[int]], number: int) -> str:
    """List clipped weights (post, pre, integers) or clamped delays (index, steps)."""
    what = {"clipped": "weights clipped, integers", "clamped": "delays clamped, steps"}[what]
    more = f", the first {len(rows)} of {number:,}" if number > len(rows) else ""
    lines = [
        [", ".join(map(str, where)) or "all", str(wanted), str(applied)]
        for *where, wanted, applied in rows
    ]
    return table(f"{name}: {what}{more}", ("index", "wanted", "applied"), lines)


def _relative(projection: Figures) -> str:
    return _percent(projection["rms_error"] / (projection["rms_weight"] or 1.0))


def _mode(projection: Figures) -> str:
    wanted, mode = projection["mode_wanted"], projection["mode"]
    return str(mode) if mode == wanted else f"{wanted}, held as {mode}"


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
