"""The Python driver, on simulated gates behind a serial line, and on lines that misbehave."""

import json
import os
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from datapath import mailbox
from datapath.catalog import TINY, TINY_LEARN
from datapath.files import digest, load
from datapath.mailbox import DEPTH
from emulator.chip import run
from emulator.learn import learn
from ranvier.cli import main
from ranvier.device import Device
from sim import cxxrtl
from sim.compare import RECORDED
from sim.images import random_counts, random_image, random_labels, random_learning
from sim.line import Line
from sim.results import expected_payloads
from sim.trace import program

SHIPPED = Path(__file__).parents[1] / "sim" / "shipped"


@pytest.fixture
def simulated():
    """Return what simulates a chip; skip where there is no compiler."""
    try:
        cxxrtl.compiler()
    except OSError as missing:
        pytest.skip(str(missing))
    return Device.simulated


def lesson(chip, steps, recordings):
    """Return an image whose populations all send, and counts."""
    rng = np.random.default_rng(3)
    image = random_image(rng, chip, steps)
    image = replace(image, populations=tuple(replace(p, emit=True) for p in image.populations))
    counts = np.minimum(random_counts(rng, image, recordings), chip.axon.count.max)
    counts[0] = rng.integers(0, 2, counts[0].shape)
    return image, counts


def agrees(device, image, counts):
    """Play recordings, and compare everything that the chip sends with the emulator."""
    expected = run(image, counts, record=RECORDED)
    want = expected_payloads(image, program(image, counts), expected, None)
    for n, recording in enumerate(counts):
        got = device.run(recording)
        of = want.recording == n
        rows = [want.tick, want.op, want.index, want.value, want.saturated]
        assert np.array_equal(got.results, np.stack([row[of] for row in rows], axis=1))
        assert got.winner == expected.classes[n]
        assert got.score == expected.scores[n, got.winner]
        assert got.clocks == expected.total_cycles[n]


def test_recordings_on_the_gates_equal_the_emulator(simulated):
    image, counts = lesson(TINY, 20, 3)
    with simulated(TINY) as device:
        device.load(image)
        device.verify(image)
        agrees(device, image, counts)
        assert device.repeated == 0


def test_more_results_than_the_chip_keeps(simulated):
    image, counts = lesson(TINY, 80, 1)
    with simulated(TINY) as device:
        device.load(image)
        got = device.run(counts[0])
    assert len(got.results) > 2 * DEPTH
    expected = run(image, counts, record=RECORDED)
    want = expected_payloads(image, program(image, counts), expected, None)
    assert np.array_equal(got.results[:, 3], want.value)
    assert np.array_equal(got.results[:, 2], want.index)


def test_several_events_carry_what_is_too_much_for_one(simulated):
    image, counts = lesson(TINY, 6, 1)
    most = TINY.axon.count.max
    with simulated(TINY) as device:
        device.load(image)
        got = device.run(np.full_like(counts[0], 2 * most + 1))
    # The chip counts no further than an event can.
    expected = run(image, np.full_like(counts, most))
    assert (got.winner, got.score) == (expected.classes[0], expected.scores[0].max())


def test_a_shipped_image_hears_real_recordings(simulated):
    # Its results take two words.
    image = load(SHIPPED / "digits-axonal.ranvier")
    with np.load(SHIPPED / "digits.npz", allow_pickle=False) as file:
        counts = file["counts"][:3].astype(np.int64)
    with simulated(image.chip) as device:
        told = []
        device.load(image, lambda done, all_: told.append((done, all_)))
        assert told[-1][0] == told[-1][1] == 2948
        agrees(device, image, counts)


def test_learning_on_the_gates_equals_the_emulator(simulated):
    image, counts = lesson(TINY_LEARN, 20, 4)
    rng = np.random.default_rng(4)
    image = random_learning(rng, image)
    labels = random_labels(rng, image, 4)
    expected = learn(image, counts, labels, batch=4)
    with simulated(TINY_LEARN) as device:
        device.load(image)
        for recording, label, saturated in zip(
            counts, labels, expected.learn_saturated, strict=True
        ):
            got = device.run(recording)
            if label >= 0:
                assert device.learn(int(label)) == saturated
        assert got.winner == expected.classes[-1]
        device.update()
        assert digest(device.fetch(image)) == digest(expected.image)


def command(*words):
    return CliRunner().invoke(main, ["device", *map(str, words)])


def test_the_command_compares_a_data_set_with_the_emulator(simulated, monkeypatch):
    image = SHIPPED / "digits-axonal.ranvier"
    done = command(image, "digits", "--simulated", "--recordings", 2, "--json")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    expected = run(load(image), np.zeros((1, 1, 140), np.int64)).clear_cycles[0]
    assert found["clocks"] > 2 * expected
    # An END of every tick of 100.
    assert (found["recordings"], found["results"], found["equal"]) == (2, 200, True)
    real = Device.run

    def other(self, counts):
        got = real(self, counts)
        results = got.results.copy()
        results[7, 3] += 1
        return got._replace(results=results)

    monkeypatch.setattr(Device, "run", other)
    done = command(image, "digits", "--simulated", "--recordings", 1)
    assert done.exit_code == 1
    assert "recording 0: emulator sends END of tick 7: winner" in done.stdout
    monkeypatch.setattr(Device, "run", lambda self, counts: real(self, counts)._replace(clocks=9))
    done = command(image, "digits", "--simulated", "--recordings", 1)
    assert done.exit_code == 1
    assert done.stdout.rstrip().endswith("clocks, chip 9")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "name the board with --port, or say --simulated"),
        (["--port", "/dev/x", "--simulated"], "name the board with --port, or say --simulated"),
        (["--simulated", "--baud", "9600"], "or say --simulated, which has no speed"),
    ],
)
def test_the_command_refuses(words, sentence):
    done = command(SHIPPED / "digits-axonal.ranvier", *words)
    assert done.exit_code == 2
    assert sentence in " ".join(done.stderr.split())


