"""Boxes, wires and words of a figure, as SVG."""

from __future__ import annotations

from html import escape

INK, SOFT, WIDTH_INK = "#1f2933", "#616e7c", "#0b5394"
PAPER, LOGIC, MEMORY, PORT, STAGE = "#fcfcfb", "#ffffff", "#dcebf7", "#fdf1d0", "#f5f6f8"

FONT = f'font-family="Helvetica, Arial, sans-serif" font-size="14" fill="{INK}"'
ARROW_HEAD = (
    '<defs><marker id="head" markerWidth="9" markerHeight="8" refX="8" refY="4" orient="auto">'
    f'<path d="M0,0 L9,4 L0,8 z" fill="{INK}"/></marker></defs>'
)

Point = tuple[float, float]


class Figure:
    """An SVG file being drawn; coordinates are pixels from the top left corner."""

    def __init__(self, width: int, height: int, title: str) -> None:
        size, view = f'width="{width}" height="{height}"', f'viewBox="0 0 {width} {height}"'
        self.parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} {view} {FONT}>',
            f"<title>{escape(title)}</title>",
            ARROW_HEAD,
            f'<rect {size} fill="{PAPER}"/>',
        ]

    def text(
        self,
        at: Point,
        words: str,
        *,
        size: int = 14,
        ink: str = INK,
        anchor: str = "middle",
        weight: str = "normal",
    ) -> None:
        """Write one line with its middle at the height of `at`."""
        x, y = at
        self.parts.append(
            f'<text x="{x}" y="{y + size * 0.35:.1f}" font-size="{size}" fill="{ink}" '
            f'text-anchor="{anchor}" font-weight="{weight}">{escape(words)}</text>'
        )

    def box(self, corner: Point, size: Point, *lines: str, fill: str = LOGIC) -> None:
        """Draw a box, its first line in bold; a memory has a second line at its left side."""
        (x, y), (w, h) = corner, size
        self.parts.append(
            f'<rect x="{x}" y="{y}" width="{w}" height="{h}" rx="{0 if fill == MEMORY else 6}" '
            f'fill="{fill}" stroke="{INK}" stroke-width="1.4"/>'
        )
        if fill == MEMORY:
            self.parts.append(
                f'<path d="M{x + 6},{y} v{h}" stroke="{INK}" stroke-width="1.4" fill="none"/>'
            )
        middle = x + w / 2 + (3 if fill == MEMORY else 0)
        top = y + h / 2 - 9 * (len(lines) - 1)
        for n, line in enumerate(lines):
            self.text(
                (middle, top + 18 * n),
                line,
                size=13 if n else 14,
                ink=SOFT if n else INK,
                weight="normal" if n else "bold",
            )

    def stage(self, corner: Point, size: Point, name: str) -> None:
        """Draw the band of one pipeline stage behind everything else."""
        (x, y), (w, h) = corner, size
        self.parts.append(
            f'<rect x="{x}" y="{y}" width="{w}" height="{h}" fill="{STAGE}" stroke="#d3d8de" '
            'stroke-dasharray="4 3"/>'
        )
        self.text((x + w / 2, y + 14), name, size=12, ink=SOFT)

    def circle(self, middle: Point, word: str) -> None:
        """Draw an operator."""
        x, y = middle
        self.parts.append(
            f'<circle cx="{x}" cy="{y}" r="15" fill="{LOGIC}" stroke="{INK}" stroke-width="1.4"/>'
        )
        self.text(middle, word, size=18)

    def mux(self, corner: Point, height: float) -> None:
        """Draw a selector, wide side to the left."""
        x, y = corner
        self.parts.append(
            f'<path d="M{x},{y} l26,16 v{height - 32} l-26,16 z" fill="{LOGIC}" stroke="{INK}" '
            'stroke-width="1.4"/>'
        )

    def wire(self, *points: Point, head: bool = True) -> None:
        """Draw a line through `points`, with an arrow head at the last one."""
        path = " L".join(f"{x},{y}" for x, y in points)
        self.parts.append(
            f'<path d="M{path}" fill="none" stroke="{INK}" stroke-width="1.5"'
            + (' marker-end="url(#head)"/>' if head else "/>")
        )

    def dot(self, at: Point) -> None:
        """Mark where a line branches."""
        self.parts.append(f'<circle cx="{at[0]}" cy="{at[1]}" r="3" fill="{INK}"/>')

    def width(self, at: Point, name: str, *, anchor: str = "middle") -> None:
        """Name the format of a wire."""
        self.text(at, name, size=12, ink=WIDTH_INK, anchor=anchor)

    def note(self, at: Point, words: str, *, anchor: str = "start") -> None:
        """Write a remark."""
        self.text(at, words, size=12, ink=SOFT, anchor=anchor)

    def __str__(self) -> str:
        return "\n".join([*self.parts, "</svg>"]) + "\n"


def legend(figure: Figure, at: Point, *, formats: bool = True) -> None:
    """Explain the colours in one line."""
    x, y = at
    for n, (fill, name) in enumerate(
        ((MEMORY, "memory"), (LOGIC, "logic"), (PORT, "other block or port"))
    ):
        left = x + 95 * n
        figure.parts.append(
            f'<rect x="{left}" y="{y - 6}" width="14" height="12" fill="{fill}" stroke="{INK}"/>'
        )
        figure.note((left + 20, y), name)
    if formats:
        figure.width((x + 360, y), "format of a wire", anchor="start")
