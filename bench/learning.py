"""Learning on the chip against the float rule, on binned SHD.

usage: python -m bench.learning FOLDER RESULTS PLAN [--jobs 1] [--threads 1]
       python -m bench.learning --table RESULTS
       python -m bench.learning --pairs RESULTS

FOLDER holds shd_train_140x10ms.npz and shd_test_140x10ms.npz (see bench/three_factor.py).  PLAN is
a JSON file: a list of objects, each a run (fields of `Case`, all with defaults; `seed` may be a
list).  Every run adds a line to RESULTS when it has ended, and is skipped if its line is there.
Speakers 3 and 9 of the training set choose the epoch, or, with `everyone`, are learned like the
others, and the last epoch counts; the test set is looked at once, at the end.

--table prints all runs, --pairs those called "..., fixed random" beside those called
"..., learned", seed by seed of the same start and order.
"""

import argparse
import json
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numba
import numpy as np

from bench.tables import mean_and_spread, row, rule
from bench.three_factor import CHANNELS, CLASSES, HELD_OUT_SPEAKERS, TEST_ONLY_SPEAKERS, load
from emulator.chip import run
from learn import Examples, Rule, make_network, train
from model import simulate
from quant.cost import memory_bits
from quant.learnable import LearnOptions, Tuning, learnable
from quant.start import start_image
from ranvier.defaults import OPTIONS
from ranvier.onchip import Schedule, learn_epoch

LARGEST = 0.5


@dataclass(frozen=True)
class Case:
    """One run.

    where : chip or float.  delay, start, learn_delays : mode of the input projection, where its
    delays start (random, zero), and whether they learn.  recurrent : mode, or None.
    readout_alpha : share of a readout that is left after a step.  weight_rate : in units of the
    largest weight.  everyone : nobody is held out.  shift : channel augmentation.  largest : by
    population, the largest weight of the chip; 0.5 where nothing is said.  tuning, rule, options,
    mapping : further fields of Tuning, Rule, LearnOptions, Options.
    """

    name: str = ""
    where: str = "chip"
    hidden: int = 24
    delay: str = "axonal"
    start: str = "random"
    learn_delays: bool = True
    max_delay: int = 40
    recurrent: str | None = None
    readout_alpha: float = 0.95
    seed: int = 0
    epochs: int = 10
    batch: int = 16
    weight_rate: float = 0.002
    delay_rate: float = 0.03
    steps: int = 100
    recordings: int | None = None
    everyone: bool = False
    shift: int = 0
    largest: dict = field(default_factory=dict)
    tuning: dict = field(default_factory=dict)
    rule: dict = field(default_factory=dict)
    options: dict = field(default_factory=dict)
    mapping: dict = field(default_factory=dict)


