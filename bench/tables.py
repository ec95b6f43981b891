"""Tables of measurements in pages of docs/, between a pair of comments that name their bench."""

import numpy as np


def row(*cells):
    """Return a line of a table."""
    return f"| {' | '.join(map(str, cells))} |"


def rule(cells):
    """Return the line below the head of a table."""
    return "|" + "---|" * cells


def mean_and_spread(values, digits=1):
    """Return mean and standard deviation in words; the latter needs several values."""
    spread = f" +- {np.std(values, ddof=1):,.{digits}f}" if len(values) > 1 else ""
    return f"{np.mean(values):,.{digits}f}{spread}"


def into_page(page, name, lines):
    """Put `lines` between `<!-- name -->` and `<!-- /name -->` in `page`."""
    text = page.read_text()
    opening, closing = f"<!-- {name} -->\n", f"<!-- /{name} -->\n"
    before, found, rest = text.partition(opening)
    _, ended, after = rest.partition(closing)
    if not (found and ended):
        raise ValueError(f"{page}: has no {opening.strip()} and {closing.strip()}")
    page.write_text("".join([before, opening, *(f"{line}\n" for line in lines), closing, after]))
