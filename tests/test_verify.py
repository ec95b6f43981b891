"""`sim.verify`: what it compares, what it says, and what it refuses."""

from dataclasses import replace

import numpy as np
import pytest

from datapath.catalog import TINY, TINY_LEARN
from datapath.memory import addresses
from datapath.ports import Command, Result
from emulator.chip import run
from emulator.learn import learn
from sim import cxxrtl
from sim.compare import RECORDED, compare
from sim.images import random_counts, random_image, random_learning
from sim.trace import program
from sim.verify import lessons, verify, verify_learning

STEPS = 20
IMAGE = random_image(np.random.default_rng(0), TINY, STEPS)
COUNTS = random_counts(np.random.default_rng(3), IMAGE, 7) % 8


RNG = np.random.default_rng(1)
TAUGHT = random_learning(RNG, random_image(RNG, TINY_LEARN, STEPS))
SHOWN = random_counts(RNG, TAUGHT, 5) % 8
LABELS = np.array([0, 1, -1, 0, 1])


@pytest.fixture(autouse=True)
def _has_compiler():
    try:
        cxxrtl.compiler()
    except OSError as missing:
        pytest.skip(str(missing))


def test_the_same_verdict_from_batches_and_progress(monkeypatch):
    done = []
    whole = verify(IMAGE, COUNTS)
    monkeypatch.setattr("sim.verify.BATCH", 2 * STEPS * TINY.neurons)
    parts = verify(IMAGE, COUNTS, progress=lambda n, of: done.append((n, of)))
    assert whole.equal, whole.difference
    assert parts == whole
    assert done == [(2, 7), (4, 7), (6, 7), (7, 7)]
    assert whole.recordings == 7
    assert whole.ticks == 7 * STEPS
    assert whole.clocks == run(IMAGE, COUNTS).total_cycles.sum()


@pytest.fixture(scope="module")
def played():
    """Return what was asked of the gates, what they showed, and what the emulator expects."""
    asked = program(IMAGE, COUNTS)
    (seen,) = cxxrtl.Simulation(TINY).play([asked])
    return asked, seen, run(IMAGE, COUNTS, record=RECORDED)


def _flip(column, at, value):
    """Return a copy of `column` with another value at `at`."""
    changed = column.copy()
    changed[at] = value
    return changed


def test_gates_and_emulator_agree(played):
    asked, seen, expected = played
    assert compare(IMAGE, asked, seen, expected).difference == ""


