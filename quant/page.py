"""Pieces of an HTML page: cards, tables and pictures."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from html import escape

STYLE = """
:root { color-scheme: light; }
body { margin: 0; background: #fff; color: #1c1c1c;
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; }
main { max-width: 64rem; margin: 0 auto; padding: 1rem; }
h1 { font-size: 1.5rem; line-height: 1.25; margin: .5rem 0 1rem; overflow-wrap: anywhere; }
h2 { font-size: 1.15rem; margin: 2rem 0 .5rem; padding-top: .6rem; border-top: 1px solid #d8d8d4; }
p, li { max-width: 44rem; }
p { margin: .4rem 0 .8rem; }
.cards { display: grid; gap: .6rem;
  grid-template-columns: repeat(auto-fit, minmax(9.5rem, 1fr)); }
.card { background: #f4f4f1; border-radius: .4rem; padding: .6rem .8rem; }
.card b { display: block; font-size: 1.45rem; line-height: 1.3; }
.card span { display: block; font-size: .82rem; color: #555; line-height: 1.35; }
.scroll { overflow-x: auto; margin: .4rem 0 1rem; }
table { border-collapse: collapse; font-size: .85rem; font-variant-numeric: tabular-nums; }
caption { text-align: left; font-weight: 600; padding: .3rem 0; }
th, td { padding: .25rem .9rem .25rem 0; text-align: right; vertical-align: top;
  border-bottom: 1px solid #e6e6e2; }
td { white-space: nowrap; } td:first-child { white-space: normal; min-width: 8rem; }
th { font-weight: 600; vertical-align: bottom; }
th:first-child, td:first-child { text-align: left; }
table.text td { text-align: left; white-space: normal; overflow-wrap: anywhere; }
.figures { display: grid; gap: .8rem;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 24rem), 1fr)); }
figure { margin: 0; break-inside: avoid; }
figure img { display: block; width: 100%; height: auto; max-width: 34rem; }
figcaption { font-size: .85rem; color: #444; }
.float { color: #a24f16; font-weight: 600; } .chip { color: #15607a; font-weight: 600; }
@media print { main { max-width: none; padding: 0; } .scroll { overflow: visible; }
  body { font-size: 11px; } table { font-size: 9px; } .card { border: 1px solid #ccc; } }
"""


def card(value: str, name: str, more: str) -> str:
    """Return a figure that stands out; the texts are escaped here."""
    return (
        f'<div class="card"><span>{escape(name)}</span><b>{escape(value)}</b>'
        f"<span>{escape(more)}</span></div>"
    )


def section(title: str, *parts: str) -> str:
    """Return a section of ready HTML parts."""
    return "\n".join(["<section>", f"<h2>{escape(title)}</h2>", *parts, "</section>"])


def paragraph(text: str) -> str:
    """Return a paragraph of plain text."""
    return f"<p>{escape(text)}</p>"


def table(
    caption: str, head: Sequence[str], rows: Iterable[Sequence[str]], *, text: bool = False
) -> str:
    """Return a table of plain texts; `text` sets it to the left, else numbers go to the right."""
    kind = ' class="text"' if text else ""
    lines = [f'<div class="scroll"><table{kind}>']
    if caption:
        lines.append(f"<caption>{escape(caption)}</caption>")
    if head:
        names = "".join(f'<th scope="col">{escape(name)}</th>' for name in head)
        lines.append(f"<thead><tr>{names}</tr></thead>")
    lines.append("<tbody>")
    for row in rows:
        lines.append("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>")
    return "\n".join([*lines, "</tbody></table></div>"])


def picture(svg: str, caption: str) -> str:
    """Return a figure; as an image of its own, so that names inside do not clash with others."""
    data = base64.b64encode(svg.encode()).decode()
    words = escape(caption)
    return (
        f'<figure><img src="data:image/svg+xml;base64,{data}" alt="{words}">'
        f"<figcaption>{words}</figcaption></figure>"
    )


def pictures(parts: Iterable[str]) -> str:
    """Set figures side by side where there is room."""
    return "\n".join(['<div class="figures">', *parts, "</div>"])
