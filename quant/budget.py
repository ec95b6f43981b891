"""Everything that a chip costs, as JSON holds it: memory, time, area, energy, and the metrics."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from datapath import Chip, Image
from quant.activity import Activity
from quant.area import KINDS, estimate, families
from quant.cost import Group, cycles_per_tick, memory_bits, speed
from quant.energy import TABLE, energy
from quant.neurobench import neurobench
from quant.operations import operations
from quant.waiting import ways

Figures = dict[str, Any]

REGISTERS = ("osu018", "ff")
"""Whose flip-flops the energy of registers is worked out of: those of a chip of standard cells."""


def memory(chip: Chip) -> Figures:
    """Return the bits of every memory of `chip`, exactly, and by what they are for."""
    cost = memory_bits(chip)
    return {
        "bits": cost.bits,
        "groups": {str(group): cost.group(group) for group in Group},
        "memories": [{**asdict(m), "bits": m.bits} for m in cost.memories],
    }


def area(chip: Chip) -> Figures:
    """Return the estimated cells of `chip`, by family, kind and block, and how far that was off."""
    found: Figures = {}
    for family in families():
        kinds: Figures = {}
        for kind in KINDS[family]:
            e = estimate(chip, family, kind)
            kinds[kind] = {
                "number": round(e.total),
                "blocks": {name: round(n) for name, n in e.blocks.items()},
                "mean_error": e.mean_error,
                "largest_error": e.largest_error,
                "held_out": e.held_out,
            }
        found[family] = kinds
    return found


def budget(chip: Chip, image: Image | None, found: Activity | None, mhz: float) -> Figures:
    """Collect what `chip` costs.

    image : the network on it, None for the chip alone.  found : what `image` did on recordings,
    None without recordings: then there is no time, no energy and no metric.
    """
    figures: Figures = {"memory": memory(chip), "area": area(chip)}
    if image is not None:
        figures["waiting"] = [
            {**asdict(way), "owner": str(way.owner), "bits": way.bits} for way in ways(image, found)
        ]
    if image is not None and found is not None:
        figures |= _work(chip, image, found, mhz)
    return figures


def _work(chip: Chip, image: Image, found: Activity, mhz: float) -> Figures:
    done = operations(image, found)
    registers = estimate(chip, *REGISTERS).total
    spreads = energy(done, registers, int(found.total_cycles.sum()))
    effective = sum(p.effective for p in found.projections)
    low, high = sum(s.low for s in spreads), sum(s.high for s in spreads)
    return {
        "recordings": found.recordings,
        "cycles": asdict(cycles_per_tick(found.cycles)),
        "speed": asdict(speed(found.cycles, found.total_cycles, image.dt_us, mhz)),
        "operations": {
            "memories": [asdict(a) for a in done.accesses],
            "arithmetic": [{**asdict(a), "widths": list(a.widths)} for a in done.arithmetic],
        },
        "energy": {
            "nj_per_recording": [low / found.recordings / 1000, high / found.recordings / 1000],
            "pj_per_synaptic_operation": [low / max(1, effective), high / max(1, effective)],
            "parts": [
                {"name": s.name, "nj": [x / found.recordings / 1000 for x in (s.low, s.high)]}
                for s in spreads
            ],
            "table": [asdict(entry) for entry in TABLE.values()],
        },
        "neurobench": asdict(neurobench(image, found)),
    }
