"""Synthesize drawn chips for the area estimate of `quant.area`: `python bench/area.py`.

Writes `quant/area.json`: what every chip is built of, and what Yosys makes of it. A chip that has
been measured for every family stays as it was, also when the gates have changed since: it still
says what such parts take. So an interrupted run goes on where it stopped; `--anew` starts over.
Chips are drawn by their number alone.
"""

import argparse
import hashlib
import json
import os

import numpy as np

from datapath import (
    Axon,
    Chip,
    Compare,
    Current,
    Format,
    Leak,
    Learn,
    Lif,
    Order,
    Overflow,
    Readout,
    Rounding,
    Synapse,
)
from datapath.catalog import CHIPS
from quant.area import DATA
from ranvier.synthesis import synthesize
from rtl.census import census
from rtl.emit import rtlil
from rtl.pins import ChipCore

TARGETS = {
    "ecp5": "ecp5-25k",
    "osu018": "osu018",
    "ice40": "ice40-up5k",
    "xc7": "xc7",
    "gowin": "gowin",
}
DRAWN = (0, 1, 2, 3, 4, 6, 7, 9, 10, 19)
"""Numbers of the chips: small ones, which a core synthesizes in minutes; number 2 learns."""
NAMED = ("tiny", "tiny-shift", "tiny-current")
"""Chips of the catalogue."""


def drawn(number):
    """Draw a chip of the kind that people build; every third one learns."""
    rng = np.random.default_rng(number)

    def between(least, most):
        return int(rng.integers(least, most, endpoint=True))

    def power(least, most):
        return 1 << between(least, most)

    def one_of(words):
        return words(rng.choice(list(words)))

    def leak(width):
        """Draw how a state of `width` bits decays, and its coefficient."""
        how, bits = one_of(Leak), between(6, 10)
        if how is Leak.MULTIPLY:
            return how, Format(bits, bits - 1, signed=False)
        return how, Format(3 if width < 16 else 4, signed=False)

    learns = number % 3 == 2
    # Gates that learn take minutes to map.
    lanes = 1 << number // 3 % (2 if learns else 3)
    synaptic, dendritic, axonal, flows = (bool(rng.integers(2)) for _ in range(4))
    weight, v, i = between(4, 9), between(10, 18), between(10, 18)
    learn = learned(between) if learns else None
    acc = max(weight + between(10, 14), learn.signal.width + learn.slope.width if learn else 0)
    ring = synaptic or dendritic or learns
    deepest = 64 if learns else power(3, 6)
    (leaks, coefficient), (flow_leaks, flow_coefficient) = leak(v), leak(i)
    current = Current(
        i=Format(i),
        leak=flow_leaks,
        coefficient=flow_coefficient,
        rounding=one_of(Rounding),
        order=one_of(Order),
        overflow=one_of(Overflow),
    )
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
        current=current if flows and not learns else None,
        lif=Lif(
            v=Format(v),
            bias=Format(between(8, v)),
            leak=leaks,
            coefficient=coefficient,
            rounding=one_of(Rounding),
            compare=one_of(Compare),
            overflow=one_of(Overflow),
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
    """Return every chip by its name."""
    return {f"drawn-{number}": drawn(number) for number in DRAWN} | {n: CHIPS[n] for n in NAMED}


def save(table):
    """Write the table whole or not at all, a chip per line."""
    lines = ",\n".join(f"{json.dumps(name)}: {json.dumps(c)}" for name, c in table["chips"].items())
    part = DATA.with_suffix(".part")
    part.write_text(f'{{"tools": {json.dumps(table["tools"])}, "chips": {{\n{lines}\n}}}}\n')
    os.replace(part, DATA)


def measure(table, name, chip):
    """Synthesize a chip for every family, unless it has been."""
    netlist = hashlib.sha256(rtlil(ChipCore(chip), "chip").encode()).hexdigest()
    entry = table["chips"].get(name, {})
    if entry.get("netlist") == netlist:
        entry["census"] = census(chip)
    elif not all(family in entry for family in TARGETS):
        entry = {"netlist": netlist, "census": census(chip)}
    table["chips"][name] = entry
    for family, target in TARGETS.items():
        if family not in entry:
            found, _ = synthesize(chip, target, place=False)
            entry[family] = found.counts | {"um2": found.area_um2}
            table["tools"] |= found.tools
            print(name, family, found.counts, found.area_um2, flush=True)
            save(table)


def main():
    """Fill the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--anew", action="store_true", help="measure everything again")
    arguments = parser.parse_args()
    kept = DATA.exists() and not arguments.anew
    table = json.loads(DATA.read_text()) if kept else {"tools": {}, "chips": {}}
    for name, chip in chips().items():
        measure(table, name, chip)
    save(table)


if __name__ == "__main__":
    main()
