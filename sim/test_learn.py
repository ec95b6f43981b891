"""Learning on the whole chip against `emulator.learn`: random rules on chips of every kind.

All that `sim.test_chip` compares, and with it the answer and the clocks of every LEARN and UPDATE
and every word of every loaded memory after it. `SIM` names the simulator that runs the Verilog; the
hundreds of recordings run through CXXRTL.
"""

import math
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from datapath import (
    Delay,
    Image,
    Kind,
    Learning,
    Population,
    PopulationRule,
    Projection,
    ProjectionRule,
    Reset,
)
from datapath.catalog import SMALL_LEARN, TINY_LEARN
from datapath.contents import learned_image
from datapath.files import digest, load
from datapath.ports import Command
from emulator.chip import run
from emulator.learn import learn
from rtl.memory import learn_of
from sim import cxxrtl, verify
from sim.compare import RECORDED, compare
from sim.images import (
    random_counts,
    random_image,
    random_labels,
    random_learning,
    random_learning_chip,
)
from sim.learn import learn_on_gates
from sim.runner import chosen
from sim.trace import beats, by_memory, program

CHIPS = {"tiny": TINY_LEARN}
MANY = {f"lanes_{n}": random_learning_chip(np.random.default_rng(n), n) for n in (1, 2, 4)}
MANY["small"] = SMALL_LEARN
REAL = sorted((Path(__file__).parent / "shipped" / "learning").glob("*.ranvier"))
STEPS = 14

through_cxxrtl = pytest.mark.skipif(
    os.environ.get("SIM") == "verilator", reason="CXXRTL has run beside Icarus"
)


@pytest.fixture
def has_compiler():
    try:
        cxxrtl.compiler()
    except OSError as missing:
        pytest.skip(str(missing))


def _lesson(rng, chip, recordings, steps=STEPS):
    """Return an image that learns, counts and labels."""
    steps = min(steps, chip.learn.steps - 1)
    image = random_learning(rng, random_image(rng, chip, steps))
    counts = np.minimum(random_counts(rng, image, recordings), chip.axon.count.max)
    return image, counts, random_labels(rng, image, recordings)


def _agrees(lesson, batch, engine="cxxrtl", stalls=0):
    verdict = verify.verify_learning(*lesson, batch=batch, engine=engine, stalls=stalls)
    assert verdict.equal, f"stalls {stalls}: {verdict.difference}"
    return verdict


# A build takes Icarus a second, and Verilator a minute.
@pytest.mark.parametrize("name", CHIPS if os.environ.get("SIM") == "verilator" else CHIPS | MANY)
def test_learn(name):
    rng, simulator = np.random.default_rng(0), chosen()
    lesson = _lesson(rng, (CHIPS | MANY)[name], 6, 7)
    assert _agrees(lesson, 2, simulator).learning_steps == 3


@through_cxxrtl
@pytest.mark.usefixtures("has_compiler")
@pytest.mark.parametrize(
    ("name", "images", "recordings"), [("tiny", 20, 10), *((name, 5, 10) for name in MANY)]
)
def test_hundreds_of_recordings(name, images, recordings):
    rng = np.random.default_rng(1)
    for n in range(images):
        image, counts, labels = _lesson(rng, (CHIPS | MANY)[name], recordings, 31)
        # Pauses of driver and sink, and junk on the host bus, change the clocks alone.
        _agrees((image, counts, labels), 1 + n % 4)
        _agrees((image, counts[:3], labels[:3]), 2, stalls=n + 1)


@through_cxxrtl
@pytest.mark.usefixtures("has_compiler")
def test_the_gradients_of_every_recording(monkeypatch):
    # The host looks into the memories after every LEARN, before gradients become steps.
    monkeypatch.setattr(verify, "BATCH", 1)
    rng = np.random.default_rng(2)
    for _ in range(5):
        _agrees(_lesson(rng, TINY_LEARN, 6), 4)


def _with_moving_delays(rng):
    """Return a lesson after which delays of spikes in flight are others."""
    while True:
        image, counts, labels = _lesson(rng, TINY_LEARN, 3)
        counts = np.maximum(counts, 1)
        learned = learn(image, counts, labels, batch=3)
        pairs = zip(image.projections, learned.image.projections, strict=True)
        moved = any((p.delays != q.delays).any() for p, q in pairs)
        old, new = (run(i, counts).spike_counts for i in (image, learned.image))
        if moved and any((old[name] != new[name]).any() for name in old):
            return image, counts, labels, learned


