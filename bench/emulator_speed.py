"""Speed of the emulator, side by side in one run with a plain kernel, with gates and with peers.

usage: python bench/emulator_speed.py [--parts speed cold gates peers] [--rounds 5]
       [--peer-python PATH] [--json]

speed : samples per second of a 700-128 recurrent-20 network, 250 steps, 8,000 events a recording,
        without delays, with axonal and with synaptic ones of 0 to 62 ticks.  Beside two cores over
        one, what two processes that know nothing of each other reach on this machine.
cold :  seconds of a fresh process, without and with the kernels on disk.
gates : recordings per second on a chip of the catalogue and on its gates, as C++ and as Verilog.
peers : the same sizes and events in the packages that PATH, another Python, has.

Every figure is the best of several rounds, in which all rows of a table take turns; a ratio of two
cores is also the median over the rounds.
"""

import argparse
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from functools import cache, partial
from pathlib import Path

import numba
import numpy as np
from peers import PEERS
from plain import SLOTS, plain
from rich.console import Console
from rich.table import Table

from datapath import (
    Axon,
    Chip,
    Compare,
    Delay,
    Format,
    Image,
    Kind,
    Leak,
    Lif,
    Overflow,
    Population,
    Projection,
    Readout,
    Reset,
    Rounding,
    Synapse,
)
from emulator.chip import run

CHANNELS, HIDDEN, CLASSES, STEPS, EVENTS = 700, 128, 20, 250, 8000
BATCH = 256
SHORT = 50
"""Steps of a recording that gates play."""
GATES = {"cxxrtl": 16, "verilator": 2}
"""Recordings that each engine plays.  Verilator's clock is driven from Python, edge by edge."""
SINGLE = 32
"""Runs of one recording that are timed together."""
THRESHOLD, COEFFICIENT = 600, 243
MODES = (Delay.NONE, Delay.AXONAL, Delay.SYNAPTIC)
LONGEST = SLOTS - 2


def reference_chip(delay):
    """Return a chip for the network with delays of the kind `delay`."""
    synaptic, axonal = delay is Delay.SYNAPTIC, delay is Delay.AXONAL
    return Chip(
        channels=704,
        neurons=152,
        populations=2,
        projections=3,
        synapses=(CHANNELS + HIDDEN) * 16 + HIDDEN * 3,
        lanes=8,
        axon=Axon(
            count=Format(5, signed=False),
            channel_steps=SLOTS if axonal else 2,
            neuron_steps=2,
            delay=Format(6, signed=False),
            delays=CHANNELS if axonal else 0,
        ),
        synapse=Synapse(
            weight=Format(8),
            scale=Format(3, signed=False),
            acc=Format(32),
            slots=SLOTS if synaptic else 1,
            delay=Format(6 if synaptic else 1, signed=False),
            dendritic=0,
            synaptic=synaptic,
        ),
        current=None,
        lif=Lif(
            v=Format(20),
            bias=Format(16),
            leak=Leak.MULTIPLY,
            coefficient=Format(9, 8, signed=False),
            rounding=Rounding.NEAREST,
            compare=Compare.GE,
            overflow=Overflow.SATURATE,
        ),
        readout=Readout(score=Format(32), classes=CLASSES),
        learn=None,
    )


def reference(delay):
    """Return the network of all measurements, about one neuron in forty firing in a tick."""
    rng = np.random.default_rng(1)

    def weights(post, pre):
        return np.clip(np.rint(rng.normal(0, 30, (post, pre))), -128, 127).astype(int)

    forward, recurrent, out = (
        weights(HIDDEN, CHANNELS),
        weights(HIDDEN, HIDDEN) // 2,
        weights(CLASSES, HIDDEN),
    )
    shape = {Delay.NONE: 0, Delay.AXONAL: CHANNELS, Delay.SYNAPTIC: (HIDDEN, CHANNELS)}[delay]
    delays = rng.integers(0, LONGEST, shape, endpoint=True) if shape else 0
    populations = (
        Population("h", Kind.LIF, HIDDEN, THRESHOLD, 0, COEFFICIENT, Reset.SUBTRACT, False),
        Population("r", Kind.READOUT, CLASSES, 1, 0, COEFFICIENT, Reset.SUBTRACT, True),
    )
    projections = (
        Projection("in_h", "in", "h", forward, 0, delay, delays, 0),
        Projection("h_h", "h", "h", recurrent, 0, Delay.NONE, 0, 0),
        Projection("h_r", "h", "r", out, 0, Delay.NONE, 0, 0),
    )
    return Image(
        chip=reference_chip(delay),
        input_name="in",
        channels=CHANNELS,
        units=CHANNELS,
        dt_us=4000,
        steps=STEPS,
        populations=populations,
        projections=projections,
    )


