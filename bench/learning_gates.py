"""Learning in gates against the emulator, on real recordings, from random weights.

usage: python -m bench.learning_gates [--recordings 24] [--batch 8] [--only CHIP|ENGINE]
       python -m bench.learning_gates --images

Chips for 140 channels, 24 hidden neurons and 20 classes learn spoken digits of the embedded
training set, half a second of each; CXXRTL runs their gates.  Compared are all membranes, sums,
spikes, flags, results and clocks of every tick, LEARN and UPDATE; after every UPDATE every word
that the host can read: weights, delays, fractions, gradients, random states, tables; and after
every LEARN every word that it cannot: histories, looked-up numbers, filtered signals, signals and
slopes, activities, scores.  A smaller chip learns as many recordings under cocotb, where a bit that
was never written is unknown (Icarus) or 0 (Verilator).

The page docs/learning-gates.md is written; --only prints the rows of one chip or of one simulator
of Verilog instead.
--images writes the images and recordings that sim/test_learn.py takes, sim/shipped/learning.
"""

import argparse
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from datapath.files import save
from emulator.learn import learn
from learn import Taps, make_network
from learn.rule import half_taps
from quant.learnable import LearnOptions, Tuning, learnable
from quant.start import start_image
from ranvier.defaults import OPTIONS
from ranvier.sources import open_data
from sim.verify import verify_learning

ROOT = Path(__file__).parents[1]
SHIPPED = ROOT / "sim" / "shipped" / "learning"
PAGE = ROOT / "docs" / "learning-gates.md"
CHANNELS, HIDDEN, STEPS, DT_MS, UNITS, LONGEST = 140, 24, 50, 10.0, 5, 20
SMALL, KEPT = (35, 8, 2), 2
"""Channels, hidden neurons and lanes that Verilog simulators take, and recordings for these."""

MIDDLE = slice(14, 22)
"""Ticks of a recording that Verilog simulators take: where most is said."""

CHIPS = {
    "narrow": (1, LearnOptions(entries=8, lookup_bits=4, weight_fraction_bits=3,
                               delay_fraction_bits=4, signal_bits=9, slope_bits=8)),
    "usual": (4, LearnOptions()),
    "wide": (8, LearnOptions(entries=64, lookup_bits=8, weight_fraction_bits=8,
                             delay_fraction_bits=8, signal_bits=14, slope_bits=14,
                             weight_gradient_bits=28, delay_gradient_bits=28)),
}  # fmt: skip
"""Lanes and widths of the chips."""

NETWORKS = {
    "axonal": ("axonal", None),
    "axonal, recurrent axonal": ("axonal", "axonal"),
    "synaptic": ("synaptic", None),
    "synaptic, recurrent synaptic": ("synaptic", "synaptic"),
}
"""Delays from the input, and those of recurrent synapses, if there are any."""

COCOTB = {"verilator": tuple(NETWORKS), "icarus": ("axonal",)}
"""What simulators of Verilog run; Icarus one that leaves entries of tables unwritten."""


def tuning():
    """Return rates at which a few recordings move weights and delays."""
    taps = tuple(half_taps(Taps.GAUSS, 2.0).tolist())
    return Tuning(
        weight_rate=0.01, delay_rate=0.3, half_taps=taps, linear=True, error_width=6.0,
        limit=6, rate_strength=2, rate_target=4,
    )  # fmt: skip


def recordings(number):
    """Return counts and labels of `number` recordings, spread over speakers and digits."""
    data = open_data("digits:train")
    some = data.select(np.linspace(0, len(data) - 1, number).round().astype(np.int64))
    counts = some.binned(units_per_channel=UNITS, dt_ms=DT_MS, steps=STEPS, maximum=31)
    return counts.counts.astype(np.int64), counts.labels.astype(np.int64)


def images(channels, hidden, lanes, options):
    """Return images of random weights by the names of `NETWORKS`, all on one chip."""
    made = {}
    for name, (delay, recurrent) in NETWORKS.items():
        network = make_network(
            channels=channels, units=700, hidden=(hidden,), classes=20, steps=STEPS, dt_ms=DT_MS,
            delay=delay, recurrent=recurrent, max_delay=LONGEST, tau_ms=40.0, seed=1,
        )  # fmt: skip
        image = start_image(network, replace(OPTIONS, lanes=lanes))
        made[name] = learnable(image, tuning(), options, seed=1)
    chip = united([image.chip for image in made.values()])
    return {name: replace(image, chip=chip) for name, image in made.items()}


def united(chips):
    """Return a chip that holds whatever one of `chips` holds."""
    first = chips[0]
    most = {
        name: max(getattr(chip, name) for chip in chips)
        for name in ("channels", "neurons", "populations", "projections", "synapses")
    }

    def largest(part, names):
        return {name: max(getattr(getattr(chip, part), name) for chip in chips) for name in names}

    axon = largest("axon", ("channel_steps", "neuron_steps", "delay", "delays"))
    synapse = largest("synapse", ("acc", "slots", "delay", "dendritic", "synaptic"))
    return replace(
        first,
        **most,
        axon=replace(first.axon, **axon),
        synapse=replace(first.synapse, **synapse),
        lif=replace(first.lif, **largest("lif", ("v", "bias"))),
        readout=replace(first.readout, **largest("readout", ("score",))),
    )