@through_cxxrtl
@pytest.mark.usefixtures("has_compiler")
def test_a_delay_that_changes_loses_and_doubles_no_spike():
    rng = np.random.default_rng(3)
    chip = cxxrtl.Simulation(TINY_LEARN)
    for _ in range(5):
        image, counts, labels, learned = _with_moving_delays(rng)
        lesson = program(image, counts, labels=labels, update=True)
        after = replace(program(learned.image, counts), address=lesson.look, data=lesson.look)
        # The host touches nothing between the UPDATE and the next recording.
        _, seen = chip.play([lesson, after])
        expected = run(learned.image, counts, record=RECORDED)
        verdict = compare(learned.image, after, seen, expected)
        assert verdict.equal, verdict.difference


def _arrivals(delay):
    """Return an image of which two readouts count what arrives: no leak; delays learn."""
    channels, classes, chip, p = 8, 4, TINY_LEARN, learn_of(TINY_LEARN)
    none = np.zeros((), np.int64)
    shape = (channels,) if delay is Delay.AXONAL else (classes, channels)
    rule = ProjectionRule(
        weights=False, delays=True, weight_limit=1, weight_rate=0, weight_shift=0,
        delay_scale=0, delay_limit=1, delay_rate=p.rate.max, delay_shift=0, largest=7,
        weight_fractions=none, weight_gradients=none, delay_fractions=np.zeros(shape, np.int64),
        delay_gradients=np.zeros(shape, np.int64),
    )  # fmt: skip
    one, kappa = np.array(chip.lif.one), 1 << p.coefficient.frac
    levels = np.linspace(p.lookup.max, 0, p.entries).round().astype(np.int64)
    return Image(
        chip=chip,
        input_name="input",
        channels=channels,
        units=channels,
        dt_us=1000,
        steps=20,
        populations=(
            Population("out", Kind.READOUT, classes, none + 1, none, one, Reset.ZERO, True),
        ),
        projections=(
            Projection(
                "in_out", "input", "out", np.outer([1, 1, 0, 0], np.ones(channels, np.int64)), 0,
                delay, np.arange(math.prod(shape)).reshape(shape) % 4, 0,
            ),
        ),
        learning=Learning(
            surrogate=levels, levels=levels, surrogate_shift=0, error_shift=0,
            taps=np.array([8]), keep_weights=0, keep_delays=0, sign_of_weight=True, nearest=False,
            random=np.arange(1, chip.lanes + 1),
            populations=(PopulationRule(True, None, kappa, 0, 1, 0, 0),), projections=(rule,),
        ),
    )  # fmt: skip


def _membranes(image, asked, seen):
    """Return the membranes that the probe shows, int64[ticks, readouts]."""
    ticks = int((asked.op == Command.TICK).sum())
    return seen.lanes["v"].reshape(ticks, -1)[:, : image.readout.size]


@through_cxxrtl
@pytest.mark.usefixtures("has_compiler")
@pytest.mark.parametrize("delay", [Delay.AXONAL, Delay.SYNAPTIC])
def test_every_spike_arrives_once_whatever_the_delays_become(delay):
    chip, image = cxxrtl.Simulation(TINY_LEARN), _arrivals(delay)
    # Channel c spikes in tick c, the last one twice; the latest arrives in tick 14 of 20.
    counts = np.zeros((1, 20, 8), np.int64)
    counts[0, np.arange(8), np.arange(8)] = [1] * 7 + [2]
    for label in (0, 1, 2, 3, 0):
        asked = program(image, counts, labels=np.array([label]), update=True)
        (seen,) = chip.play([replace(asked, look=asked.address)])
        assert _membranes(image, asked, seen)[-1].tolist() == [9, 9, 0, 0]
        learned = learned_image(image, by_memory(image, seen.found))
        assert (learned.projections[0].delays != image.projections[0].delays).any()
        image = learned


@through_cxxrtl
@pytest.mark.usefixtures("has_compiler")
@pytest.mark.parametrize("delay", [Delay.AXONAL, Delay.SYNAPTIC])
def test_spikes_under_way_at_the_end_are_in_no_other_recording(delay):
    chip, image = cxxrtl.Simulation(TINY_LEARN), _arrivals(delay)
    # All channels spike in the last tick of recording 0; recording 1 is silent.
    counts = np.zeros((2, 20, 8), np.int64)
    counts[0, -1] = 3
    asked = program(image, counts, labels=np.array([1, -1]))
    (seen,) = chip.play([asked])
    first, second = np.split(_membranes(image, asked, seen), 2)
    # Two of the eight delays are 0.
    assert first[-1].tolist() == [6, 6, 0, 0]
    assert not second.any()
    # Not even when UPDATE comes between the two, and delays are others.
    asked = program(image, counts[:1], labels=np.array([1]), update=True)
    silent = program(image, counts[1:])
    silent = replace(silent, address=silent.address[:0], data=silent.data[:0])
    _, seen = chip.play([asked, silent])
    assert not _membranes(image, silent, seen).any()


