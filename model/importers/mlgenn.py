"""Checkpoints of mlGeNN's EventProp (https://github.com/genn-team/ml_genn): a folder of arrays.

`{epoch}-{connection}-g.npy` are weights and `-d.npy` delays in steps, flat, pre by pre; connections
are called `Conn_{source}_{target}`.  A step of GeNN delivers the spikes of the last step, reads the
currents, then lets them decay:

    I[t] = b I[t-1] + sum(w s[t - 1 - d]),  b = exp(-dt / tau_syn)
    V[t] = a V[t-1] + (1 - a) c I[t],       a = exp(-dt / tau),  c = tau_syn / dt (1 - b)

so that weights are multiplied by (1 - a) c, and every delay is one step longer than its number.
V >= threshold fires and sets V to 0.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from tokenize import TokenError

import numpy as np

from model.importers.chain import Layer, Synapses
from model.importers.reading import Reading
from model.importers.settings import Settings
from model.importers.torch_parts import Floats
from model.importers.verdict import Imported, Unsupported, Verdict
from model.network import Compare, Delay, Lif, Readout, Reset

NAME = re.compile(r"(\d{1,9})-([^/\\]+)-([A-Za-z_]\w*)\.npy")
MOST_FILES = 100_000
MOST_NUMBERS = 1 << 27


@dataclass(frozen=True, slots=True)
class Connection:
    """One connection of a checkpoint: its files by variable, and the populations it joins."""

    name: str
    source: str
    target: str
    files: dict[str, Path]


def recognizes(path: Path) -> bool:
    """Whether `path` is a folder with weights of mlGeNN."""
    return path.is_dir() and any(variable == "g" for _, _, variable, _ in _files(path))


def read(path: Path, settings: Settings) -> Imported:
    """Read `path`.

    Settings: dt_ms, steps, inputs, threshold, tau_ms, tau_syn_ms, tau_readout_ms; epoch, if there
    are several; units.
    """
    if not path.is_dir():
        raise ValueError(f"{path}: must be a folder of EPOCH-CONNECTION-g.npy files")
    reading = Reading(settings)
    steps, inputs = settings.whole("steps"), settings.whole("inputs")

    def build() -> tuple[int, int, list[Layer]]:
        connections = _connections(path, settings)
        forward, recurrent = _ordered(connections)
        layers, size = [], inputs
        for connection in forward:
            layer = _layer(reading, connection, recurrent.get(connection.target), size, forward[-1])
            layers.append(layer)
            size = layer.population.size
        return inputs, steps, layers

    return reading.finish(build)


def _files(path: Path) -> list[tuple[int, str, str, Path]]:
    """Return epoch, connection, variable and path of every array in the folder itself."""
    found = []
    for number, file in enumerate(sorted(path.iterdir())):
        if number > MOST_FILES:
            raise ValueError(f"{path}: holds more than {MOST_FILES} files")
        match = NAME.fullmatch(file.name)
        if match is not None and file.is_file() and not file.is_symlink():
            found.append((int(match[1]), match[2], match[3], file))
    return found


def _connections(path: Path, settings: Settings) -> list[Connection]:
    """Return the connections of the one epoch, or of that which the settings choose."""
    files = _files(path)
    epochs = sorted({epoch for epoch, _, variable, _ in files if variable == "g"})
    if not epochs:
        raise ValueError(f"{path}: holds no EPOCH-CONNECTION-g.npy")
    chosen = settings.get("epoch") if len(epochs) == 1 else settings.whole("epoch")
    epoch = epochs[0] if chosen is None else int(chosen)
    if epoch not in epochs:
        known = f"from {epochs[0]} to {epochs[-1]}"
        raise ValueError(f"{path}: there is no epoch {epoch} among the {len(epochs)} {known}")
    kept: dict[str, dict[str, Path]] = {}
    for number, name, variable, file in files:
        if number == epoch:
            kept.setdefault(name, {})[variable] = file
    return [_connection(name, variables) for name, variables in kept.items()]


def _connection(name: str, files: dict[str, Path]) -> Connection:
    parts = name.split("_")
    if len(parts) != 3 or parts[0] != "Conn":
        raise Unsupported(name, "is not called Conn_SOURCE_TARGET, so nobody knows what it joins")
    unknown = sorted(set(files) - {"g", "d"})
    if unknown or "g" not in files:
        what = f"has {', '.join(unknown)}" if unknown else "has no g"
        raise Unsupported(name, f"{what}; connections of weights g and delays d can be imported")
    return Connection(name, parts[1], parts[2], files)


def _ordered(connections: list[Connection]) -> tuple[list[Connection], dict[str, Connection]]:
    """Return the chain of feed-forward connections, and the recurrent ones by population."""
    recurrent = {one.target: one for one in connections if one.source == one.target}
    forward = [one for one in connections if one.source != one.target]
    by_source = {one.source: one for one in forward}
    starts = [one for one in forward if one.source not in {other.target for other in forward}]
    chain: list[Connection] = starts[:1]
    while chain and chain[-1].target in by_source and len(chain) < len(forward):
        chain.append(by_source[chain[-1].target])
    rest = [one for one in forward if one not in chain] + starts[1:]
    if not chain or rest:
        odd = rest[0] if rest else connections[0]
        raise Unsupported(odd.name, "is no part of one chain from input to output")
    return chain, recurrent


def _layer(
    reading: Reading, connection: Connection, own: Connection | None, ins: int, last: Connection
) -> Layer:
    settings = reading.settings
    dt, tau_syn = settings.number("dt_ms"), settings.number("tau_syn_ms")
    is_last = connection is last
    tau = settings.number("tau_readout_ms" if is_last else "tau_ms")
    if min(tau, tau_syn) <= 0:
        raise ValueError(f"{settings.source}: tau_ms and tau_syn_ms must be positive")
    alpha, current = np.exp(-dt / tau), np.exp(-dt / tau_syn)
    gain = float((1 - alpha) * tau_syn / dt * (1 - current))
    into = _synapses(reading, connection, ins, gain)
    size, name = len(into.weights), connection.target
    population: Lif | Readout
    if is_last:
        if own is not None:
            raise Unsupported(own.name, "is recurrent in the output, which only reads")
        said = "its membranes are the scores: the largest sum, without mlGeNN's weights over time"
        reading.say(name, Verdict.FAITHFUL, said)
        population = Readout(name, size, alpha, np.zeros(size), current)
        return Layer(population, [into])
    population = Lif(
        name, size, alpha, np.array(settings.number("threshold")), np.zeros(size), Reset.ZERO,
        Compare.GE, current,
    )  # fmt: skip
    reading.say(name, Verdict.FAITHFUL, f"{size} neurons with a current, reset to zero")
    recurrent = [] if own is None else [_synapses(reading, own, size, gain)]
    if recurrent and recurrent[0].weights.shape != (size, size):
        assert own is not None
        raise Unsupported(own.name, f"does not have {size} x {size} weights")
    return Layer(population, [into], recurrent)


def _synapses(reading: Reading, connection: Connection, ins: int, gain: float) -> Synapses:
    """Return the synapses of a connection from `ins` neurons."""
    weights = _array(connection.files["g"], connection, ins)
    if "d" not in connection.files:
        reading.say(connection.name, Verdict.FAITHFUL, "weights; they take one step")
        return Synapses(gain * weights, Delay.NONE, 1.0)
    delays = _array(connection.files["d"], connection, ins)
    if delays.shape != weights.shape:
        raise Unsupported(connection.name, f"has {delays.size} delays for {weights.size} weights")
    # As mlGeNN applies them.
    steps = np.maximum(np.rint(delays), 0)
    off = float(np.abs(delays - steps).max())
    said = f"synaptic delays of up to {1 + steps.max():g} steps"
    said += f", moved by up to {off:.3g} as mlGeNN does" if off else ""
    reading.say(connection.name, Verdict.FAITHFUL, said)
    return Synapses(gain * weights, Delay.SYNAPTIC, 1 + steps)


def _array(file: Path, connection: Connection, ins: int) -> Floats:
    """Return an array as float64[post, pre]."""
    try:
        # Mapped into memory, so a header cannot claim more than the file has; never unpickled.
        data = np.lib.format.open_memmap(file, mode="r")
    except (ValueError, EOFError, SyntaxError, TypeError, OverflowError, TokenError):
        raise ValueError(f"{file}: is no complete npy array of numbers") from None
    if data.dtype.kind not in "iuf" or data.size > MOST_NUMBERS:
        raise ValueError(f"{file}: must be at most {MOST_NUMBERS} numbers, not {data.dtype}")
    if data.size == 0 or data.size % ins or (data.ndim > 1 and data.shape[0] != ins):
        raise Unsupported(
            connection.name,
            f"has {data.size} numbers, which are no rows for {ins} neurons; is inputs right?",
        )
    values = np.array(data, np.float64).reshape(ins, -1).T
    if not np.isfinite(values).all():
        raise ValueError(f"{file}: holds numbers that are not finite")
    return values
