"""The command line: every command is imported when it is called."""

from __future__ import annotations

import importlib
from typing import Any

import click

COMMANDS = {
    "train": "Train a float network with delays.",
    "experiment": "Run a plan of many trainings, on this machine or on many.",
    "finetune": "Train a float network on for the integers of a chip.",
    "learn": "Let a chip learn weights and delays, in the emulator or in its gates.",
    "import": "Read a network that was trained elsewhere.",
    "check": "Say how well a file of another tool can be imported.",
    "export-nir": "Write a float network as a NIR graph.",
    "quantize": "Map a float network onto a chip.",
    "evaluate": "Accuracy of a float network or of an image on a data set.",
    "report": "Emulator against float network, as one HTML page.",
    "cost": "Memory, clocks, area and energy of a chip.",
    "synth": "Map a chip onto a device: cells, clock, bitstream.",
    "export": "Write an image as memory files, registers, C header and Verilog.",
    "rtl": "Write the Verilog of a chip.",
    "verify": "Prove gates and emulator equal for one image.",
    "device": "Load an image into a chip on a board, and compare it with the emulator.",
    "info": "Say what a file holds.",
    "encode": "Turn a recording of speech into spikes.",
    "run": "Say which class the chip hears in a recording.",
    "data": "Fetch or unpack data sets.",
    "demo": "From a trained network to proven gates, on the embedded data.",
}

KERNELS = {
    "train",
    "experiment",
    "finetune",
    "learn",
    "quantize",
    "evaluate",
    "report",
    "cost",
    "verify",
    "device",
    "encode",
    "run",
    "demo",
}
"""Commands that compile kernels, and so want those of earlier runs."""


class Refusal(click.ClickException):
    """A user's mistake: one sentence, exit status 2."""

    exit_code = 2


def sentence(error: Exception) -> str:
    """Say in one sentence what went wrong."""
    if isinstance(error, OSError) and error.strerror:
        where = f"{error.filename}: " if error.filename else ""
        return f"{where}{error.strerror}"
    return " ".join(str(error).split())


class Commands(click.Group):
    """The commands of `COMMANDS`, each in the module of its name."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = cmd_name.replace("-", "_")
        command = importlib.import_module(f"ranvier.commands.{module}").command
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name, command, rest = super().resolve_command(ctx, args)
        # Whoever asks for help, or completes a line, waits for no compiler.
        asks = ctx.resilient_parsing or not {"-h", "--help"}.isdisjoint(rest)
        if name in KERNELS and not asks:
            from ranvier.kernel_cache import install

            install()
        return name, command, rest

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        # The help page must not import numba to say what there is.
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            # The reader has seen enough, as `head` has; click ends quietly.
            raise
        except (ValueError, OSError) as error:
            raise Refusal(sentence(error)) from error


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="ranvier")
def main() -> None:
    """Design a spiking chip with delays and its bit-accurate twin together."""