@through_cxxrtl
@pytest.mark.usefixtures("has_compiler")
def test_what_a_recording_leaves_in_the_chip():
    # Histories, looked-up numbers, filtered signals, signals and slopes in the ring.
    rng = np.random.default_rng(7)
    for n in range(4):
        lesson = _lesson(rng, TINY_LEARN, 5, 8 + 7 * n)
        verdict = verify.verify_learning(*lesson, batch=2, closely=True)
        assert verdict.equal, verdict.difference


def test_an_engine_that_shows_no_memories_is_named():
    lesson = _lesson(np.random.default_rng(8), TINY_LEARN, 1)
    with pytest.raises(ValueError, match="icarus does not show the memories of the chip: cxxrtl"):
        verify.verify_learning(*lesson, batch=1, engine="icarus", closely=True)


@pytest.mark.skipif(os.environ.get("SIM") == "verilator", reason="Icarus builds in seconds")
@pytest.mark.parametrize("path", REAL, ids=lambda path: path.stem)
def test_real_recordings(path):
    with np.load(path.with_name("digits.npz"), allow_pickle=False) as file:
        # The middle of the word, where most is said.
        counts, labels = file["counts"].astype(np.int64), file["labels"]
    image = load(path)
    verdict = _agrees((image, counts, labels), len(labels), chosen())
    assert (verdict.learns, verdict.learning_steps) == (len(labels), 1)
    learned = learn(image, counts, labels, batch=len(labels)).image
    before, after = image.projections[0], learned.projections[0]
    assert (before.weights != after.weights).any()
    assert (before.delays != after.delays).any()


@through_cxxrtl
@pytest.mark.usefixtures("has_compiler")
def test_a_recording_does_not_see_that_the_last_one_was_learned():
    rng = np.random.default_rng(4)
    chip = cxxrtl.Simulation(TINY_LEARN)
    for _ in range(10):
        image, counts, labels = _lesson(rng, TINY_LEARN, 6)
        expected = run(image, counts, record=RECORDED)
        asked = program(image, counts, labels=np.maximum(labels, 0))
        learned = learn(image, counts, np.maximum(labels, 0), batch=None)
        (seen,) = chip.play([asked])
        verdict = compare(image, asked, seen, expected, learned=learned)
        assert verdict.equal, verdict.difference


@through_cxxrtl
@pytest.mark.usefixtures("has_compiler")
def test_a_recording_may_be_learned_twice():
    # What LEARN reads of the recording it leaves as it was.
    rng = np.random.default_rng(5)
    chip = cxxrtl.Simulation(TINY_LEARN)
    for _ in range(5):
        image, counts, _ = _lesson(rng, TINY_LEARN, 1)
        twice = learn(image, counts[[0, 0]], [0, 0], batch=None)
        asked = program(image, counts, labels=np.zeros(1, np.int64))
        last = np.array([*range(len(asked.op)), len(asked.op) - 1])
        columns = ("op", "recording", "tick", "commands")
        asked = replace(asked, **{name: getattr(asked, name)[last] for name in columns})
        (seen,) = chip.play([replace(asked, look=asked.address)])
        assert asked.op[-2:].tolist() == [Command.LEARN] * 2
        assert (seen.found == beats(twice.image)[1]).all()
        assert seen.cycles[-2:].tolist() == twice.learn_cycles.tolist()


@through_cxxrtl
@pytest.mark.usefixtures("has_compiler")
def test_what_the_gates_learn_is_what_the_emulator_learns():
    rng = np.random.default_rng(6)
    for batch in (1, 3, 8):
        image, counts, labels = _lesson(rng, TINY_LEARN, 7)
        done: list[int] = []
        want = learn(image, counts, labels, batch=batch)
        got = learn_on_gates(image, counts, labels, batch=batch, progress=done.append)
        assert sum(done) == 7
        assert digest(got.image) == digest(want.image) != digest(image)
        assert got.total_cycles == want.total_cycles
        for name in ("classes", "cycles", "saturated_ticks", "learn_saturated", "update_cycles"):
            assert (getattr(got, name) == getattr(want, name)).all(), name
        for name, spikes in want.spike_counts.items():
            assert (got.spike_counts[name] == spikes).all(), name
