"""What all importers share: settings, verdicts, dispatch and the two commands."""

import json
import os

import numpy as np
import pytest
from click.testing import CliRunner

from model import Input, Lif, Network, Projection, Readout, load, save
from model.importers import (
    FORMATS,
    Finding,
    Imported,
    Scheme,
    Settings,
    Verdict,
    import_network,
    read_settings,
)
from ranvier.cli import main


@pytest.fixture
def path(tmp_path):
    net = Network(
        1.0,
        4,
        (Input("in", 2, 2), Lif("hidden", 1, 0.5, 1.0, 0.0), Readout("out", 2, 0.5, 0.0)),
        (
            Projection("a", "in", "hidden", np.ones((1, 2)), "axonal", [0, 3], 3),
            Projection("b", "hidden", "out", np.ones((2, 1)), "none", 0, 0),
        ),
        provenance={"seed": 3},
    )
    save(net, tmp_path / "net.npz")
    return tmp_path / "net.npz"


def test_the_worst_verdict_counts():
    good, fair, bad = (Finding("a", verdict, "") for verdict in Verdict)
    network = load_nothing()
    assert Imported(network, (good, fair, good)).verdict is Verdict.APPROXIMATE
    assert Imported(None, (fair, bad)).verdict is Verdict.UNSUPPORTED
    assert Imported(network, ()).verdict is Verdict.FAITHFUL


def load_nothing():
    return Network(1.0, 1, (Input("in", 1, 1), Readout("out", 1, 0.0, 0.0)), ())


def test_settings_come_from_a_file_and_from_pairs_which_win(tmp_path):
    config = tmp_path / "settings.toml"
    config.write_text('dt_ms = 2\nscheme = "euler"\nkernel_size = 25\n')
    settings = read_settings("x.pt", config, ["dt_ms=0.5"])
    assert settings.number("dt_ms") == 0.5
    assert settings.whole("kernel_size") == 25
    assert settings.choice("scheme", Scheme) is Scheme.EULER
    assert settings.get("sigma") is None


@pytest.mark.parametrize(
    ("pair", "sentence"),
    [
        ("dtms=1", "x.pt: there is no setting 'dtms'; there are compare, dt_ms, "),
        ("dt_ms", "x.pt: a setting is written NAME=VALUE, not 'dt_ms'"),
        ("dt_ms=fast", r"x.pt: dt_ms \(length of a step\) must be a number of at least 0, not 'fa"),
        ("dt_ms=nan", "must be a number of at least 0, not 'nan'"),
        ("dt_ms=-1", "must be a number of at least 0, not '-1'"),
        ("steps=2.5", r"steps \(steps of a recording\) must be whole, not '2.5'"),
        ("scheme=rk4", "scheme must be euler or exponential, not 'rk4'"),
    ],
)
def test_a_wrong_setting_is_named(pair, sentence):
    with pytest.raises(ValueError, match=sentence):
        read_settings("x.pt", None, [pair])


def test_a_setting_given_twice_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"x.pt: dt_ms is set twice: leave one of them out"):
        read_settings("x.pt", None, ["dt_ms=1", "dt_ms = 2"])


def test_a_missing_setting_is_asked_for_by_name():
    with pytest.raises(
        ValueError,
        match=r"x.pt: dt_ms \(length of a step\) is not in the file; give it with --set dt_ms=VAL",
    ):
        Settings("x.pt", {}).number("dt_ms")


def test_a_damaged_config_is_named(tmp_path):
    (tmp_path / "c.toml").write_text("dt_ms = ")
    with pytest.raises(ValueError, match=r"c.toml: is not a TOML file"):
        read_settings("x.pt", tmp_path / "c.toml", [])


def test_every_format_has_a_module_that_looks_before_it_reads(tmp_path):
    (tmp_path / "junk").write_bytes(b"\x80\x04junk" * 9)
    with pytest.raises(ValueError, match="junk: is in no format that is recognized; name one"):
        import_network(tmp_path / "junk", Settings("junk", {}))
    assert "npz" in FORMATS


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("a.nir", "a.nir: is not a NIR file"),
        ("a.net", "a.net: is not a file of netx"),
        ("a.pt", "a.pt: is no complete file of torch.save"),
        ("a.npz", "a.npz: is not a complete npz file"),
    ],
)
def test_what_nobody_recognizes_is_explained_by_the_reader_of_its_suffix(tmp_path, name, sentence):
    (tmp_path / name).write_bytes(b"\x80\x04junk" * 9)
    with pytest.raises(ValueError, match=sentence):
        import_network(tmp_path / name, Settings(tmp_path / name, {"dt_ms": 1, "steps": 4}))


def test_what_is_neither_a_file_nor_a_folder_is_not_opened(tmp_path):
    os.mkfifo(tmp_path / "a.nir")
    with pytest.raises(ValueError, match=r"a\.nir: is neither a file nor a folder"):
        import_network(tmp_path / "a.nir", Settings("a.nir", {}))


def test_says_where_a_network_comes_from(path):
    network = import_network(path, Settings(path, {})).network
    provenance = network.provenance
    assert provenance["seed"] == 3
    assert provenance["import.format"] == "npz"
    assert provenance["import.file"] == "net.npz"
    assert len(provenance["import.sha256"]) == 64


def test_a_setting_that_is_not_used_is_refused(path):
    with pytest.raises(ValueError, match="dt_ms is not used for this npz file; used are: none"):
        import_network(path, Settings(path, {"dt_ms": 1}))


def run(*arguments):
    return CliRunner().invoke(main, [str(one) for one in arguments])


def test_import_writes_a_network_and_check_says_how_well(path, tmp_path):
    done = run("import", path, "-o", tmp_path / "out.npz", "--json")
    assert done.exit_code == 0
    assert json.loads(done.stdout)[0] == {
        "node": "in",
        "verdict": "faithful",
        "reason": "as it was saved",
    }
    assert load(tmp_path / "out.npz").provenance["import.format"] == "npz"
    looked = run("check", path)
    assert looked.exit_code == 0
    assert "hidden" in looked.stdout


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["nobody.npz"], "nobody.npz: there is no such file"),
        (["FILE", "--from", "keras"], "must be auto or one of npz"),
        (["FILE", "--set", "dt_ms=1"], "dt_ms is not used for this npz file"),
        (["FILE", "--config", "nobody.toml"], "nobody.toml: No such file"),
    ],
)
def test_mistakes_are_one_sentence(path, tmp_path, arguments, sentence):
    arguments = [path if one == "FILE" else one for one in arguments]
    for done in (
        run("check", *arguments),
        run("import", *arguments, "-o", tmp_path / "out.npz"),
    ):
        assert done.exit_code == 2
        assert sentence in done.stderr
        assert not (tmp_path / "out.npz").exists()
