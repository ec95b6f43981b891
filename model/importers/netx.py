"""Networks of lava-dl (https://github.com/lava-nc/lava-dl), exported for its netx: `.net`, HDF5.

Integers of Loihi, a layer per group `layer/{k}`:

    u[t] = (1 - iDecay / 4096) u[t-1] + sum(w s);  v[t] = (1 - vDecay / 4096) v[t-1] + u[t] + bias

v > vThMant fires and sets v to 0.  Weights, bias and threshold are in one unit, of which Loihi's
membranes hold 64ths: everything here is in these.  What a layer fires comes to the next one after a
step, and after the `delay` of its channel.
"""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np

from model.importers.chain import Layer, Synapses, counted
from model.importers.hdf5 import Floats, Reader
from model.importers.lowering import identity
from model.importers.reading import Reading
from model.importers.settings import Settings
from model.importers.verdict import Imported, Unsupported, Verdict
from model.network import Compare, Delay, Lif, Readout, Reset

FULL = 4096
"""What a decay is a share of."""
ALIGNED = 1 << 6
"""Steps of Loihi's membranes in the unit of a file."""
MOST_LAYERS = 1024
MODELS = ("CUBA", "LOIHI")


def recognizes(path: Path) -> bool:
    """Whether `path` looks like a file of netx."""
    try:
        with h5py.File(path, "r") as file:
            return "layer" in file and "node" not in file
    except (OSError, RuntimeError):
        return False


def read(path: Path, settings: Settings) -> Imported:
    """Read `path`.

    Settings: dt_ms, steps; units.
    """
    reading = Reading(settings)
    steps = settings.whole("steps")
    try:
        with h5py.File(path, "r") as file:
            builder = _Builder(reading, Reader(path))

            def build() -> tuple[int, int, list[Layer]]:
                layers = builder.layers(file)
                return builder.inputs, steps, layers

            return reading.finish(build)
    except (OSError, RuntimeError, KeyError) as error:
        raise ValueError(f"{path}: is not a file of netx: {' '.join(str(error).split())}") from None