def test_says_which_word_of_which_neuron_differs_first(played):
    asked, seen, expected = played
    block = sum(-(-p.size // TINY.lanes) for p in IMAGE.populations)
    for name, word in {"u": "sum", "v": "membrane", "fired": "spike"}.items():
        was = int(seen.lanes[name][(2 * STEPS + 5) * block, 1])
        lanes = {name: _flip(seen.lanes[name], ((2 * STEPS + 5) * block, 1), was ^ 1)}
        # A later difference is not the first.
        lanes["saturated"] = (
            seen.lanes["saturated"] ^ (np.arange(len(seen.block)) > 60 * block)[:, None]
        )
        wrong = replace(seen, lanes=seen.lanes | lanes)
        said = compare(IMAGE, asked, wrong, expected, 100).difference
        want = f"recording 102, tick 5, n0 neuron 1: {word} emulator {was}, RTL {was ^ 1}"
        assert said == want


def test_says_which_result_differs(played):
    asked, seen, expected = played
    end = int(np.flatnonzero(seen.results["op"] == Result.END)[STEPS + 3])
    winner, score = (int(seen.results[name][end]) for name in ("index", "value"))
    flag = ", saturated" if seen.results["saturated"][end] else ""
    right = f"END of tick 3: winner {winner} with score {score}{flag}"
    for change, said in {
        ("value", score + 1): f"END of tick 3: winner {winner} with score {score + 1}{flag}",
        ("op", 3): "the unknown result 3",
        ("op", Result.READOUT): f"READOUT {winner} = {score}",
    }.items():
        wrong = {change[0]: _flip(seen.results[change[0]], end, change[1])}
        wrong = replace(seen, results=seen.results | wrong)
        got = compare(IMAGE, asked, wrong, expected).difference
        assert got == f"recording 1, tick 3: emulator sends {right}, RTL {said}"


def test_says_which_command_takes_other_clocks(played):
    asked, seen, expected = played
    for op, at in ((Command.TICK, 4), (Command.EVENT, 2), (Command.CLEAR, 1)):
        n = int(np.flatnonzero(asked.op == op)[at])
        wrong = replace(seen, cycles=_flip(seen.cycles, n, seen.cycles[n] + 1))
        said = compare(IMAGE, asked, wrong, expected).difference
        clocks = f"emulator {seen.cycles[n]} clocks, RTL {seen.cycles[n] + 1}"
        assert said.endswith(clocks)
        assert said.startswith(f"recording {asked.recording[n]}, tick {max(0, asked.tick[n])}")
        assert compare(IMAGE, asked, wrong, expected, stalled=True).equal


def test_says_which_memory_reads_back_wrong_and_where_gates_stop(played):
    asked, seen, expected = played
    at = int(np.flatnonzero(asked.address == addresses(TINY)["weights"] + 3)[0])
    wrong = replace(seen, read=_flip(seen.read, at, seen.read[at] ^ 5))
    said = compare(IMAGE, asked, wrong, expected).difference
    wrote, read = f"{asked.data[at]:#010x}", f"{wrong.read[at]:#010x}"
    assert said == f"recording 0: the host wrote {wrote} to weights word 3, beat 0 and reads {read}"

    n = int(np.flatnonzero(asked.op == Command.TICK)[STEPS + 2])
    hung = replace(
        seen,
        cycles=seen.cycles[:n],
        results={k: v[seen.result_of < n] for k, v in seen.results.items()},
        result_of=seen.result_of[seen.result_of < n],
        lanes={k: v[seen.probe_of < n] for k, v in seen.lanes.items()},
        block=seen.block[seen.probe_of < n],
        probe_of=seen.probe_of[seen.probe_of < n],
        stopped="is not done after 9 clocks",
    )
    said = compare(IMAGE, asked, hung, expected).difference
    assert said == "recording 1, tick 2: the RTL is not done after 9 clocks"
    silent = replace(hung, stopped="")
    said = compare(IMAGE, asked, silent, expected).difference
    assert said == "recording 1, tick 2: the RTL does not update block 0"


def test_says_which_block_is_missing_or_out_of_turn(played):
    asked, seen, expected = played
    short = replace(
        seen,
        probe_of=seen.probe_of[:-1],
        block=seen.block[:-1],
        lanes={name: column[:-1] for name, column in seen.lanes.items()},
    )
    last = f"recording 6, tick {STEPS - 1}: the RTL does not update block {seen.block[-1]}"
    assert compare(IMAGE, asked, short, expected).difference == last
    swapped = replace(seen, block=_flip(seen.block, 2, 7))
    said = compare(IMAGE, asked, swapped, expected).difference
    assert said == "recording 0, tick 0: the RTL updates block 7 out of turn"


def test_the_same_verdict_of_learning_from_parts_of_batches(monkeypatch):
    done = []
    whole = verify_learning(TAUGHT, SHOWN, LABELS, batch=3)
    monkeypatch.setattr("sim.verify.BATCH", 2 * STEPS * TINY_LEARN.neurons)
    told = {"progress": lambda n, of: done.append((n, of))}
    parts = verify_learning(TAUGHT, SHOWN, LABELS, batch=3, **told)
    assert whole.equal, whole.difference
    # The memories are read once more, in the midst of the first batch.
    more = parts.beats - whole.beats
    assert more == whole.beats // 3
    assert parts == replace(whole, beats=parts.beats, bits=whole.bits + 32 * more)
    assert done == [(2, 5), (3, 5), (5, 5)]
    assert (whole.recordings, whole.learns, whole.learning_steps) == (5, 4, 2)
    assert whole.clocks == learn(TAUGHT, SHOWN, LABELS, batch=3).total_cycles


@pytest.fixture(scope="module")
def taught():
    """Return the first batch of a lesson, and what the gates showed of it."""
    lesson = next(lessons(TAUGHT, SHOWN, LABELS, batch=3))
    (seen,) = cxxrtl.Simulation(TINY_LEARN).play([lesson.asked])
    return lesson, seen


def _said(lesson, seen):
    expected, learned = lesson.expected, lesson.learned
    return compare(TAUGHT, lesson.asked, seen, expected, 40, learned=learned).difference


def test_says_which_number_was_learned_wrong(taught):
    lesson, seen = taught
    assert _said(lesson, seen) == ""
    base = addresses(TINY_LEARN)
    for name, number in {"random": "state", "weights": "weight"}.items():
        at = int(np.flatnonzero(lesson.asked.look == base[name])[0])
        said = _said(lesson, replace(seen, found=_flip(seen.found, at, seen.found[at] ^ 1)))
        assert said.startswith(f"recording 42, UPDATE: {name} word 0, lane 0: {number} emulator ")
    said = _said(lesson, replace(seen, found=_flip(seen.found, 1, 99)))
    assert said == "recording 42, UPDATE: a control register has changed"


def test_says_which_command_of_learning_differs(taught):
    lesson, seen = taught
    for op, recording in ((Command.LEARN, 41), (Command.UPDATE, 42)):
        at = int(np.flatnonzero(lesson.asked.op == op)[-1])
        clocks = seen.cycles[at]
        said = _said(lesson, replace(seen, cycles=_flip(seen.cycles, at, clocks - 1)))
        where = f"recording {recording}, {op.name}"
        assert said == f"{where}: emulator {clocks} clocks, RTL {clocks - 1}"
        end = int(np.flatnonzero(seen.result_of == at)[0])
        flag = _flip(seen.results["saturated"], end, not seen.results["saturated"][end])
        said = _said(lesson, replace(seen, results=seen.results | {"saturated": flag}))
        assert said.startswith(f"{where}: emulator sends END of {op.name}: winner ")
        assert said.count(", saturated") == 1


def test_refuses_to_learn_what_cannot_be_learned():
    with pytest.raises(ValueError, match="the image has no rules to learn by"):
        verify_learning(IMAGE, COUNTS, np.zeros(7, int), batch=3)
    with pytest.raises(ValueError, match="labels: recording 4 has 99, and a label is 0 to"):
        verify_learning(TAUGHT, SHOWN, [0, 0, 0, 0, 99], batch=3)
    with pytest.raises(ValueError, match="no recording to verify"):
        verify_learning(TAUGHT, SHOWN[:0], LABELS[:0], batch=3)


def test_refuses_an_unknown_engine_and_no_recordings():
    with pytest.raises(ValueError, match="engine must be one of cxxrtl, icarus, verilator"):
        verify(IMAGE, np.zeros((1, STEPS, IMAGE.channels), int), "spice")
    with pytest.raises(ValueError, match="no recording to verify"):
        verify(IMAGE, np.zeros((0, STEPS, IMAGE.channels), int))


def test_says_how_to_get_a_compiler(monkeypatch):
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setattr("shutil.which", lambda name: None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(OSError, match=r"install g\+\+ or clang\+\+, or `pip install ranvier"):
        verify(IMAGE, COUNTS)
    monkeypatch.setenv("CXX", "no-such-compiler -m64")
    with pytest.raises(OSError, match="CXX = 'no-such-compiler -m64' is not a C"):
        verify(IMAGE, COUNTS)
