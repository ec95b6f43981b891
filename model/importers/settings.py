"""What an importer has to know and its file does not say: from flags, or from a TOML file."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Iterable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

from model.network import Compare, Reset

Value = float | int | str
Choice = TypeVar("Choice", bound=StrEnum)


class Scheme(StrEnum):
    """How a time constant becomes a decay per step.

    euler : 1 - dt / tau.  exponential : exp(-dt / tau).
    """

    EULER = "euler"
    EXPONENTIAL = "exponential"


class Score(StrEnum):
    """What of the last neurons says the class: most spikes, or the largest sum of membranes."""

    SPIKES = "spikes"
    MEMBRANES = "membranes"


class LateReset(StrEnum):
    """A reset one step late: so by a synapse of each neuron on itself, or with the spike."""

    EXACT = "exact"
    EARLY = "early"


class Fraction(StrEnum):
    """A delay between two steps: rounded to one, or split over several synapses."""

    ROUND = "round"
    SPLIT = "split"


MEANING: dict[str, tuple[type, str]] = {
    "dt_ms": (float, "length of a step"),
    "steps": (int, "steps of a recording"),
    "units": (int, "front-end units that the channels sum"),
    "scheme": (Scheme, "euler or exponential"),
    "tau_ms": (float, "time constant of hidden membranes"),
    "tau_syn_ms": (float, "time constant of synaptic currents"),
    "tau_readout_ms": (float, "time constant of the readout"),
    "threshold": (float, "of hidden neurons"),
    "reset": (Reset, "subtract or zero"),
    "compare": (Compare, ">= or >"),
    "kernel_size": (int, "taps of a delay kernel"),
    "max_delay": (int, "longest delay in steps"),
    "sigma": (float, "width of a delay kernel at evaluation, in steps"),
    "fraction": (Fraction, "round or split: what becomes of a delay between two steps"),
    "right_padding": (int, "steps of silence that every layer appends to a recording"),
    "sparsity": (float, "share of channels whose delay is masked out"),
    "score": (Score, "spikes or membranes: what of the last neurons says the class"),
    "late_reset": (LateReset, "exact or early: what becomes of a reset in the step after a spike"),
    "inputs": (int, "channels of the input"),
    "epoch": (int, "which checkpoint of a folder"),
}
"""Every setting there is: its type and what it means."""


class Settings:
    """Values of settings, and which of them were asked for.

    source : the file that is imported, for messages.
    """

    def __init__(self, source: str | Path, values: Mapping[str, object]) -> None:
        self.source = source
        self.values = {name: _checked(source, name, value) for name, value in values.items()}
        self.asked: set[str] = set()

    def get(self, name: str) -> Value | None:
        """Return the value of `name`, None if it was not given."""
        assert name in MEANING
        self.asked.add(name)
        return self.values.get(name)

    def need(self, name: str) -> Value:
        """Return the value of `name`, which the file does not say and nobody should guess."""
        value = self.get(name)
        if value is None:
            raise ValueError(
                f"{self.source}: {name} ({MEANING[name][1]}) is not in the file; give it with "
                f"--set {name}=VALUE, or in the file of --config"
            )
        return value

    def number(self, name: str) -> float:
        """Return `name`, needed, as a float."""
        return float(self.need(name))

    def whole(self, name: str) -> int:
        """Return `name`, needed, as an int."""
        return int(self.need(name))

    def choice(self, name: str, kind: type[Choice]) -> Choice:
        """Return `name`, needed, as a member of `kind`."""
        return kind(str(self.need(name)))

    def check_used(self, form: str) -> None:
        """Refuse settings that an importer of the format `form` has not asked for."""
        for name in self.values:
            if name not in self.asked:
                known = ", ".join(sorted(self.asked)) or "none"
                raise ValueError(
                    f"{self.source}: {name} is not used for this {form} file; used are: {known}"
                )


def _checked(source: str | Path, name: str, value: object) -> Value:
    """Return `value` in the type of the setting `name`."""
    if name not in MEANING:
        raise ValueError(
            f"{source}: there is no setting {name!r}; there are {', '.join(sorted(MEANING))}"
        )
    kind, meaning = MEANING[name]
    if issubclass(kind, StrEnum):
        known = [member.value for member in kind]
        if value not in known:
            raise ValueError(f"{source}: {name} must be {' or '.join(known)}, not {value!r}")
        return str(value)
    number = _number(value)
    if number is None or not math.isfinite(number) or number < 0:
        raise ValueError(
            f"{source}: {name} ({meaning}) must be a number of at least 0, not {value!r}"
        )
    if kind is int:
        if number != int(number):
            raise ValueError(f"{source}: {name} ({meaning}) must be whole, not {value!r}")
        return int(number)
    return number


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        return float(value)
    except (ValueError, OverflowError):
        return None


def read_settings(source: str | Path, config: str | Path | None, pairs: Iterable[str]) -> Settings:
    """Read settings from a TOML file and from NAME=VALUE pairs, which come first.

    Raises
    ------
    ValueError
        The file is not TOML, or a setting is unknown or has a wrong value.
    OSError
        The file cannot be read.
    """
    values: dict[str, object] = {}
    given: set[str] = set()
    if config is not None:
        try:
            values |= tomllib.loads(Path(config).read_text(encoding="utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ValueError(f"{config}: is not a TOML file: {error}") from None
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            raise ValueError(f"{source}: a setting is written NAME=VALUE, not {pair!r}")
        if name.strip() in given:
            raise ValueError(f"{source}: {name.strip()} is set twice: leave one of them out")
        given.add(name.strip())
        values[name.strip()] = value.strip()
    return Settings(source, values)