def recordings(number):
    """Draw `number` recordings, uint8[number, STEPS, CHANNELS], of EVENTS events each."""
    rng = np.random.default_rng(0)
    counts = np.zeros((number, STEPS, CHANNELS), np.uint8)
    for part in counts:
        np.add.at(part, (rng.integers(0, STEPS, EVENTS), rng.integers(0, CHANNELS, EVENTS)), 1)
    return counts


def plainly(image, counts):
    """Run `counts` through the plain kernel; return spikes and scores."""
    forward, recurrent, out = image.projections
    weights = [np.ascontiguousarray(p.weights.T, np.int32) for p in (forward, recurrent, out)]
    synaptic = forward.delay is Delay.SYNAPTIC
    delays = np.zeros((CHANNELS, HIDDEN), np.int64)
    delays[:] = forward.delays.T if synaptic else np.reshape(forward.delays, (-1, 1))
    spikes = np.zeros((*counts.shape[:2], HIDDEN), np.bool_)
    scores = np.zeros((len(counts), CLASSES), np.int64)
    plain(
        counts, *weights, delays, synaptic, THRESHOLD, COEFFICIENT, image.chip.lif.v.max,
        spikes, scores,
    )  # fmt: skip
    return spikes, scores


def same_bits(image, counts):
    """Refuse to compare speeds of different results."""
    spikes, scores = plainly(image, counts)
    ours = run(image, counts, record="spikes")
    if not (np.array_equal(ours.spikes["h"], spikes) and np.array_equal(ours.scores, scores)):
        raise SystemExit(f"{image.projections[0].delay}: emulator and plain kernel differ")
    return float(spikes.mean())


def timed(rows, rounds):
    """Return the seconds that every function of `rows` takes, [rounds]; they take turns."""
    seconds = {name: np.zeros(rounds) for name in rows}
    for n in range(rounds):
        for name, function in rows.items():
            start = time.perf_counter()
            function()
            seconds[name][n] = time.perf_counter() - start
    return seconds


def best(rows, rounds):
    """Return the shortest time in seconds of every function of `rows`, which take turns."""
    return {name: float(seconds.min()) for name, seconds in timed(rows, rounds).items()}


class Processes:
    """Processes of one thread each, in which the emulator runs the batch when told so."""

    def __init__(self, number):
        context = multiprocessing.get_context("spawn")
        self.ends, others = zip(*(context.Pipe() for _ in range(number)), strict=True)
        self.processes = [context.Process(target=serve, args=(other,)) for other in others]
        for process in self.processes:
            process.start()

    def run(self, number, delay):
        """Let the first `number` of them run the batch at once."""
        for end in self.ends[:number]:
            end.send(delay)
        for end in self.ends[:number]:
            end.recv()

    def close(self):
        """End them."""
        for end, process in zip(self.ends, self.processes, strict=True):
            end.send(None)
            process.join()


def serve(end):
    """Run the batch with the delays that `end` names, again and again."""
    counts, network = recordings(BATCH), cache(reference)
    while delay := end.recv():
        on_cores(1, network(delay), counts)
        end.send(None)


def on_cores(cores, image, counts):
    """Run the emulator on `cores` cores."""
    numba.set_num_threads(cores)
    run(image, counts)


def speed(rounds):
    """Measure samples per second of every mode: [mode, firing rate, and the columns]."""
    counts = recordings(BATCH)
    cores = min(2, numba.config.NUMBA_NUM_THREADS)
    processes, two = Processes(cores), f"{cores} cores"
    table = []
    for delay in MODES:
        image = reference(delay)
        rate = same_bits(image, counts[:4])
        rows = {
            "emulator": partial(on_cores, 1, image, counts),
            two: partial(on_cores, cores, image, counts),
            "one process": partial(processes.run, 1, delay),
            "processes": partial(processes.run, cores, delay),
            "batch 1": lambda image=image: [
                on_cores(1, image, counts[n : n + 1]) for n in range(SINGLE)
            ],
            "plain": partial(plainly, image, counts),
        }
        processes.run(cores, delay)
        seconds = timed(rows, rounds)
        per_second = {
            name: (SINGLE if name == "batch 1" else BATCH) / seconds[name].min()
            for name in ("emulator", two, "batch 1", "plain")
        }
        table.append(
            {"delays": str(delay), "firing": rate}
            | per_second
            | {"emulator / plain": per_second["emulator"] / per_second["plain"]}
            | ratios(f"{two} / one", seconds["emulator"], seconds[two])
            | ratios("processes / one", cores * seconds["one process"], seconds["processes"])
        )
    processes.close()
    return table


def ratios(name, one, two):
    """Return the ratio of the shortest times, and the median over the rounds."""
    return {name: float(one.min() / two.min()), f"{name}, median": float(np.median(one / two))}


FIRST_RUN = """
import json, resource, sys, time
sys.path.insert(0, sys.argv[1])
if sys.argv[2]:
    from ranvier.kernel_cache import install
    assert install()
import emulator_speed as bench
from emulator.chip import run
image, counts = bench.reference(bench.Delay.NONE), bench.recordings(2)
start = time.perf_counter(), time.process_time()
run(image, counts)
print(json.dumps([time.perf_counter() - start[0], time.process_time() - start[1]]))
"""


