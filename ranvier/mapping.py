"""What a mapping is asked for on the command line, for all projections or for single ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from quant import Options

FLAGS: dict[str, type[int] | type[float]] = {
    "weight_bits": int,
    "delay_bits": int,
    "resolution": int,
    "prune": float,
}
"""Fields of `quant.Own`, each a flag that takes VALUE or PROJECTION=VALUE, and its type."""

HELP = {
    "weight_bits": "[default: 8, or the chip's]",
    "delay_bits": "[default: 6, or the chip's]",
    "resolution": "log2 of the steps of a delay word.  [default: auto]",
    "prune": "Share of the weights, the smallest ones, that become 0.",
}


def of_projections(*names: str) -> Callable[[Any], Any]:
    """Return the options `names`, which may be said of single projections, too."""

    def decorate(command: Any) -> Any:
        for name in reversed(names):
            value = {int: "BITS", float: "SHARE"}[FLAGS[name]]
            value = "LOG2" if name == "resolution" else value
            flag, metavar = f"--{name.replace('_', '-')}", f"[PROJECTION=]{value}"
            command = click.option(flag, multiple=True, metavar=metavar, help=HELP[name])(command)
        return command

    return decorate


def asked(options: Options, given: Mapping[str, Sequence[str]]) -> Options:
    """Return `options` changed as the flags say.

    given : by field, texts `8` (all projections) or `hidden_to_readout=6` (that one).
    """
    from quant import Own

    own: dict[str, dict[str, Any]] = {}
    for name, texts in given.items():
        for text in texts:
            projection, equals, value = text.rpartition("=")
            number: Any = _number(name, value, text)
            if equals:
                own.setdefault(projection, {})[name] = number
            else:
                options = replace(options, **{name: number})
    made = {}
    for projection, values in own.items():
        try:
            made[projection] = Own(**values)
        except ValueError as error:
            raise ValueError(f"{projection}: {error}") from None
    return replace(options, own=made)


def _number(name: str, value: str, text: str) -> int | float:
    try:
        return FLAGS[name](value)
    except ValueError:
        flag, kind = f"--{name.replace('_', '-')}", {int: "a whole number", float: "a number"}
        raise ValueError(
            f"{flag} must be {kind[FLAGS[name]]}, or PROJECTION= and one, not {text!r}"
        ) from None
