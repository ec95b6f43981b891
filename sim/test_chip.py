"""`rtl.chip` against `emulator.chip`: random networks on chips of every kind.

Every spike, membrane, sum, flag, result and clock of every tick is compared. `SIM` names the
simulator that runs the Verilog; the hundreds of recordings run through CXXRTL.
"""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from datapath.catalog import CHIPS as CATALOGUE
from datapath.catalog import TINY, TINY_CURRENT, TINY_SHIFT
from datapath.files import load
from datapath.ports import Command
from emulator.chip import run
from sim import cxxrtl
from sim.compare import RECORDED, compare
from sim.images import random_chip, random_counts, random_current_chip, random_image
from sim.runner import chosen
from sim.trace import program
from sim.verify import simulation

CHIPS = {"tiny": TINY, "tiny_shift": TINY_SHIFT, "tiny_current": TINY_CURRENT}
if os.environ.get("SIM") != "verilator":
    # A build takes Icarus a second, and Verilator a minute.
    CHIPS |= {f"lanes_{n}": random_chip(np.random.default_rng(n), n) for n in (1, 2, 4, 8)}
    CHIPS |= {f"flow_{n}": random_current_chip(np.random.default_rng(n), n) for n in (1, 2, 4)}
SHIPPED = sorted((Path(__file__).parent / "shipped").glob("*.ranvier"))
STEPS = 14

through_cxxrtl = pytest.mark.skipif(
    os.environ.get("SIM") == "verilator", reason="CXXRTL has run beside Icarus"
)


@pytest.mark.parametrize("name", CHIPS)
def test_chip(name, tmp_path):
    chip, rng = CHIPS[name], np.random.default_rng(0)
    simulator = simulation(chip, chosen(), tmp_path)
    images = [random_image(rng, chip, STEPS) for _ in range(3)]
    # Sums beyond what a channel counts come in several events, and saturate.
    counts = [random_counts(rng, image, 2) for image in images]
    heard = [np.minimum(c, chip.axon.count.max) for c in counts]
    expected = [run(i, h, record=RECORDED) for i, h in zip(images, heard, strict=True)]
    # With pauses of driver and sink, and in any order of events, only the clocks change.
    for stalls, some in ((0, images), (1, images[:1])):
        programs = [program(i, c, stalls) for i, c in zip(some, counts, strict=False)]
        seen = simulator.play(programs, stalls)
        for n, image in enumerate(some):
            verdict = compare(image, programs[n], seen[n], expected[n], stalled=bool(stalls))
            assert verdict.equal, f"image {n}, stalls {stalls}: {verdict.difference}"


def _agrees(image, counts, simulator, stalls):
    """Compare recordings; with `stalls`, driver and sink pause and the host bus shows junk."""
    heard = np.minimum(counts, image.chip.axon.count.max)
    expected = run(image, heard, record=RECORDED)
    asked = program(image, counts, stalls)
    (seen,) = simulator.play([asked], stalls)
    verdict = compare(image, asked, seen, expected, stalled=bool(stalls))
    assert verdict.equal, f"stalls {stalls}: {verdict.difference}"


@pytest.fixture
def through():
    """Return what simulates a chip through CXXRTL; skip where there is no compiler."""
    try:
        cxxrtl.compiler()
    except OSError as missing:
        pytest.skip(str(missing))
    return cxxrtl.Simulation


@through_cxxrtl
@pytest.mark.parametrize(
    ("name", "images", "recordings", "steps"),
    [
        pytest.param("tiny", 60, 4, 20, id="tiny"),
        pytest.param("tiny-current", 60, 4, 20, id="tiny-current"),
        pytest.param("loihi", 1, 20, 60, id="loihi"),
        pytest.param("slayer", 1, 20, 60, id="slayer"),
        pytest.param("xylo", 1, 20, 60, id="xylo"),
        pytest.param("tiny-shift", 60, 4, 20, id="tiny-shift"),
        pytest.param("digits-axonal", 1, 100, 80, id="digits-axonal"),
        pytest.param("digits-synaptic", 1, 100, 80, id="digits-synaptic"),
    ],
)
def test_hundreds_of_recordings(name, images, recordings, steps, through):
    simulator, rng = through(CATALOGUE[name]), np.random.default_rng(1)
    for n in range(images):
        image = random_image(rng, CATALOGUE[name], steps)
        counts = random_counts(rng, image, recordings)
        _agrees(image, counts, simulator, stalls=0)
        _agrees(image, counts[:10], simulator, stalls=n + 1)


def _real(recordings):
    """Return real recordings, which `bench/shipped_images.py` made with the images."""
    with np.load(Path(__file__).parent / "shipped" / "digits.npz", allow_pickle=False) as file:
        return file["counts"][:recordings].astype(np.int64)


@through_cxxrtl
@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_image(path, through):
    image = load(path)
    _agrees(image, _real(40), through(image.chip), stalls=0)


def test_shipped_image_in_verilog(tmp_path):
    image = load(SHIPPED[0])
    _agrees(image, _real(1)[:, :40], simulation(image.chip, chosen(), tmp_path), stalls=0)


@through_cxxrtl
@pytest.mark.parametrize("chip", [TINY, TINY_CURRENT], ids=["tiny", "tiny_current"])
def test_a_recording_starts_afresh_even_if_the_last_was_broken_off(through, chip):
    image = random_image(np.random.default_rng(0), chip, STEPS)
    counts = np.full((2, STEPS, image.channels), chip.axon.count.max)
    counts[1] = random_counts(np.random.default_rng(2), image, 1)[0] % 2
    both = program(image, counts)
    alone = both.recording == 1
    for last in (3, 4, 5):
        # The events of a last tick of recording 0 are sent, and the tick itself is not run.
        kept = alone | (both.tick < last) | ((both.tick == last) & (both.op == Command.EVENT))
        (want,) = through(chip).play([_commands(both, alone)])
        (got,) = through(chip).play([_commands(both, kept)])
        new = kept.sum() - alone.sum()
        for name, column in want.results.items():
            same = np.array_equal(got.results[name][got.result_of >= new], column)
            assert same, f"results after tick {last} of the other: {name}"
        for name, column in want.lanes.items():
            same = np.array_equal(got.lanes[name][got.probe_of >= new], column)
            assert same, f"updates after tick {last} of the other: {name}"
        assert (got.cycles[new:] == want.cycles).all()


def _commands(asked, kept):
    names = ("op", "recording", "tick", "commands")
    return replace(asked, **{name: getattr(asked, name)[kept] for name in names})
