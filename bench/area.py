"""Synthesize drawn chips for the area estimate of `quant.area`: `python bench/area.py`.

Writes `quant/area.json`: the parameters of every chip and what Yosys makes of it. What the file
holds already is kept, so an interrupted run goes on where it stopped; `--anew` starts over. Chips
are drawn by their number alone. Every fourth is held out of the fit.
"""

import argparse
import json
import os
import sys
from pathlib import Path

import numpy as np

from datapath import (
    Axon,
    Chip,
    Compare,
    Format,
    Leak,
    Learn,
    Lif,
    Overflow,
    Readout,
    Rounding,
    Synapse,
)
from datapath.catalog import CHIPS
from datapath.schema import chip_to_json
from quant.area import DATA, features
from ranvier.synthesis import synthesize

TARGETS = {
    "ecp5": "ecp5-25k",
    "osu018": "osu018",
    "ice40": "ice40-up5k",
    "xc7": "xc7",
    "gowin": "gowin",
}
DRAWN = tuple(n for n in range(24) if n != 19)
"""Numbers of the chips; at number 19 Yosys 0.70 stops with a failed assertion of its own."""
HELD_OUT = 4
NAMED = ("tiny", "tiny-shift", "tiny-learn", "digits-axonal")
"""Chips of the catalogue; all of them are held out."""


def drawn(number):
    """Draw a chip of the kind that people build; every third one learns."""
    rng = np.random.default_rng(number)

    def between(least, most):
        return int(rng.integers(least, most, endpoint=True))

    def power(least, most):
        return 1 << between(least, most)

    learns = number % 3 == 2
    # Gates that learn take minutes to map.
    lanes = power(0, 1) if learns else power(0, 2)
    synaptic, dendritic, axonal = (bool(rng.integers(2)) for _ in range(3))
    multiply = bool(rng.integers(2))
    weight, v, coefficient = between(4, 9), between(10, 18), between(6, 10)
    learn = learned(between) if learns else None
    acc = max(weight + between(10, 14), learn.signal.width + learn.slope.width if learn else 0)
    ring = synaptic or dendritic or learns
    deepest = 64 if learns else power(3, 6)
    return Chip(
        channels=lanes * between(16 // lanes, 160 // lanes),
        neurons=lanes * between(4 + 16 // lanes, 160 // lanes),
        populations=between(2, 6),
        projections=between(3, 8),
        synapses=between(200, 2000),
        lanes=lanes,
        axon=Axon(
            count=Format(between(1, 5), signed=False),
            channel_steps=deepest,
            neuron_steps=deepest if learns or axonal else 2,
            delay=Format(between(3, 6), signed=False),
            delays=between(20, 200) if axonal else 0,
        ),
        synapse=Synapse(
            weight=Format(weight),
            scale=Format(between(2, 3), signed=False),
            acc=Format(acc),
            slots=power(3, 6) if ring else 1,
            delay=Format(between(3, 6), signed=False),
            dendritic=between(8, 64) if dendritic else 0,
            synaptic=synaptic,
        ),
        current=None,
        lif=Lif(
            v=Format(v),
            bias=Format(between(8, v)),
            leak=Leak.MULTIPLY if multiply else Leak.SHIFT,
            coefficient=Format(coefficient, coefficient - 1, signed=False)
            if multiply
            else Format(3, signed=False),
            rounding=Rounding(rng.choice(list(Rounding))),
            compare=Compare(rng.choice(list(Compare))),
            overflow=Overflow.SATURATE,
        ),
        readout=Readout(score=Format(v + between(6, 10)), classes=between(4, 20)),
        learn=learn,
    )


def learned(between):
    """Draw what learns."""
    return Learn(
        steps=64,
        lookup=Format(between(4, 8), signed=False),
        entries=1 << between(3, 6),
        coefficient=Format(8, 7, signed=False),
        filtered=Format(between(12, 18)),
        signal=Format(between(8, 12)),
        slope=Format(between(8, 12)),
        tap=Format(between(4, 6), 4, signed=False),
        taps=between(2, 6),
        weight_gradient=Format(between(12, 18)),
        delay_gradient=Format(between(12, 18)),
        weight_fraction=Format(between(4, 8), signed=False),
        delay_fraction=Format(between(4, 8), signed=False),
        rate=Format(between(4, 8), signed=False),
        activity=Format(between(4, 7), signed=False),
    )


def chips():
    """Every chip, with its name and whether it is held out."""
    for number in DRAWN:
        yield f"drawn-{number}", drawn(number), number % HELD_OUT == HELD_OUT - 1
    for name in NAMED:
        yield name, CHIPS[name], True


def save(table):
    """Write the table whole or not at all, a chip per line."""
    lines = ",\n".join(f"{json.dumps(name)}: {json.dumps(c)}" for name, c in table["chips"].items())
    part = DATA.with_suffix(".part")
    part.write_text(f'{{"tools": {json.dumps(table["tools"])}, "chips": {{\n{lines}\n}}}}\n')
    os.replace(part, DATA)


def entry_of(table, name, chip, held_out, measured):
    """Return the entry of one chip; its features are those that `quant.area` has now.

    measured : the family that is about to be.
    """
    entry = table["chips"].setdefault(name, {"held_out": held_out, "chip": chip_to_json(chip)})
    if entry["chip"] != chip_to_json(chip):
        sys.exit(f"{DATA}: {name} is another chip now; run again with --anew")
    entry["features"] = {
        family: features(chip, family) for family in TARGETS if family in {*entry, measured}
    }
    return entry


def measure(table, target):
    """Synthesize every chip for one target, unless it has been."""
    for name, chip, held_out in chips():
        entry = entry_of(table, name, chip, held_out, target)
        if target in entry:
            continue
        found, _ = synthesize(chip, TARGETS[target], place=False)
        entry[target] = found.counts | {"um2": found.area_um2}
        table["tools"] |= found.tools
        print(name, target, found.counts, found.area_um2, flush=True)
        save(table)


def main():
    """Fill the table, then say how well the estimate does."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--anew", action="store_true", help="measure everything again")
    parser.add_argument("--target", choices=TARGETS, help="only this one")
    arguments = parser.parse_args()
    kept = DATA.exists() and not arguments.anew
    table = json.loads(Path(DATA).read_text()) if kept else {"tools": {}, "chips": {}}
    named = {name for name, _, _ in chips()}
    table["chips"] = {name: c for name, c in table["chips"].items() if name in named}
    for name, chip, held_out in chips():
        entry_of(table, name, chip, held_out, None)
    save(table)
    for target in [arguments.target] if arguments.target else TARGETS:
        measure(table, target)


if __name__ == "__main__":
    main()
