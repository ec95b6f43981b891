"""The command line: what it does, and that every mistake is answered in one sentence."""

import json
import math
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from scipy.io import wavfile

import datapath.files
import learn
import model
import sim.verify
from datapath.catalog import CHIPS, TINY
from datapath.schema import chip_digest
from events import Recordings, save
from ranvier import onchip
from ranvier.cli import COMMANDS, main
from ranvier.sources import open_data as load_part
from sim.compare import Verdict

ROOT = Path(__file__).parents[1]
TRAIN = ("--steps", "10", "--units-per-channel", "100", "--hidden", "6", "--max-delay", "5")


def network(**changes):
    """7 channels of 100 cells, 6 neurons, 3 classes; small enough for the chip `tiny`."""
    given = {
        "channels": 7,
        "units": 700,
        "hidden": (6,),
        "classes": 3,
        "labels": ("a", "b", "c"),
        "steps": 10,
        "dt_ms": 10.0,
        "max_delay": 5,
        "seed": 1,
    }
    return learn.make_network(**{**given, **changes})


def recordings(**changes):
    """12 recordings of 30 events within 100 ms, of three classes and three speakers."""
    rng = np.random.default_rng(0)
    given = {
        "times_ms": np.sort(rng.uniform(0, 100, (12, 30)), axis=1).astype(np.float32).ravel(),
        "units": rng.integers(0, 700, 360).astype(np.uint16),
        "offsets": np.arange(13) * 30,
        "labels": np.arange(12) % 3,
        "n_units": 700,
        "label_names": ("a", "b", "c"),
        "speakers": np.arange(12) // 4,
        "source": "drawn",
    }
    return Recordings(**{**given, **changes})


def ranvier(*words):
    return CliRunner().invoke(main, [str(word) for word in words])


def done(*words):
    """Return standard output of a command that must succeed."""
    result = ranvier(*words)
    assert result.exit_code == 0, result.output
    return result.stdout


def contents(folder):
    return {p: p.read_bytes() if p.is_file() else None for p in sorted(folder.rglob("*"))}


