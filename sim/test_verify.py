"""`sim.verify` through CXXRTL: hundreds of recordings, and nothing left of an earlier one."""

from dataclasses import replace

import numpy as np
import pytest

from datapath.catalog import CHIPS, TINY
from emulator.chip import run
from sim import cxxrtl
from sim.compare import RECORDED, compare
from sim.images import random_counts, random_image
from sim.trace import program
from sim.verify import verify

STEPS = 20


@pytest.fixture(autouse=True)
def _has_compiler():
    try:
        cxxrtl.compiler()
    except OSError as missing:
        pytest.skip(str(missing))


def _images(chip, count):
    rng = np.random.default_rng(0)
    return [random_image(rng, chip, STEPS) for _ in range(count)]


@pytest.mark.parametrize(
    ("name", "images", "recordings"),
    [
        ("tiny", 60, 4),
        ("tiny-shift", 60, 4),
        ("digits-axonal", 2, 100),
        ("digits-synaptic", 2, 100),
    ],
)
def test_hundreds_of_recordings(name, images, recordings):
    simulator = cxxrtl.Simulation(CHIPS[name])
    rng = np.random.default_rng(1)
    for n, image in enumerate(_images(CHIPS[name], images)):
        counts = random_counts(rng, image, recordings)
        # The second time driver and sink pause, and the host bus shows junk while a tick runs.
        for stalls, some in ((0, counts), (n + 1, counts[:10])):
            heard = np.minimum(some, image.chip.axon.count.max)
            expected = run(image, heard, record=RECORDED)
            asked = program(image, some, stalls)
            (seen,) = simulator.play([asked], stalls)
            verdict = compare(image, asked, seen, expected, stalled=bool(stalls))
            assert verdict.equal, f"image {n}, stalls {stalls}: {verdict.difference}"


def test_a_recording_starts_afresh_even_if_the_last_was_broken_off():
    (image,) = _images(TINY, 1)
    counts = np.full((2, STEPS, image.channels), TINY.axon.count.max)
    counts[1] = random_counts(np.random.default_rng(2), image, 1)[0] % 2
    both = program(image, counts)
    alone = both.recording == 1
    for last in (3, 4, 5):
        # Recording 0 ends after the events of a tick, which never runs.
        kept = alone | ((both.tick < last) | ((both.tick == last) & (both.op == 0)))
        broken = _select(both, kept)
        fresh, after = cxxrtl.Simulation(TINY), cxxrtl.Simulation(TINY)
        (want,), (got,) = fresh.play([_select(both, alone)]), after.play([broken])
        new = kept.sum() - alone.sum()
        for name, column in want.results.items():
            assert (got.results[name][got.result_of >= new] == column).all()
        for name, column in want.lanes.items():
            assert (got.lanes[name][got.probe_of >= new] == column).all()
        assert (got.cycles[new:] == want.cycles).all()


def _select(asked, kept):
    names = ("op", "recording", "tick", "commands")
    return replace(asked, **{name: getattr(asked, name)[kept] for name in names})


def test_the_same_verdict_from_batches_and_progress(monkeypatch):
    (image,) = _images(TINY, 1)
    counts = random_counts(np.random.default_rng(3), image, 7) % 8
    done = []
    whole = verify(image, counts)
    monkeypatch.setattr("sim.verify.BATCH", 2 * STEPS * TINY.neurons)
    parts = verify(image, counts, progress=lambda n, of: done.append((n, of)))
    assert whole.equal, whole.difference
    assert parts == whole
    assert done == [(2, 7), (4, 7), (6, 7), (7, 7)]
    assert whole.recordings == 7
    assert whole.ticks == 7 * STEPS
    assert whole.clocks == run(image, counts).total_cycles.sum()


def test_a_difference_is_said_in_words(monkeypatch):
    (image,) = _images(TINY, 1)
    counts = random_counts(np.random.default_rng(3), image, 4) % 8
    neuron = image.populations[0].size - 1

    def wrong(image, counts, record):
        done = run(image, counts, record=record)
        membranes = done.membranes[image.populations[0].name]
        membranes[3, 11, neuron] += 1
        return done

    monkeypatch.setattr("sim.verify.run", wrong)
    said = verify(image, counts).difference
    assert said.startswith(f"recording 3, tick 11, n0 neuron {neuron}: membrane emulator ")


def test_refuses_an_unknown_engine_and_no_recordings():
    (image,) = _images(TINY, 1)
    with pytest.raises(ValueError, match="engine must be one of cxxrtl, icarus, verilator"):
        verify(image, np.zeros((1, STEPS, image.channels), int), "spice")
    with pytest.raises(ValueError, match="no recording to verify"):
        verify(image, np.zeros((0, STEPS, image.channels), int))