def network_of(case):
    """Make the network both sides start from."""
    return make_network(
        channels=CHANNELS,
        units=700,
        hidden=[case.hidden],
        classes=CLASSES,
        steps=case.steps,
        dt_ms=1000 / case.steps,
        seed=case.seed,
        delay=case.delay,
        delays=case.start,
        recurrent=case.recurrent,
        readout_alpha=case.readout_alpha,
        max_delay=0 if case.delay == "none" else max(1, case.max_delay * case.steps // 100),
    )


def data_of(folder, case):
    """Return (counts, labels) to learn, to choose by, and to test, and who speaks in the test."""
    parts = []
    for part in ("train", "test"):
        counts, labels, speakers = load(folder / f"shd_{part}_140x10ms.npz")
        # Fewer, longer steps: neighbouring ones are added.
        groups = np.arange(counts.shape[1]) * case.steps // counts.shape[1]
        starts = np.flatnonzero(np.diff(groups, prepend=-1))
        summed = np.add.reduceat(counts.astype(np.uint16), starts, axis=1)
        most = (1 << OPTIONS.count_bits) - 1
        parts.append((np.minimum(summed, most).astype(np.uint8), labels, speakers))
    (counts, labels, speakers), test = parts
    held = np.isin(speakers, HELD_OUT_SPEAKERS) & (not case.everyone)
    chosen = np.flatnonzero(~held)
    if case.recordings is not None:
        chosen = np.sort(np.random.default_rng(7).permutation(chosen)[: case.recordings])
    held_out = None if case.everyone else (counts[held], labels[held])
    return (counts[chosen], labels[chosen]), held_out, test


def on_chip(case, learned, held_out, test):
    """Learn in the emulator."""
    tuning = Tuning(
        weight_rate=case.weight_rate,
        delay_rate=case.delay_rate if case.learn_delays and case.delay != "none" else 0.0,
        half_taps=(),
        **{"linear": True, "error_width": 3 / case.largest.get("readout", LARGEST), **case.tuning},
    )
    schedule = Schedule(
        epochs=case.epochs, batch=case.batch, tuning=tuning, channel_shift=case.shift
    )
    start = start_image(network_of(case), replace(OPTIONS, **case.mapping), largest=case.largest)
    image = learnable(start, schedule.at(0), LearnOptions(**case.options), seed=case.seed)
    best, history = (-1.0, image), []
    for epoch in range(case.epochs):
        image, told = learn_epoch(
            image, *learned, schedule, epoch, seed=case.seed, held_out=held_out
        )
        history.append(asdict(told))
        # Nobody held out, the last epoch counts.
        if held_out is None or told.held_out_accuracy > best[0]:
            best = (told.held_out_accuracy, image)
    return history, run(best[1], test[0]).classes, memory_bits(best[1].chip).bits


def in_float(case, learned, held_out, test):
    """Learn by the float rule with the same optimizer and errors."""
    rule = Rule(
        **{
            "optimizer": "sign",
            "error": "linear",
            "error_width": 3.0,
            "batch": case.batch,
            "weight_rate": case.weight_rate * LARGEST,
            "delay_rate": case.delay_rate if case.learn_delays else 0.0,
            "bias_rate": 0.0,
            "channel_shift": case.shift,
            **case.rule,
        }
    )
    result = train(
        network_of(case),
        Examples(*learned),
        rule,
        epochs=case.epochs,
        seed=case.seed,
        held_out=None if held_out is None else Examples(*held_out),
    )
    history = [
        {
            "number": epoch.number,
            "train_accuracy": epoch.train_accuracy,
            "held_out_accuracy": epoch.held_out_accuracy,
        }
        for epoch in result.history
    ]
    return history, simulate(result.network, test[0]).classes, None


def one(folder, case, threads):
    """Run a case; return its line."""
    numba.set_num_threads(threads)
    learned, held_out, (counts, labels, speakers) = data_of(folder, case)
    since = time.perf_counter()
    side = on_chip if case.where == "chip" else in_float
    history, classes, bits = side(case, learned, held_out, (counts, labels))
    unheard = np.isin(speakers, TEST_ONLY_SPEAKERS)
    right = classes == labels
    return {
        "case": asdict(case),
        "history": history,
        "test": float(right.mean()),
        "speakers_4_5": float(right[unheard].mean()),
        "parameters": network_of(case).parameters,
        "bits": bits,
        "seconds": time.perf_counter() - since,
    }


def cases(plan):
    """Yield every case of a plan."""
    for entry in json.loads(plan.read_text()):
        seeds = entry.pop("seed", 0)
        for seed in seeds if isinstance(seeds, list) else [seeds]:
            yield Case(**entry, seed=seed)


def lines(results):
    """Return what has been measured."""
    if not results.exists():
        return []
    return [json.loads(line) for line in results.read_text().splitlines()]


def table(results):
    """Print a Markdown table: mean and spread over seeds; held out, the last five epochs."""
    groups = {}
    for line in lines(results):
        groups.setdefault((line["case"]["name"], line["case"]["where"]), []).append(line)
    print(
        "| run | on | parameters | memory bits | seeds | test % | 4, 5 alone % | held out % "
        "| learned % |"
    )
    print("|---" * 9 + "|")
    for (name, where), group in groups.items():
        test, unheard, trained = (
            100 * np.array(values)
            for values in (
                [g["test"] for g in group],
                [g["speakers_4_5"] for g in group],
                [g["history"][-1]["train_accuracy"] for g in group],
            )
        )
        late = [
            epoch["held_out_accuracy"]
            for g in group
            for epoch in g["history"][-5:]
            if epoch["held_out_accuracy"] is not None
        ]
        held = f"{100 * np.mean(late):.1f}" if late else ""
        bits = "" if group[0]["bits"] is None else f"{group[0]['bits']:,}"
        print(
            f"| {name} | {where} | {group[0]['parameters']:,} | {bits} | {len(group)} "
            f"| {mean_and_spread(test)} | {unheard.mean():.1f} "
            f"| {held} | {trained.mean():.1f} |"
        )


def pairs(results):
    """Print a Markdown table: fixed random delays, learned ones, and what learning added."""
    tests = {}
    for line in lines(results):
        case = line["case"]
        runs = tests.setdefault((case["name"], case["where"]), {})
        runs[case["seed"]] = 100 * line["test"], line["parameters"]
    head = "network", "on", "parameters", "seeds", "fixed %", "learned %", "learned less fixed"
    print(row(*head), rule(len(head)), sep="\n")
    for (name, where), fixed in tests.items():
        learned = tests.get((name.replace("fixed random", "learned"), where))
        if "fixed random" not in name or learned is None:
            continue
        seeds = sorted(fixed.keys() & learned.keys())
        before, after = (np.array([of[seed][0] for seed in seeds]) for of in (fixed, learned))
        parameters = learned[seeds[0]][1]
        measured = map(mean_and_spread, (before, after, after - before))
        plain = name.replace(", fixed random", "")
        print(row(plain, where, f"{parameters:,}", len(seeds), *measured))


def main():
    """Run a plan, or print what has been measured."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("results", type=Path, nargs="?")
    parser.add_argument("plan", type=Path, nargs="?")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--table", type=Path)
    parser.add_argument("--pairs", type=Path)
    args = parser.parse_args()
    for given, show in ((args.table, table), (args.pairs, pairs)):
        if given is not None:
            show(given)
            return
    if args.plan is None:
        parser.error("FOLDER, RESULTS and PLAN are needed, or --table or --pairs RESULTS")
    there = [line["case"] for line in lines(args.results)]
    todo = [case for case in cases(args.plan) if asdict(case) not in there]
    print(f"{len(todo)} runs", flush=True)
    with ProcessPoolExecutor(args.jobs) as pool:
        jobs = [pool.submit(one, args.folder, case, args.threads) for case in todo]
        for job in jobs:
            line = job.result()
            with args.results.open("a") as file:
                file.write(json.dumps(line) + "\n")
            print(
                f"{line['case']['name']} {line['case']['where']} seed {line['case']['seed']}: "
                f"{100 * line['test']:.2f} % in {line['seconds']:.0f} s",
                flush=True,
            )


if __name__ == "__main__":
    main()