def refused(*words, folder):
    """Return the one sentence of a command that must be refused and leave `folder` as it was."""
    before = contents(folder)
    result = ranvier(*words)
    assert isinstance(result.exception, SystemExit), repr(result.exception)
    assert result.exit_code == 2
    assert contents(folder) == before
    assert result.stdout == ""
    assert result.stderr.startswith("Error: ")
    assert result.stderr.count("\n") == 1
    return result.stderr.removeprefix("Error: ").rstrip()


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Return a folder with a network, events and the image of the network on the chip `tiny`."""
    folder = tmp_path_factory.mktemp("made")
    model.save(network(), folder / "network.npz")
    save(recordings(), folder / "events.npz")
    rate = 16_000
    tone = 8000 * np.sin(2 * np.pi * 440 * np.arange(rate // 10) / rate)
    wavfile.write(folder / "tone.wav", rate, tone.astype(np.int16))
    done("quantize", folder / "network.npz", "-o", folder / "image.ranvier", "--chip", "tiny")
    return folder


@pytest.fixture
def house(made, tmp_path, monkeypatch):
    """Return a copy of `made` to work in, as the working folder: messages have short names."""
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


# What it does.


@pytest.mark.parametrize("words", [[], ["info"], ["train"], ["verify"], ["data", "digits"]])
def test_help_imports_no_library(words):
    heavy = "{'numba', 'numpy', 'scipy', 'amaranth', 'h5py', 'matplotlib', 'rich'}"
    script = (
        "import sys\nfrom ranvier.cli import main\n"
        f"try: main({[*words, '--help']})\n"
        f"finally: print(sorted(set(sys.modules) & {heavy}), file=sys.stderr)"
    )
    run = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert run.stderr == "[]\n"
    assert "Usage:" in run.stdout


def test_cost_of_a_chip_and_of_an_image_at_work(house):
    chip = json.loads(done("cost", "tiny", "--json"))
    assert chip["memory"]["bits"] == 5520
    assert {"waiting", "speed"} & set(chip) == set()
    words = ("cost", "image.ranvier", "events.npz", "--recordings", 4)
    found = json.loads(done(*words, "--mhz", 50, "--json"))
    assert found["recordings"] == 4
    assert found["memory"] == chip["memory"]
    assert found["speed"]["mhz"] == 50
    assert len(found["waiting"]) == 5
    page = done(*words)
    for said in ("memory, exact", "5,520", "axonal delays, event queue", "held out", "NeuroBench"):
        assert said in page


def test_a_report_has_the_cost_and_what_was_synthesized(house):
    done("report", "image.ranvier", "events.npz", "-o", "a.html", "--mhz", 10)
    figures = json.loads(Path("a.json").read_text())
    assert figures["cost"]["speed"]["mhz"] == 10
    assert figures["synthesis"] == []
    counts = {"lut": 7, "ff": 8, "carry": 0, "lutram": 0, "bram": 1, "dsp": 0}
    entry = {"target": "xc7", "chip": chip_digest(TINY), "seed": 1, "tools": {"yosys": "Yosys 1"}}
    entry |= {"counts": counts, "area_um2": None, "memory_bits": 5520, "fmax_mhz": None}
    entry |= {"used": {}, "path": {}, "missing": ""}
    Path("image.synth.json").write_text(json.dumps([entry]))
    done("report", "image.ranvier", "events.npz", "-o", "b.html")
    page = Path("b.html").read_text()
    for said in ("Where delayed spikes wait", "Energy, estimated", "Synthesized", "Yosys 1"):
        assert said in page
    Path("image.synth.json").write_text(json.dumps([entry | {"chip": "0"}]))
    said = refused("report", "image.ranvier", "events.npz", "-o", "c.html", folder=house)
    assert "image.synth.json: xc7 is of another chip; run `ranvier synth image.ranvier" in said


def test_a_chip_without_a_network_does_not_work_on_data(house):
    said = refused("cost", "tiny", "digits", folder=house)
    assert said == "tiny: is a chip without a network, and only a network works on data"


def test_help_names_every_command_and_every_command_has_help():
    page = done("--help")
    for name in COMMANDS:
        assert f"  {name} " in page
        assert "Usage:" in done(name, "--help")


def test_info_of_each_kind_of_file(house):
    def kinds(name):
        found = json.loads(done("info", name, "--json"))
        return found["kind"], found

    kind, found = kinds("network.npz")
    assert (kind, found["steps"], found["parameters"]) == ("network", 10, 42 + 7 + 18 + 6 + 3)
    kind, found = kinds("image.ranvier")
    assert (kind, found["channels"], found["labels"]) == ("image", 7, ["a", "b", "c"])
    assert found["digest"] == datapath.files.digest(datapath.files.load("image.ranvier"))
    kind, found = kinds("tiny")
    assert (kind, found["neurons"]) == ("chip", 16)
    kind, found = kinds("events.npz")
    assert (kind, found["recordings"], found["events"]) == ("events", 12, 360)
    assert (found["speakers"], found["classes"]) == (3, 3)
    assert "kind: network\n" in done("info", "network.npz")


def test_embedded_digits_are_written_as_two_files(house):
    (house / "out").mkdir()
    assert "1520 recordings" in done("data", "digits", "out")
    assert sorted(os.listdir("out")) == ["digits_test.npz", "digits_train.npz"]
    assert "recordings: 400\n" in done("info", "out/digits_test.npz")


def test_yin_yang_is_a_data_set_like_any_other(house):
    (house / "out").mkdir()
    assert "5000 recordings" in done("data", "yin-yang", "out")
    assert len(os.listdir("out")) == 3
    found = [json.loads(done("info", name, "--json")) for name in ("yin-yang", "yin-yang:test")]
    assert found[0] == found[1] == json.loads(done("info", "out/yin_yang_test.npz", "--json"))
    assert (found[0]["recordings"], found[0]["events"], found[0]["units"]) == (1000, 4000, 4)
    assert json.loads(done("info", "yin-yang:validation", "--json"))["classes"] == 3
    words = ("train", "yin-yang:validation", "-o", "x.npz", "--epochs", "1", "--steps", "20")
    said = refused(*words, folder=house)
    units = "the units of Yin-Yang, 1000 points, seed 41"
    assert said == f"units_per_channel must be at most 4, {units}, not 5"
    done(*words, "--units-per-channel", "1", "--dt-ms", "1", "--hidden", "6")
    said = refused("info", "yin-yang:other", folder=house)
    assert said.startswith("yin-yang:other: there is no such file")


def test_image_of_a_chip_that_fits_is_read_back_with_its_network(house):
    loss = json.loads(done("quantize", "network.npz", "-o", "b.ranvier", "--json"))
    assert [p["name"] for p in loss["projections"]] == ["input_to_hidden", "hidden_to_readout"]
    assert datapath.files.names("b.ranvier") == (
        "chip.json",
        "image.npz",
        "loss.json",
        "network.npz",
    )
    assert datapath.files.read_extra("b.ranvier", "network.npz") == Path("network.npz").read_bytes()
    done("quantize", "b.ranvier", "-o", "c.ranvier", "--emit", "hidden")
    assert [p.emit for p in datapath.files.load("c.ranvier").populations] == [True, False]


def test_mixed_bits_and_pruning_are_said_line_by_line(house):
    said = done(
        "quantize", "network.npz", "-o", "mixed.ranvier", "--weight-bits", "6",
        "--weight-bits", "hidden_to_readout=4", "--prune", "input_to_hidden=0.5",
    )  # fmt: skip
    weights = model.load("network.npz").projections[0].weights
    assert f"{weights.size} 6-bit weights" in said
    assert f"({weights.size // 2} pruned)" in said
    assert " 4-bit weights" in said
    assert datapath.files.load("mixed.ranvier").chip.synapse.weight.width == 6


def test_a_finetuned_network_is_mapped_without_a_loss(house):
    words = ("--weight-bits", "4", "--delay-bits", "3", "--weight-bits", "hidden_to_readout=5")
    said = done(
        "finetune", "network.npz", "events.npz", "-o", "tuned.npz", *words, "--epochs", "2",
    )  # fmt: skip
    assert " 4-bit weights, rms error" in said
    found = json.loads(done("quantize", "tuned.npz", "-o", "t.ranvier", *words, "--json"))
    assert all(p["lossless"] for p in found["populations"])
    assert all(p["max_error"] < 1e-12 and not p["clipped"] for p in found["projections"])
    assert all(steps == 0 for p in found["projections"] for steps, _ in p["moved"])
    said = refused(
        "finetune", "network.npz", "events.npz", "-o", "x.npz", "--weight-bits", "x=3", folder=house
    )
    assert said == (
        "there is no projection 'x': the network has input_to_hidden, hidden_to_readout"
    )


def test_export_lists_its_files_and_reads_back(house):
    listed = done("export", "image.ranvier", "out/").split()
    there = sorted(f"out/{name}" for name in os.listdir("out"))
    assert sorted([*listed, "out/manifest.json"]) == there
    assert {"out/chip.v", "out/ranvier_image.h", "out/registers.md", "out/network.npz"} < {*listed}
    a, b = datapath.files.load("out"), datapath.files.load("image.ranvier")
    assert datapath.files.digest(a) == datapath.files.digest(b)
    assert "out/chip.v" not in done("export", "image.ranvier", "out", "--no-verilog").split()
    assert not Path("out/chip.v").exists()


def test_verilog_of_a_chip_is_printed_or_written(house):
    printed = done("rtl", "tiny")
    assert "\nmodule chip(" in printed
    done("rtl", "image.ranvier", "-o", "chip.v")
    assert Path("chip.v").read_text() == printed
    assert "s_axi_awaddr" in done("rtl", "tiny", "--host", "axi")
    assert "input rx;" in done("rtl", "tiny", "--host", "uart")


def test_a_closed_pipe_is_no_mistake(house, monkeypatch):
    def closed(*_, **__):
        raise BrokenPipeError(32, "Broken pipe")

    monkeypatch.setattr("ranvier.commands.rtl.click.echo", closed)
    result = ranvier("rtl", "tiny")
    assert (result.exit_code, result.stderr) == (1, "")


def test_accuracy_of_a_network_and_of_its_image(house):
    found = json.loads(done("evaluate", "network.npz", "events.npz", "--json"))
    both = json.loads(done("evaluate", "image.ranvier", "events.npz", "--json"))
    classes = model.simulate(
        network(), recordings().binned(units_per_channel=100, dt_ms=10.0, steps=10).counts
    ).classes
    right = (classes == np.arange(12) % 3).mean()
    assert found == {
        "model": "network.npz",
        "data": "events.npz",
        "recordings": 12,
        "float_accuracy": right,
    }
    assert both["float_accuracy"] == right
    assert both["lost_points"] == 100 * (right - both["chip_accuracy"])
    # Of 12, five spread evenly: 0, 3, 6, 8, 11 (2.75, 5.5 and 8.25 rounded, half to even).
    few = done("evaluate", "network.npz", "events.npz", "--recordings", "5")
    assert f"float {100 * (classes == np.arange(12) % 3)[[0, 3, 6, 8, 11]].mean():.2f} %" in few
    assert "(5 recordings of events.npz)" in few


def test_chip_hears_a_sound_and_the_file_of_its_spikes_alike(house):
    done("encode", "tone.wav", "-o", "tone.npz", "--seed", "3")
    found = json.loads(done("info", "tone.npz", "--json"))
    assert (found["kind"], found["recordings"], found["units"]) == ("events", 1, 700)
    (heard,) = json.loads(done("run", "image.ranvier", "tone.wav", "--seed", "3", "--json"))
    assert [heard] == json.loads(done("run", "image.ranvier", "tone.npz", "--json"))
    assert heard["class"] == max("abc", key=heard["scores"].get)
    assert done("run", "image.ranvier", "tone.npz").startswith(f"{heard['class']}  (then ")


def test_training_continued_is_training_uninterrupted(house, monkeypatch):
    words = ("train", "events.npz", *TRAIN, "--epochs", "2", "--hold-out", "2", "--json")
    whole = json.loads(done(*words, "-o", "whole.npz"))
    assert [epoch["number"] for epoch in whole["history"]] == [1, 2]
    assert all(epoch["held_out_accuracy"] is not None for epoch in whole["history"])

    train = learn.train

    def interrupted(*given, progress, **options):
        def stop(epoch):
            progress(epoch)
            raise KeyboardInterrupt

        return train(*given, progress=stop, **options)

    monkeypatch.setattr(learn, "train", interrupted)
    stopped = ranvier(*words, "-o", "rest.npz", "--checkpoint", "run.npz")
    assert stopped.exit_code == 1
    last = "Error: stopped; the same command continues from run.npz"
    assert stopped.stderr.splitlines()[-1] == last
    assert Path("run.npz").exists()
    assert not Path("rest.npz").exists()

    monkeypatch.setattr(learn, "train", train)
    assert json.loads(done(*words, "-o", "rest.npz", "--checkpoint", "run.npz")) == whole
    assert Path("rest.npz").read_bytes() == Path("whole.npz").read_bytes()


def test_trains_by_eventprop(house):
    words = ("train", "events.npz", *TRAIN, "--rule", "eventprop", "--epochs", "2", "--json")
    told = json.loads(done(*words, "-o", "exact.npz", "--checkpoint", "run.npz"))
    assert told["provenance"]["trainer"] == "eventprop"
    assert told["provenance"]["rule.smallest_rise"] == 0.1
    network = model.load("exact.npz")
    hidden = network.population("hidden")
    assert hidden.alpha_syn == pytest.approx(math.exp(-network.dt_ms / 10))
    assert hidden.reset == "zero"
    # Nothing is left to do: the checkpoint is that of a run that has ended.
    assert json.loads(done(*words, "-o", "again.npz", "--checkpoint", "run.npz")) == told
    assert Path("again.npz").read_bytes() == Path("exact.npz").read_bytes()


def test_trains_by_delgrad(house):
    few = load_part("yin-yang:validation")
    save(few.select(range(60)), "few.npz")
    words = ("train", "few.npz", "--rule", "delgrad", "--hidden", "6", "--delay", "synaptic")
    words = (*words, "--dt-ms", "0.5", "--steps", "100", "--units-per-channel", "1", "--json")
    words = (
        *words,
        "--epochs",
        "2",
        "--tau-ms",
        "10",
        "--margin",
        "0.2",
        "--checkpoint",
        "run.npz",
    )
    told = json.loads(done(*words, "-o", "first.npz"))
    assert told["provenance"]["trainer"] == "delgrad"
    assert told["provenance"]["rule.margin"] == 0.2
    network = model.load("first.npz")
    assert [p.name for p in network.populations] == ["input", "hidden", "output", "readout"]
    assert network.labels == ("yang", "yin", "dot")
    assert network.population("hidden").alpha == pytest.approx(math.exp(-0.05))
    assert json.loads(done(*words, "-o", "again.npz")) == told
    assert Path("again.npz").read_bytes() == Path("first.npz").read_bytes()
    # It runs on a chip like any other network.
    done("quantize", "first.npz", "-o", "first.ranvier", "--calibrate", "few.npz")
    assert "60 recordings" in done("evaluate", "first.ranvier", "few.npz")


LEARN = ("learn", "events.npz", *TRAIN, "--epochs", "2", "--batch", "4", "--hold-out", "2")


def test_learning_on_the_chip_continued_is_learning_uninterrupted(house, monkeypatch):
    whole = json.loads(done(*LEARN, "--json", "-o", "whole.ranvier"))
    assert [epoch["number"] for epoch in whole["history"]] == [1, 2]
    assert all(epoch["cycles"] > 0 for epoch in whole["history"])
    learned = datapath.files.load("whole.ranvier")
    assert learned.learning is not None
    assert any(rule.weight_gradients.any() for rule in learned.learning.projections)

    one = onchip.learn_epoch
    done_epochs = []

    def interrupted(*given, **options):
        if done_epochs:
            raise KeyboardInterrupt
        done_epochs.append(one(*given, **options))
        return done_epochs[0]

    monkeypatch.setattr(onchip, "learn_epoch", interrupted)
    stopped = ranvier(*LEARN, "-o", "rest.ranvier", "--checkpoint", "run.ranvier")
    assert stopped.exit_code == 1
    assert "the same command continues from run.ranvier" in stopped.stderr
    assert not Path("rest.ranvier").exists()
    monkeypatch.setattr(onchip, "learn_epoch", one)
    words = (*LEARN, "--json", "-o", "rest.ranvier", "--checkpoint", "run.ranvier")
    assert json.loads(done(*words)) == whole
    assert Path("rest.ranvier").read_bytes() == Path("whole.ranvier").read_bytes()

    # What has learned is an image like any other, and can go on learning.
    accuracy = json.loads(done("evaluate", "whole.ranvier", "events.npz", "--json"))
    assert accuracy["recordings"] == 12
    more = ("learn", "events.npz", "--from", "whole.ranvier", "--epochs", "1", "-o", "more.ranvier")
    done(*more)
    again = datapath.files.load("more.ranvier")
    assert any(
        (a.weights != b.weights).any()
        for a, b in zip(again.projections, learned.projections, strict=True)
    )


def test_a_quantized_network_goes_on_learning_on_its_chip(house):
    bits = ("--weight-bits", "4", "--delay-bits", "3", "--calibrate", "events.npz")
    done("quantize", "network.npz", "-o", "rounded.ranvier", *bits)
    rounded = datapath.files.load("rounded.ranvier")
    assert rounded.learning is None
    fast = ("--epochs", "2", "--batch", "1", "--weight-rate", "0.1")
    done("learn", "events.npz", "--from", "rounded.ranvier", *fast, "-o", "tuned.ranvier")
    tuned = datapath.files.load("tuned.ranvier")
    assert (tuned.chip.synapse.weight, tuned.chip.axon.delay) == (
        rounded.chip.synapse.weight,
        rounded.chip.axon.delay,
    )
    assert tuned.chip.learn is not None
    assert (tuned.projections[0].weights != rounded.projections[0].weights).any()
    for before, after in zip(rounded.populations, tuned.populations, strict=True):
        assert (before.threshold == after.threshold).all()
    # Without delays to learn there are no taps: an array of no numbers.
    still = ("--epochs", "1", "--delay-rate", "0", "-o", "still.ranvier")
    done("learn", "events.npz", "--from", "rounded.ranvier", *still)
    kept = datapath.files.load("still.ranvier")
    assert kept.learning.taps.size == 0
    assert (kept.projections[0].delays == rounded.projections[0].delays).all()


def test_training_stopped_without_a_checkpoint_says_that_nothing_is_kept(house, monkeypatch):
    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(learn, "train", stop)
    before = contents(house)
    for words, sentence in (
        ((), "stopped, and nothing is kept; with --checkpoint it could be continued"),
        (("--checkpoint", "c.npz"), "stopped before the first epoch was done, and nothing is kept"),
    ):
        result = ranvier("train", "events.npz", "-o", "t.npz", *TRAIN, *words)
        assert (result.exit_code, result.stderr) == (1, f"Error: {sentence}\n")
    assert contents(house) == before


def test_verify_says_what_was_compared_and_fails_on_a_difference(house, monkeypatch):
    equal = Verdict("C", 2, 20, 180, 20, 100, 4000, 12345, "")

    def verdict(image, counts, engine, progress):
        assert (image.chip, counts.shape, engine) == (TINY, (2, 10, 7), "cxxrtl")
        progress(2, 2)
        return equal

    monkeypatch.setattr(sim.verify, "verify", verdict)
    words = ("verify", "image.ranvier", "events.npz", "--recordings", "2")
    assert done(*words).endswith("12345 bits compared, all equal\n")
    assert json.loads(done(*words, "--json"))["equal"] is True
    equal = replace(equal, difference="tick 3: v differs")
    result = ranvier(*words)
    assert result.exit_code == 1
    assert result.stdout.endswith("gates and emulator differ: tick 3: v differs\n")


def test_verify_of_what_a_chip_learns(house, monkeypatch):
    done(*LEARN, "--epochs", "1", "-o", "learned.ranvier")

    def verdict(image, counts, labels, *, batch, engine, progress):
        assert image.learning is not None
        assert (counts.shape, labels.tolist()) == ((4, 10, 7), [0, 1, 1, 2])
        assert (batch, engine) == (3, "icarus")
        progress(4, 4)
        return Verdict("C", 4, 40, 360, 40, 100, 4000, 12345, "", 4, 2)

    monkeypatch.setattr(sim.verify, "verify_learning", verdict)
    words = ("verify", "learned.ranvier", "events.npz", "--recordings", "4", "--learn")
    words = (*words, "--batch", "3", "--engine", "icarus")
    assert ", 4 LEARN, 2 UPDATE, 100 memory words: " in done(*words)
    assert json.loads(done(*words, "--json"))["learning_steps"] == 2


# What it refuses.


def words_of(changes):
    """Rewrite arrays of network.npz as numpy writes them, with whatever they hold."""
    with np.load("network.npz", allow_pickle=False) as file:
        arrays = {**file, **changes}
    np.savez("bad.npz", **arrays)


def weights(*shape):
    return {"projections/hidden_to_readout/weights": np.full(shape, np.nan)}


def test_network_that_is_cut_short_or_no_network(house):
    data = Path("network.npz").read_bytes()
    for text in (data[: len(data) // 2], b"", b"hello"):
        Path("bad.npz").write_bytes(text)
        said = refused("quantize", "bad.npz", "-o", "x.ranvier", folder=house)
        assert said.startswith("bad.npz: is not a complete npz file")
        assert refused("evaluate", "bad.npz", "events.npz", folder=house) == said
        assert refused("info", "bad.npz", folder=house).startswith("bad.npz: is ")


def test_network_with_weights_that_are_no_numbers(house):
    words_of(weights(3, 6))
    said = refused("quantize", "bad.npz", "-o", "x.ranvier", folder=house)
    assert said.startswith("bad.npz: hidden_to_readout: weights[0, 0] = nan")


def test_network_with_weights_of_another_shape(house):
    words_of(weights(3, 5))
    said = refused("quantize", "bad.npz", "-o", "x.ranvier", folder=house)
    assert "bad.npz: projections/hidden_to_readout/weights" in said
    assert "(3, 6)" in said
    assert "(3, 5)" in said


def test_network_beyond_a_chip(house):
    # 20 neurons and 3 readouts, which begin at a lane of their own: 24 of 2 lanes.
    model.save(network(hidden=(20,)), "bad.npz")
    said = refused("quantize", "bad.npz", "-o", "x.ranvier", "--chip", "tiny", folder=house)
    assert said == "the network needs neurons = 24, and the chip has 16"
    model.save(network(classes=8, labels=()), "bad.npz")
    said = refused("quantize", "bad.npz", "-o", "x.ranvier", "--chip", "tiny", folder=house)
    assert said == "the network needs readout.classes = 8, and the chip has 4"
    model.save(network(delay="synaptic"), "bad.npz")
    said = refused("quantize", "bad.npz", "-o", "x.ranvier", "--chip", "tiny-shift", folder=house)
    assert said == "input_to_hidden: the chip is built without synaptic delays"


def test_delays_beyond_the_reach_of_a_chip_are_counted(house):
    late = network()
    into, out = late.projections
    into = replace(into, delays=np.array([0, 1, 2, 3, 4, 30, 40]), max_delay=40)
    model.save(replace(late, projections=(into, out)), "late.npz")
    said = done("quantize", "late.npz", "-o", "x.ranvier", "--chip", "tiny")
    assert "axonal delays, 2 moved, 2 clamped\n" in said
    assert (
        "input_to_hidden: 2 delays are beyond the reach of the chip; the longest of them, "
        "40 steps, became 7\n"
    ) in said


def test_options_no_chip_has(house):
    for words, sentence in {
        ("--weight-bits", "99"): "weight_bits must be a whole number from 2 to 48, not 99",
        ("--chip", "tiny", "--weight-bits", "6"): "weight_bits must be at most that of the chip, "
        "5, not 6",
        ("--lanes", "0"): "lanes must be a whole number from 1 to 1024, not 0",
        ("--headroom", "nan"): "headroom must be at least 1, not nan",
        ("--weight-bits", "x=4"): "there is no projection 'x': the network has input_to_hidden, "
        "hidden_to_readout",
        ("--prune", "1"): "prune must be at least 0 and below 1, not 1.0",
        ("--delay-bits", "few"): "--delay-bits must be a whole number, or PROJECTION= and one, not "
        "'few'",
        ("--word-bits", "2"): "word_bits must be a whole number from 3 to 48, not 2",
        ("--resolution", "99"): "resolution must be a whole number from 0 to 15, not 99",
        (
            "--coefficient-bits",
            "1",
        ): "coefficient_bits must be at least 2 where the leak multiplies, "
        "so that a coefficient holds fractions and 1, not 1",
        ("--emit", "nobody"): "emit names 'nobody', and the network has hidden, readout",
    }.items():
        said = refused("quantize", "network.npz", "-o", "x.ranvier", *words, folder=house)
        assert said == sentence


def test_names_of_nothing_list_what_there_is(house):
    networks = "digits-axonal, digits-none, digits-synaptic, shd-axonal, shd-none"
    no_file = "nothing: there is no such file; "
    for words, sentence in {
        ("info", "nothing"): f"shipped networks are {networks}",
        ("evaluate", "nothing", "events.npz"): f"shipped networks are {networks}",
        ("quantize", "nothing", "-o", "x.ranvier"): f"shipped networks are {networks}",
        ("quantize", "network.npz", "-o", "x.ranvier", "--chip", "nothing"): "chips with names are "
        + ", ".join(CHIPS),
        ("rtl", "nothing"): f"chips with names are {', '.join(CHIPS)}",
        ("evaluate", "network.npz", "nothing"): "embedded data sets are digits, yin-yang",
        ("train", "nothing", "-o", "x.npz"): "embedded data sets are digits, yin-yang",
        ("export", "nothing", "out"): "`ranvier quantize` makes one",
        ("run", "nothing", "events.npz"): "`ranvier quantize` makes one",
        ("verify", "nothing"): "`ranvier quantize` makes one",
    }.items():
        assert refused(*words, folder=house) == no_file + sentence
    said = refused("encode", "nothing.wav", "-o", "x.npz", folder=house)
    assert said == "nothing.wav: No such file or directory"


def test_files_of_another_kind(house):
    for words, sentence in {
        ("export", "network.npz", "out"): "is not an image",
        ("rtl", "network.npz"): "is neither a chip.json nor an image",
        ("evaluate", "network.npz", "network.npz"): "which is no known form of events",
    }.items():
        said = refused(*words, folder=house)
        assert said.startswith("network.npz: ")
        assert sentence in said
    said = refused("info", "tone.wav", folder=house)
    assert said == "tone.wav: is neither an HDF5 nor an npz file"
    Path("bad.wav").write_bytes(b"RIFFxx")
    said = refused("encode", "bad.wav", "-o", "x.npz", folder=house)
    assert said.startswith("bad.wav: cannot be read as a WAV file")


def test_image_that_is_no_zip_file(house):
    Path("bad.ranvier").write_text("hello")
    for words in (("info", "bad.ranvier"), ("export", "bad.ranvier", "out")):
        assert refused(*words, folder=house).startswith("bad.ranvier: does not end like one of our")


def test_image_that_carries_no_network_or_a_damaged_one(house):
    image = datapath.files.load("image.ranvier")
    datapath.files.save(image, "bad.ranvier")
    said = refused("evaluate", "bad.ranvier", "events.npz", folder=house)
    assert said == "bad.ranvier: carries no float network; quantize it again with ranvier"
    datapath.files.save(image, "bad.ranvier", extras={"network.npz": b"hello"})
    said = refused("evaluate", "bad.ranvier", "events.npz", folder=house)
    assert said.startswith("bad.ranvier: network.npz: is not a complete npz file")


def test_one_changed_byte_in_any_file_of_an_export(house):
    done("export", "image.ranvier", "out", "--no-verilog")
    files = sorted(path for path in Path("out").iterdir() if path.stat().st_size)
    assert len(files) > 8
    for path in files:
        data = path.read_bytes()
        middle = len(data) // 2
        path.write_bytes(data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :])
        said = refused("info", "out", folder=house)
        assert said.startswith("out")
        assert path.name in said
        path.write_bytes(data)
    done("info", "out")
    data = bytearray(Path("image.ranvier").read_bytes())
    data[len(data) // 2] ^= 1
    Path("bad.ranvier").write_bytes(data)
    assert refused("info", "bad.ranvier", folder=house).startswith("bad.ranvier: ")


def unchecked(name, **changes):
    """Write events that `Recordings` would refuse."""
    good = recordings()
    names = ("times_ms", "units", "offsets", "labels", "n_units")
    arrays = {field: np.array(getattr(good, field)) for field in names}
    for field, value in changes.items():
        arrays[field][5] = value
    np.savez(name, **arrays)


def test_events_out_of_order_or_out_of_range(house):
    words = ("evaluate", "network.npz", "bad.npz")
    unchecked("bad.npz", times_ms=99.5)
    said = refused(*words, folder=house)
    assert said.startswith("bad.npz: times_ms[6] = ")
    assert said.count("99.5") == 1
    assert "sort" in said
    assert refused("info", "bad.npz", folder=house) == said
    unchecked("bad.npz", units=700)
    said = refused(*words, folder=house)
    assert said == "bad.npz: units[5] = 700 in recording 0 must be between 0 and 699"
    assert refused("train", "bad.npz", "-o", "x.npz", *TRAIN, folder=house) == said


def test_data_of_other_units_than_the_network(house):
    save(recordings(units=np.zeros(360, np.uint16), n_units=64), "other.npz")
    for words in (("evaluate", "network.npz"), ("evaluate", "image.ranvier"), ("verify",)):
        model_ = () if len(words) > 1 else ("image.ranvier",)
        said = refused(*words, *model_, "other.npz", folder=house)
        assert said == "drawn: has 64 units, and the network expects 700"


def test_data_without_labels(house):
    save(recordings(labels=np.where(np.arange(12) == 7, -1, 0)), "dumb.npz")
    for words in (("evaluate", "network.npz", "dumb.npz"), ("train", "dumb.npz", "-o", "x.npz")):
        said = refused(*words, folder=house)
        assert said == "dumb.npz: recording 7 has no label, so there is no accuracy"


def test_speakers_to_hold_out(house):
    train = ("train", "events.npz", "-o", "x.npz", *TRAIN, "--hold-out")
    for given, named in {"9": "[9]", "0,1,2": "[0, 1, 2]", "0,5": "[0, 5]"}.items():
        said = refused(*train, given, folder=house)
        assert said == f"--hold-out must name some of the speakers [0, 1, 2], not {named}"
    for given in ("", "x", "0,,1", "0;1"):
        said = refused(*train, given, folder=house)
        assert said == f"--hold-out must be numbers of speakers, as 3,9, not {given!r}"
    save(recordings(speakers=None), "events.npz")
    said = refused(*train, "1", folder=house)
    assert said == "--hold-out names speakers, and the data set does not say who speaks"


def test_options_of_another_rule(house):
    words = ("train", "events.npz", "-o", "x.npz", *TRAIN)
    exact, first = ("--rule", "eventprop"), ("--rule", "delgrad")
    of = "is an option of --rule"
    for given, sentence in {
        ("--rate-target", "3"): f"{of} eventprop and --rule surrogate, not of three-factor",
        ("--smallest-rise", "0"): f"{of} eventprop and --rule delgrad, not of three-factor",
        (*exact, "--pull", "1"): f"{of} delgrad, not of eventprop",
        (*first, "--kernel", "hat"): f"{of} surrogate, not of delgrad",
        (*first, "--objective", "mean"): "objective must be one of shift, softmax, not 'mean'",
        (
            *first,
            "--recurrent",
            "none",
        ): "--recurrent has no meaning for first spikes; leave it out",
        (*first, "--tau-ms", "15"): "tau_ms must be tau_syn_ms, 10, or twice that for first spikes "
        "in closed form, not 15",
        (*first, "--input-scale", "1"): "--input-scale has no meaning for first spikes; leave it",
        ("--input-scale", "-1"): "input_scale must be a positive number, not -1",
        ("--tau-syn-ms", "5"): "the three-factor trainer has no traces for synaptic currents",
    }.items():
        assert sentence in refused(*words, *given, folder=house)


def test_recurrent_delays_of_no_step(house):
    words = ("train", "events.npz", "-o", "x.npz", *TRAIN, "--recurrent", "axonal")
    said = refused(*words, "--max-delay", "0", folder=house)
    assert said == "max_delay must be at least 1 from hidden to hidden, not 0"


def test_checkpoint_of_something_else(house):
    train = ("train", "events.npz", "-o", "x.npz", *TRAIN, "--checkpoint")
    said = refused(*train, "network.npz", folder=house)
    assert said.startswith("network.npz: is not a ranvier training file")


OUTPUTS = (
    ("quantize", "network.npz", "-o"),
    ("encode", "tone.wav", "-o"),
    ("rtl", "tiny", "-o"),
    ("train", "events.npz", *TRAIN, "-o"),
    ("train", "events.npz", *TRAIN, "-o", "x.npz", "--checkpoint"),
    ("report", "image.ranvier", "events.npz", "-o"),
    (*LEARN, "-o"),
    (*LEARN, "-o", "x.ranvier", "--checkpoint"),
)


@pytest.mark.parametrize("words", OUTPUTS, ids=" ".join)
def test_output_that_cannot_be_written(house, words):
    said = refused(*words, "no/such", folder=house)
    assert said == "no/such: there is no folder no; make it first"
    (house / "taken").mkdir()
    assert refused(*words, "taken", folder=house) == "taken: is a folder; name a file"


def test_folder_that_cannot_be_written(house):
    for path, sentence in {
        "no/such": "no: is not a folder; make it first",
        ".": "is a folder with other files (no manifest.json); choose another name",
        "events.npz": "is a file; choose a folder, or a name that ends in .ranvier",
    }.items():
        words = ("export", "image.ranvier", path, "--no-verilog")
        assert refused(*words, folder=house).endswith(sentence)
    for command in ("digits", "shd", "yin-yang"):
        said = refused("data", command, "no", folder=house)
        assert said == "no: is not a folder; make it first"


def test_demo_into_a_file(house):
    said = refused("demo", "events.npz", folder=house)
    assert said == "events.npz: is a file; name a folder to write into"


def test_learning_that_cannot_be(house):
    done(*LEARN, "-o", "learned.ranvier", "--checkpoint", "run.ranvier")
    for words, field in {
        ("--batch", "5"): "schedule",
        ("--hidden", "7"): "chip",
        ("--hold-out", "1"): "examples",
        ("--seed", "1"): "seed",
        ("--from", "learned.ranvier"): "start",
    }.items():
        said = refused(
            *LEARN, *words, "-o", "x.ranvier", "--checkpoint", "run.ranvier", folder=house
        )
        assert said == (
            f"run.ranvier: progress.json belongs to a run that differs in its {field}: remove it, "
            "or name another checkpoint"
        )
    said = refused(*LEARN, "-o", "x.ranvier", "--checkpoint", "learned.ranvier", folder=house)
    assert said.startswith("learned.ranvier: has no progress.json; there are chip.json, ")
    for words, sentence in {
        ("--weight-rate", "-1"): "weight_rate must be a number of at least 0, not -1.0",
        (
            "--sigma-start",
            "9",
        ): "taps = 12 must be at least 27: a derivative of this width looks so many ticks around",
        ("--delay-rate", "nan"): "delay_rate must be a number of at least 0, not nan",
    }.items():
        assert refused(*LEARN, *words, "-o", "x.ranvier", folder=house) == sentence
    # The chip of an image that has learned is built, and its registers hold so many taps.
    words = ("--from", "learned.ranvier", "--sigma-start", "9", "-o", "x.ranvier")
    said = refused(*LEARN, *words, folder=house)
    assert said == "learning: taps must be at most 12 numbers, not an array of shape (27,)"
    save(recordings(labels=np.arange(12) % 4, label_names=("a", "b", "c", "d")), "four.npz")
    said = refused(
        "learn", "four.npz", "--from", "learned.ranvier", "-o", "x.ranvier", folder=house
    )
    assert said == (
        "four.npz: recording 3 has the label 3, and learned.ranvier tells 3 classes apart, 0 to 2"
    )


def test_verify_of_learning_that_is_not_there(house):
    said = refused("verify", "image.ranvier", "events.npz", "--learn", folder=house)
    assert said.startswith("image.ranvier: learns nothing, so there is no learning to verify")
    said = refused("verify", "image.ranvier", "events.npz", "--batch", "3", folder=house)
    assert said == "--batch is for --learn: give both, or neither"


def test_folder_of_somebody_else(house):
    (house / "theirs").mkdir(mode=0o500)
    if os.access("theirs", os.W_OK):
        pytest.skip("this user may write everywhere")
    for words in OUTPUTS:
        said = refused(*words, "theirs/x.ranvier", folder=house)
        assert said == "theirs/x.ranvier: the folder theirs cannot be written"


def test_verify_without_a_compiler_says_what_to_install(house, monkeypatch):
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setattr("sim.cxxrtl.shutil.which", lambda name: None)
    monkeypatch.setattr("sim.cxxrtl.importlib.util.find_spec", lambda name: None)
    said = refused("verify", "image.ranvier", "events.npz", folder=house)
    assert said == (
        "CXXRTL needs a C++ compiler: install g++ or clang++, or `pip install ranvier[cxx]`, "
        "or set CXX"
    )