def lessons():
    """Yield the chip, the delays, the image and the widths of every row."""
    for chip, (lanes, options) in CHIPS.items():
        for name, image in images(CHANNELS, HIDDEN, lanes, options).items():
            yield chip, name, image, options


def row(title, cells, image, counts, labels, batch, engine="cxxrtl"):
    """Let gates and emulator learn; return a line of a table, which begins with `cells`."""
    start = time.perf_counter()
    closely = engine == "cxxrtl"
    verdict = verify_learning(image, counts, labels, batch=batch, engine=engine, closely=closely)
    learned = learn(image, counts, labels, batch=batch)
    moved = [
        sum(int((p.weights != q.weights).sum()) for p, q in pairs(image, learned.image)),
        sum(int((p.delays != q.delays).sum()) for p, q in pairs(image, learned.image)),
    ]
    said = "all" if verdict.equal else f"**no**: {verdict.difference}"
    print(f"{title}: {said}, {time.perf_counter() - start:.0f} s", flush=True)
    return (
        f"| {' | '.join(map(str, cells))} | {verdict.recordings} | {verdict.learning_steps} "
        f"| {moved[0]} / {moved[1]} | {verdict.clocks} | {verdict.bits} | {said} |"
    )


def of_chips(only, counts, labels, batch):
    """Return the lines of the chips that CXXRTL runs."""
    rows = []
    for chip, name, image, options in lessons():
        if only in (None, chip):
            fractions = f"{options.weight_fraction_bits} / {options.delay_fraction_bits}"
            cells = image.chip.lanes, options.entries, fractions, name
            rows.append(row(f"{chip}, {name}", cells, image, counts, labels, batch))
    return rows


def of_verilog(only, counts, labels, batch):
    """Return the lines of the small chip that simulators of Verilog run."""
    small, few = images(*SMALL, LearnOptions()), fewer(counts)
    return [
        row(f"{engine}, {name}", (engine, name), small[name], few, labels, batch, engine)
        for engine, names in COCOTB.items()
        if only in (None, engine)
        for name in names
    ]


def pairs(before, after):
    """Pair the projections of two images of one network."""
    return zip(before.projections, after.projections, strict=True)


HEAD = """\
# Learning in gates

From random weights, the chips below learn recordings of the embedded spoken digits: {number} each,
{steps} ticks of {dt_ms:.0f} ms, 140 channels, {hidden} hidden neurons, 20 classes, an UPDATE after
every {batch}. Their gates run through CXXRTL. Compared with the emulator are all membranes, sums,
spikes, flags, results and the clocks of every tick, LEARN and UPDATE; after every recording every
word the host can read (weights, delays, fractions, gradients, random states, tables) and every word
it cannot (histories of counts, spikes and looked-up numbers, filtered signals, signals and slopes
in the ring, activities, membranes, scores). Written by `python -m bench.learning_gates`.

Fraction bits are those of weights and of delays, and so is how many of them have moved.

| lanes | entries | fractions | delays | recordings | UPDATE | moved | clocks | bits | equal |
|--:|--:|--:|---|--:|--:|--:|--:|--:|---|
"""
SMALLER = """
## Under cocotb

The same with a chip of {lanes} lanes, {channels} channels and {hidden} hidden neurons, and {steps}
ticks of as many recordings; read back is what the host can read. Under Icarus all that was never
written is unknown, so that nothing may depend on it. The feed-forward networks leave entries of the
chip's tables empty.

| simulator | delays | recordings | UPDATE | moved | clocks | bits | equal |
|---|---|--:|--:|--:|--:|--:|---|
"""


def main():
    """Compare what is asked for, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--recordings", type=int, default=24, help="for every row")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--only", choices=[*CHIPS, *COCOTB], help="no page is written")
    parser.add_argument("--images", action="store_true", help="write what the benches take")
    args = parser.parse_args()
    if args.images:
        ship()
        return
    asked = args.only, *recordings(args.recordings), args.batch
    chips, verilog = of_chips(*asked), of_verilog(*asked)
    print("\n".join(chips + verilog))
    if args.only is None:
        head = HEAD.format(
            number=args.recordings, steps=STEPS, dt_ms=DT_MS, hidden=HIDDEN, batch=args.batch
        )
        channels, hidden, lanes = SMALL
        smaller = SMALLER.format(
            channels=channels, hidden=hidden, lanes=lanes, steps=MIDDLE.stop - MIDDLE.start
        )
        tables = [head.strip(), *chips, smaller.rstrip(), *verilog]
        PAGE.write_text("\n".join(tables) + "\n")
    raise SystemExit(any("**no**" in line for line in chips + verilog))


def fewer(counts):
    """Return the middle of recordings, several channels in one."""
    middle = counts[:, MIDDLE].reshape(len(counts), -1, SMALL[0], CHANNELS // SMALL[0])
    return np.minimum(middle.sum(axis=3), 31)


def ship():
    """Write small images and recordings: recurrent ones, and one that leaves a table half empty."""
    SHIPPED.mkdir(parents=True, exist_ok=True)
    for name, image in images(*SMALL, LearnOptions()).items():
        if name != "synaptic":
            save(image, SHIPPED / f"{name.replace(', ', '-').replace(' ', '-')}.ranvier")
    counts, labels = recordings(KEPT)
    np.savez_compressed(
        SHIPPED / "digits.npz", counts=fewer(counts).astype(np.uint8), labels=labels
    )


if __name__ == "__main__":
    main()