class Noisy:
    """A line that damages the `n`th byte of what is sent, or drops it."""

    def __init__(self, line, n, *, drops=False, back=False) -> None:
        self.line, self.left, self.drops, self.back = line, n, drops, back

    def _hurt(self, data):
        at, self.left = self.left, self.left - len(data)
        if not 0 <= at < len(data):
            return data
        return data[:at] + (b"" if self.drops else bytes([data[at] ^ 8])) + data[at + 1 :]

    def write(self, data):
        self.line.write(data if self.back else self._hurt(data))

    def read(self, count):
        data = self.line.read(count)
        return self._hurt(data) if self.back else data

    def close(self):
        self.line.close()


@pytest.mark.parametrize("drops", [False, True], ids=["changed", "dropped"])
@pytest.mark.parametrize("n", [0, 3, 5, 9, 100, 500, 1200])
def test_what_arrives_damaged_is_sent_again(n, drops, simulated):
    image, counts = lesson(TINY, 6, 1)
    with Device(Noisy(Line(TINY), n, drops=drops), TINY, "noise") as device:
        device.load(image)
        device.verify(image)
        agrees(device, image, counts)
        assert device.repeated == 1


@pytest.mark.usefixtures("simulated")
def test_an_answer_that_arrives_damaged_is_no_answer():
    # Whether the request was done is not known.
    with pytest.raises(OSError, match=r"^noise: the checksum of an answer is wrong: the line is"):
        Device(Noisy(Line(TINY), 4, back=True), TINY, "noise")
    with pytest.raises(OSError, match=r"^noise: there is 12 bytes of answer; is the board on"):
        Device(Noisy(Line(TINY), 4, drops=True, back=True), TINY, "noise")


class Canned:
    """A line that answers what it was told to."""

    def __init__(self, *answers) -> None:
        self.answers = list(answers)
        self.rest = b""

    def write(self, data):
        self.rest = self.answers.pop(0) if self.answers else b""

    def read(self, count):
        data, self.rest = self.rest[:count], self.rest[count:]
        return data

    def close(self):
        pass


def told(inside):
    from datapath.serial import checksum

    return inside + checksum(inside)


def words(tag, *values):
    data = b"".join(value.to_bytes(4, "little") for value in values)
    return told(bytes([ord("K"), tag, len(values)]) + data)


@pytest.mark.parametrize(
    ("answers", "kind", "sentence"),
    [
        ([], OSError, "here: there is no answer; is the board on, with a bitstream for this speed"),
        ([words(1, 5, 6)], OSError, "here: what answers there is no chip: it says 0x5"),
        (
            [words(1, mailbox.MAGIC, 0xABC)],
            ValueError,
            f"here: the chip there is 00000abc, and {mailbox.chip_word(TINY):08x} is wanted",
        ),
        ([told(b"C\0\0")] * 3, OSError, "here: the chip says CHECKSUM: the checksum of the"),
        ([told(b"U\0\0")] * 3, OSError, "here: the chip says UNKNOWN: there is no such op"),
        ([told(b"E\0\0")], OSError, "here: the chip says EARLY: bytes came before the last"),
        ([words(2, 5, 6)], OSError, "here: the chip says DONE: the answer belongs to another"),
    ],
)
def test_says_what_is_wrong(answers, kind, sentence):
    with pytest.raises(kind, match=f"^{sentence}"):
        Device(Canned(*answers), TINY, "here")


def test_refuses_what_the_chip_cannot_do(simulated):
    image, counts = lesson(TINY_LEARN, 6, 1)
    with simulated(TINY) as device:
        with pytest.raises(ValueError, match="the image is of another chip than the one there"):
            device.load(image)
        with pytest.raises(ValueError, match="the chip is built without learning"):
            device.learn(0)
        with pytest.raises(ValueError, match="counts must be at least 0"):
            device.run(-counts[0])
        with pytest.raises(OSError, match=r"the chip has 0x[0-9a-f]+ at address 0x[0-9a-f]+, not"):
            device.verify(lesson(TINY, 6, 1)[0])


def test_a_serial_port_that_is_not_there():
    pytest.importorskip("serial", reason="no pyserial: no serial port is opened")
    with pytest.raises(OSError, match="could not open port /dev/nothing"):
        Device.on("/dev/nothing", TINY)


@pytest.mark.usefixtures("simulated")
def test_through_a_serial_port():
    pytest.importorskip("serial", reason="no pyserial: no serial port is opened")
    image, counts = lesson(TINY, 6, 1)
    outside, inside = os.openpty()
    # The longest request takes 11,000 clocks.
    line = Line(TINY, patience=20_000)

    def carry():
        while True:
            try:
                data = os.read(outside, 4096)
            except OSError:
                return
            line.write(data)
            os.write(outside, line.read(4096))

    carrier = threading.Thread(target=carry)
    carrier.start()
    try:
        with Device.on(os.ttyname(inside), TINY) as device:
            device.load(image)
            agrees(device, image, counts)
    finally:
        os.close(inside)
        carrier.join()
        os.close(outside)
        line.close()
