"""Synthesize chips of the catalogue and write `docs/results.md`: `python bench/results.py`.

What was synthesized before comes from the cache of `ranvier synth`.
"""

import argparse
from pathlib import Path

import numpy as np

from datapath.catalog import CHIPS
from quant.area import KINDS, families, fit, table
from ranvier.devices import KINDS as COUNTED
from ranvier.devices import TARGETS
from ranvier.synthesis import synthesize

PAGE = Path(__file__).parents[1] / "docs" / "results.md"
PLACED = (
    ("digits-axonal", "ecp5-25k"),
    ("digits-learn", "ecp5-85k"),
    ("tiny-learn", "ecp5-25k"),
    ("tiny", "ecp5-25k"),
    ("tiny-shift", "ecp5-25k"),
    ("tiny", "ice40-up5k"),
    ("tiny-shift", "ice40-up5k"),
    ("small-learn", "ice40-up5k"),
    ("small-learn", "ice40-hx8k"),
)
MAPPED = (
    ("tiny", "osu018"),
    ("tiny-shift", "osu018"),
    ("tiny-learn", "osu018"),
    ("digits-axonal", "osu018"),
)
HEAD = """# Chips on devices

Written by `python bench/results.py`, which needs the tools of `make synth`. Every chip of the
catalogue by itself: `ranvier synth NAME --target TARGET`. Cells are those of the chip alone; clocks
are of the chip with a register at every port, behind three pins, seed 1. A look-up table of an ECP5
that carries counts as one, and a CCU2C as two.
"""
AREA = """## The area estimate

`ranvier cost` estimates cells without synthesis, from what `rtl.census` counts in the netlist.
Block memories, small memories and multipliers follow from Yosys' rules, all else from factors that
are fitted on {chips} chips, {learn} of which learns (`python bench/area.py` measures them,
`quant/area.json` holds them). Every error is that of a chip that the fit has not seen: it is fitted
on all the others. {within}
"""
WITHIN = 0.15
"""Largest error that is asked for."""
REASONS = """
Gowin's small memories cost Yosys only the bits in use: 72 words of 18 bits of `drawn-4` weigh 130.5
there and 130 in a block memory, and it took the small ones. Its look-up tables are those that the
parts say least about; why is not known. On Xilinx, registers without a reset that only delay become
look-up tables, which the estimate does not tell apart.
"""


def row(*cells):
    """Return a line of a table."""
    return f"| {' | '.join(map(str, cells))} |"


def rule(cells):
    """Return the line below the head of a table."""
    return "|" + "---|" * cells


def device(found, name):
    """Return the lines of one placed chip: its figures, and its slowest path."""
    counts = (f"{found.counts[kind]:,}" for kind in COUNTED)
    clock = "no room" if found.missing else f"{found.fmax_mhz:.1f}"
    figures = row(f"`{name}`", found.target, *counts, clock)
    if found.missing:
        return figures, None
    path = found.path
    used = ", ".join(f"{kind} {n:,}/{there:,}" for kind, (n, there) in found.used.items())
    ends = f"`{path['from']}` to `{path['to']}`"
    return figures, row(f"`{name}`", found.target, used, ends, path["logic"], path["routing"])


def share(path):
    """Return the percentage of a path that is routing."""
    return 100 * path["routing"] / sum(ns for ns in path.values() if not isinstance(ns, str))


def devices(placed):
    """Return the section of what was placed and routed."""
    figures, paths = zip(*(device(found, name) for name, found in placed), strict=True)
    shares = [share(found.path) for _, found in placed if found.path]
    words = (
        "What is used with the pins, and the slowest path from register to register, in ns. "
        f"Routing takes {min(shares):.0f} to {max(shares):.0f} % of these paths."
    )
    return [
        "## Placed and routed",
        "",
        row("chip", "target", *COUNTED, "MHz"),
        rule(3 + len(COUNTED)),
        *figures,
        "",
        words,
        "",
        row("chip", "target", "used", "path", "logic", "routing"),
        rule(6),
        *(path for path in paths if path is not None),
        "",
    ]


def mapped():
    """Return the section of what was mapped onto standard cells."""
    rows = []
    for name, target in MAPPED:
        found, _ = synthesize(CHIPS[name], target)
        area = f"{found.area_um2:,.0f}"
        rows.append(row(f"`{name}`", area, f"{found.counts['ff']:,}", f"{found.memory_bits:,}"))
    return [
        "## Standard cells",
        "",
        f"{TARGETS['osu018'].said}.",
        "",
        row("chip", "um2", "flip-flops", "bits of memories, apart"),
        rule(4),
        *rows,
        "",
    ]


def area():
    """Return the section on the estimate and its errors."""
    rows, over, names = [], [], set()
    for family in families():
        for kind in KINDS[family]:
            found = fit(family, kind)
            off = {name: abs(error) for name, error in found.errors.items()}
            names |= set(off)
            most, worst = max((error, name) for name, error in off.items())
            shares = (f"{100 * share:.1f}" for share in (np.mean(list(off.values())), most))
            rows.append(row(f"{family} {kind}", len(off), *shares, f"`{worst}`" * (most > 0)))
            beyond = sum(error > WITHIN for error in off.values())
            over += [f"{beyond} of {len(off)} with {family} {kind}"] * (beyond > 0)
    within = f"All chips are within {WITHIN:.0%}"
    within += f", except {', '.join(over)}." if over else "."
    learn = sum("learner" in table()["chips"][name]["census"] for name in names)
    return [
        AREA.format(chips=len(names), learn=learn, within=within),
        row("cells", "chips held out", "mean error %", "largest %", "of"),
        rule(5),
        *rows,
        REASONS,
    ]


def main():
    """Write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.parse_args()
    placed = [(name, synthesize(CHIPS[name], target)[0]) for name, target in PLACED]
    tools = {name: version for _, found in placed for name, version in found.tools.items()}
    versions = ", ".join(f"{name}: {version}" for name, version in tools.items())
    lines = [HEAD, f"Tools: {versions}.", "", *devices(placed), *mapped(), *area()]
    PAGE.write_text("\n".join(lines))


if __name__ == "__main__":
    main()