class _Builder:
    """Turns groups of a file into layers."""

    def __init__(self, reading: Reading, reader: Reader) -> None:
        self.reading, self.reader = reading, reader
        self.inputs = 0
        # Delays of what comes into the next layer, per channel; None before the first.
        self.late: Floats | None = None

    def layers(self, file: h5py.File) -> list[Layer]:
        """Return the layers; Unsupported if one is."""
        groups = self.reader.group(file, "layer")
        if len(groups) > MOST_LAYERS:
            raise ValueError(f"{self.reader.path}: has {len(groups)} layers, over {MOST_LAYERS}")
        layers: list[Layer] = []
        for number in range(len(groups)):
            if str(number) not in groups:
                raise ValueError(f"{self.reader.path}: has no layer {number}, but others")
            group = self.reader.group(groups, str(number))
            kind = self.reader.text(group, "type")
            if kind in ("dense", "dense_rec"):
                if layers and isinstance(layers[-1].population, Readout):
                    raise Unsupported(f"layer/{number}", "follows a layer without neurons")
                layers.append(self._dense(f"layer/{number}", group))
            else:
                self._other(f"layer/{number}", group, kind)
        if not layers:
            raise Unsupported("layer", "holds no dense layer")
        return layers if isinstance(layers[-1].population, Readout) else [*layers, self._counted()]

    def _other(self, name: str, group: h5py.Group, kind: str) -> None:
        if kind == "flatten":
            self.reading.say(name, Verdict.FAITHFUL, "does nothing to channels that are flat")
        elif kind == "input" and "neuron" not in group:
            self.reading.say(name, Verdict.FAITHFUL, "the input")
        elif kind == "input":
            raise Unsupported(
                name, "turns numbers into events; feed the network its events instead"
            )
        else:
            raise Unsupported(name, f"is a {kind} layer; dense ones can be imported")

    def _counted(self) -> Layer:
        assert self.late is not None
        size = len(self.late)
        self.reading.say("output", Verdict.FAITHFUL, "a readout is added: the most spikes")
        return counted(self._late(identity("output", size)))

    def _late(self, weights: Floats) -> Synapses:
        """Return `weights` with the delays of what comes in."""
        if self.late is None:
            return Synapses(weights)
        if (self.late == self.late[0]).all():
            return Synapses(weights, Delay.NONE, float(self.late[0]))
        return Synapses(weights, Delay.AXONAL, self.late)

    def _dense(self, name: str, group: h5py.Group) -> Layer:
        """Return a layer and note it; from here on events are those of its neurons."""
        weights = self._weights(name, group, "weight")
        size, ins = weights.shape
        if self.late is None:
            self.inputs = ins
        elif len(self.late) != ins:
            raise Unsupported(name, f"takes {ins} channels and is given {len(self.late)}")
        into = [self._late(weights)]
        bias = ALIGNED * self._spread(name, group, "bias", size, 0.0)
        recurrent = []
        if "weight_rec" in group:
            recurrent = [Synapses(self._weights(name, group, "weight_rec"), Delay.NONE, 1.0)]
        if "neuron" not in group:
            self.reading.say(name, Verdict.FAITHFUL, "without neurons: adds up what comes in")
            return Layer(Readout("output", size, np.ones(size), bias), into)
        population = self._neurons(name, self.reader.group(group, "neuron"), size, bias)
        delays = np.floor(self._spread(name, group, "delay", size, 0.0))
        if (delays < 0).any():
            raise Unsupported(name, f"has a delay of {delays.min():g}")
        self.late = 1 + delays
        said = f"{size} neurons in floats, without the rounding of Loihi's integers"
        if delays.any():
            said += f"; axonal delays of up to {delays.max():g} steps"
        self.reading.say(name, Verdict.APPROXIMATE, said)
        return Layer(population, into, recurrent)

    def _weights(self, name: str, group: h5py.Group, field: str) -> Floats:
        if self.reader.linked(group, field) and isinstance(group[field], h5py.Group):
            raise Unsupported(name, f"has complex {field}s, which no network here has")
        weights = self.reader.numbers(group, field)
        if weights.ndim == 1:
            size = int(self.reader.numbers(group, "shape").prod())
            if size < 1 or weights.size % size:
                raise Unsupported(name, f"has {weights.size} weights for {size} neurons")
            weights = weights.reshape(size, -1)
        if weights.ndim != 2 or not weights.size:
            raise Unsupported(name, f"{field} must be a matrix, and has shape {weights.shape}")
        return ALIGNED * weights

    def _neurons(self, name: str, group: h5py.Group, size: int, bias: Floats) -> Lif:
        model = self.reader.text(group, "type")
        if model not in MODELS:
            raise Unsupported(name, f"has {model} neurons; {' and '.join(MODELS)} can be imported")
        for field, harmless in (("gradedSpike", 0), ("refDelay", 1), ("weight_exp", 0)):
            value = self._spread(name, group, field, 1, harmless)[0]
            if value != harmless:
                raise Unsupported(name, f"{field} = {value:g} must be {harmless}")
        decays = []
        for field in ("vDecay", "iDecay"):
            decay = 1 - self._spread(name, group, field, size, None) / FULL
            if (decay < 0).any() or (decay > 1).any():
                raise Unsupported(name, f"{field} must be between 0 and {FULL}")
            decays.append(decay)
        threshold = self._spread(name, group, "vThMant", size, None)
        if (threshold <= 0).any():
            raise Unsupported(name, f"vThMant = {threshold.min():g} must be positive")
        place = name.replace("/", "")
        return Lif(
            place, size, decays[0], ALIGNED * threshold, bias, Reset.ZERO, Compare.GT, decays[1]
        )

    def _spread(
        self, name: str, group: h5py.Group, field: str, size: int, default: float | None
    ) -> Floats:
        """Return one number per neuron, which may be one for all."""
        if field not in group:
            if default is None:
                raise Unsupported(name, f"has no {field}")
            return np.full(size, float(default))
        values = self.reader.numbers(group, field).reshape(-1)
        if values.size not in (1, size):
            raise Unsupported(name, f"{field} has {values.size} numbers for {size} neurons")
        return np.array(np.broadcast_to(values, (size,)))