def first_run(cache):
    """Return seconds and processor seconds of the first run of a process; cache : its folder."""
    place = Path(__file__).parent
    command = [sys.executable, "-c", FIRST_RUN, str(place), "kept" if cache else ""]
    said = subprocess.run(
        command, capture_output=True, text=True, check=True, cwd=place.parent,
        env=os.environ | ({"XDG_CACHE_HOME": cache} if cache else {}),
    )  # fmt: skip
    return tuple(json.loads(said.stdout.splitlines()[-1]))


def cold(rounds):
    """Measure the first run of a fresh process: compiled there, and found on disk."""
    with tempfile.TemporaryDirectory() as folder:
        first_run(folder)
        seconds = {
            name: np.min([first_run(cache) for _ in range(rounds)], axis=0)
            for name, cache in (("nothing kept", ""), ("kernels on disk", folder))
        }
    return [
        {"process": name, "seconds": wall, "processor seconds": processor}
        for name, (wall, processor) in seconds.items()
    ]


def gates(rounds):
    """Measure recordings per second of a random network on the emulator and on its gates."""
    from datapath.catalog import DIGITS_SYNAPTIC
    from sim.images import random_image
    from sim.trace import program
    from sim.verify import simulation

    rng = np.random.default_rng(2)
    image = random_image(rng, DIGITS_SYNAPTIC, STEPS)
    shape = (1, SHORT, image.channels)
    counts = (rng.random(shape) < EVENTS / STEPS / CHANNELS).astype(np.uint8)
    many = np.repeat(counts, 4 * BATCH, axis=0)
    clocks = int(run(image, counts).total_cycles.sum())
    took = best({"emulator": partial(on_cores, 1, image, many)}, rounds)["emulator"]
    table = [{"engine": "emulator", "recordings / s": len(many) / took}]
    with tempfile.TemporaryDirectory() as folder:
        for name, number in GATES.items():
            try:
                engine = simulation(image.chip, name, Path(folder))
            except OSError as missing:
                table.append({"engine": name, "missing": str(missing)})
                continue
            # What starting and loading takes is in both, and cancels.
            one, more = program(image, counts), program(image, many[: 1 + number])
            rows = {"one": partial(engine.play, [one]), "more": partial(engine.play, [more])}
            seconds = best(rows, 2)
            each = (seconds["more"] - seconds["one"]) / number
            table.append({"engine": name, "recordings / s": 1 / each})
    for row in table:
        if "missing" not in row:
            row["clocks / s"] = row["recordings / s"] * clocks
            row["emulator / it"] = table[0]["recordings / s"] / row["recordings / s"]
    return table


def peers(python):
    """Measure the packages that the interpreter `python` has, one core, no delays."""
    if not python:
        return [{"peer": name, "missing": "no --peer-python"} for name in PEERS]
    image, counts = reference(Delay.NONE), recordings(32)
    table = []
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder, "network.npz")
        names = ("forward", "recurrent", "out")
        weights = dict(zip(names, (p.weights for p in image.projections), strict=True))
        np.savez(data, counts=counts, threshold=THRESHOLD, decay=COEFFICIENT / 256, **weights)
        for name, script in PEERS.items():
            done = subprocess.run(
                [python, "-c", script, str(data)], capture_output=True, text=True, check=False,
                cwd=folder, env=os.environ | {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"},
            )  # fmt: skip
            if done.returncode:
                why = (done.stderr.splitlines() or ["no message"])[-1]
                table.append({"peer": name, "missing": why})
                continue
            table.append({"peer": name} | json.loads(done.stdout.splitlines()[-1]))
    own = best({"emulator": partial(on_cores, 1, image, counts)}, 3)["emulator"]
    for row in table:
        if "samples / s" in row:
            row["emulator / it"] = len(counts) / own / row["samples / s"]
    return table


def show(title, rows):
    """Print one table."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    table = Table(title=title, title_justify="left")
    for name in columns:
        table.add_column(name, justify="left" if name == "missing" else "right")
    for row in rows:
        table.add_row(*(written(row.get(name, "")) for name in columns))
    Console().print(table)


def written(value):
    """Return `value` with four digits or more."""
    if isinstance(value, str | int):
        return str(value)
    return f"{value:,.0f}" if value >= 1000 else f"{value:.4g}"


def main():
    """Measure what is asked for, and print it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parts = ("speed", "cold", "gates", "peers")
    parser.add_argument("--parts", nargs="+", choices=parts, default=parts)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--peer-python", metavar="PATH", help="another Python that has the peers")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    found = {}
    for part in parts:
        if part not in args.parts:
            continue
        if part == "peers":
            found[part] = peers(args.peer_python)
        else:
            found[part] = {"speed": speed, "cold": cold, "gates": gates}[part](args.rounds)
        if not args.json:
            show(part, found[part])
    if args.json:
        print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
