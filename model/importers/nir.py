"""NIR graphs (https://neuroir.org) as networks.

Neurons become populations; whatever lies between two of them (Linear, Affine, Scale, Delay,
Flatten, convolutions, pools, inner graphs) becomes one projection per path.  With the time step dt
and the decay a = 1 - dt/tau (euler) or exp(-dt/tau) (exponential), and g = 1 - a:

    LIF, LI      tau v' = (v_leak - v) + r I
                 alpha = a, weights times g r, bias g v_leak
    CubaLIF,     tau_syn I' = -I + w_in S, then as above with tau_mem
    CubaLI       alpha_syn = a_syn, weights times g_syn w_in g_mem r; the membrane sees the current
                 of the same step
    IF, I        v' = r I; alpha = 1, weights times dt r
    Threshold    fires where its input exceeds a value; alpha = 0

An event counts as 1 for one step, as it does in the discrete simulators that write NIR.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import ceil, prod
from pathlib import Path

import h5py
import numpy as np

from model.importers.hdf5 import Floats
from model.importers.late_reset import late_reset
from model.importers.lowering import identity
from model.importers.nir_file import GRAPH, INPUT, METADATA, OUTPUT, Graph, Node, read_graph
from model.importers.nir_neurons import NEURONS, READING, Dynamics, dynamics
from model.importers.nir_paths import Paths, Term
from model.importers.nir_saved import saved_network
from model.importers.settings import LateReset, Scheme, Settings
from model.importers.verdict import Finding, Imported, Unsupported, Verdict
from model.network import (
    Compare,
    Delay,
    Input,
    Lif,
    Network,
    Population,
    Projection,
    Readout,
    Reset,
)

WHOLE = 1e-6
"""Delays this near to a whole number of steps count as whole."""


def recognizes(path: Path) -> bool:
    """Whether `path` looks like a NIR file."""
    try:
        with h5py.File(path, "r") as file:
            return "node" in file
    except (OSError, RuntimeError):
        return False


def read(path: Path, settings: Settings) -> Imported:
    """Read `path`.

    Settings: none for a file of `model.exporters` that nobody changed; else dt_ms, steps and
    scheme, always needed; units; reset, where the file does not say what a spike resets to;
    late_reset, exact if a reset by subtraction comes one step late.
    """
    graph = read_graph(path)
    network = saved_network(path, graph)
    if network is not None:
        said = "of a network of ranvier, which it fits bit for bit"
        found = tuple(Finding(name, Verdict.FAITHFUL, said) for name in graph.nodes)
        return Imported(network, found)
    dt_ms, steps = settings.number("dt_ms"), settings.whole("steps")
    if dt_ms <= 0:
        raise ValueError(f"{path}: dt_ms must be positive, not {dt_ms}")
    scheme = settings.choice("scheme", Scheme)
    builder = _Builder(path, graph, settings, dt_ms, scheme)
    if graph.metadata:
        said = "of other nodes than these, so only the nodes count"
        builder.say(METADATA, Verdict.APPROXIMATE, said)
    try:
        made = builder.build(steps)
    except Unsupported as error:
        builder.say(error.node, Verdict.UNSUPPORTED, error.reason)
        made = None
    return Imported(made, tuple(builder.findings))


class _Builder:
    """Turns a graph into a network, and notes what became of its nodes."""

    def __init__(
        self, path: Path, graph: Graph, settings: Settings, dt_ms: float, scheme: Scheme
    ) -> None:
        self.path, self.graph, self.settings = path, graph, settings
        self.dt_ms, self.scheme = dt_ms, scheme
        self.findings: list[Finding] = []

    def say(self, node: str, verdict: Verdict, reason: str) -> None:
        """Note what became of a node."""
        self.findings.append(Finding(node, verdict, reason))

    def build(self, steps: int) -> Network:
        """Return the network; Unsupported if there is none."""
        nodes = self.graph.nodes
        source = self._single(INPUT)
        sink = self._single(OUTPUT)
        shape = nodes[source].fields.get("shape")
        if shape is None or isinstance(shape, str):
            raise Unsupported(source, "does not say the shape of its events")
        neurons = {
            name: dynamics(node, self.dt_ms, self.scheme)
            for name, node in nodes.items()
            if node.kind in NEURONS
        }
        shapes = {name: neuron.shape for name, neuron in neurons.items()}
        shapes[source] = tuple(int(n) for n in shape.reshape(-1))
        paths = Paths(self.path, self.graph, (source,), shapes)
        ends, constant = paths.into(sink)
        readout = self._readout(sink, ends, constant)
        into = self._reached(paths, ends)
        order = _order(source, [readout.name, *into], ends, into, readout.name)
        populations: list[Population] = []
        size = prod(shapes[source])
        units = self.settings.get("units")
        populations.append(Input(source, size, size if units is None else int(units)))
        self.say(source, Verdict.FAITHFUL, f"{size} channels")
        projections: list[Projection] = []
        for name in order[1:]:
            if name == readout.name and name not in neurons:
                terms = ends
                made: Lif | Readout = readout
            else:
                terms, bias = into[name]
                made = self._population(nodes[name], neurons[name], bias)
            populations.append(made)
            gain = neurons[name].gain if name in neurons else np.ones(made.size)
            recurrent = {pre for pre in order if order.index(pre) >= order.index(name)}
            # The order of edges in a file means nothing.
            terms = sorted(terms, key=lambda term: order.index(term.pre))
            projections += self._late(made, self._joined(name, made.size, terms, gain, recurrent))
        self._rest(paths, {*order, sink, source})
        return Network(self.dt_ms, steps, tuple(populations), tuple(projections))

    def _single(self, kind: str) -> str:
        """Return the only outermost node of a kind."""
        inner = {name for name, node in self.graph.nodes.items() if node.kind == GRAPH}
        found = [
            name
            for name, node in self.graph.nodes.items()
            if node.kind == kind and name.rpartition(".")[0] not in inner
        ]
        if len(found) != 1:
            what = f"the graph has {len(found)} outermost {kind} nodes, and one is needed"
            raise Unsupported(found[1] if found else kind, what)
        return found[0]

    def _readout(self, sink: str, ends: list[Term], constant: Floats | float) -> Readout:
        """Return the readout: a leaky integrator at the output, or one that counts what is there.

        Of the former only name and size matter here.
        """
        if not ends:
            raise Unsupported(sink, "receives nothing")
        kinds = {term.pre: self.graph.nodes[term.pre].kind for term in ends}
        reading = [name for name, kind in kinds.items() if kind in READING]
        direct = ends[0].matrix is None and ends[0].axonal is None
        if reading and len(ends) == 1 and direct:
            self.say(sink, Verdict.FAITHFUL, f"its membranes are the scores of {reading[0]}")
            return Readout(reading[0], 1, np.zeros(1), np.zeros(1))
        if reading:
            raise Unsupported(
                reading[0], "is no neuron that fires, so only the output itself can read it"
            )
        first = ends[0]
        size = _outputs(first, self.graph.nodes[first.pre], self.dt_ms, self.scheme)
        self.say(
            sink,
            Verdict.FAITHFUL,
            "a readout without memory is added: the class is the largest sum of what arrives here",
        )
        return Readout(sink, size, np.zeros(size), np.broadcast_to(constant, (size,)))

    def _reached(
        self, paths: Paths, ends: list[Term]
    ) -> dict[str, tuple[list[Term], Floats | float]]:
        """Walk back from the output; return what goes into every neuron on the way."""
        into: dict[str, tuple[list[Term], Floats | float]] = {}
        waiting = [term.pre for term in ends]
        while waiting:
            name = waiting.pop()
            node = self.graph.nodes[name]
            if name in into or node.kind not in NEURONS:
                continue
            into[name] = paths.into(name)
            for term in into[name][0]:
                if self.graph.nodes[term.pre].kind in READING:
                    raise Unsupported(
                        term.pre, f"never fires, so it cannot drive {name}; make it a LIF or IF"
                    )
                waiting.append(term.pre)
        return into

    def _population(self, node: Node, neuron: Dynamics, constant: Floats | float) -> Lif | Readout:
        """Return the population that `node` becomes."""
        size = prod(neuron.shape)
        current = neuron.alpha_syn
        bias = neuron.bias + neuron.gain * constant
        verdict, remarks = Verdict.FAITHFUL, []
        if np.any(constant) and current.any():
            # A constant input fills the current up to its steady state.
            bias = neuron.bias + neuron.gain * constant / np.maximum(1 - current, 1e-12)
            verdict = Verdict.APPROXIMATE
            remarks.append("its constant input acts at full strength from the first step on")
        if neuron.threshold is None:
            self.say(node.name, verdict, "; ".join(["a readout", *remarks]))
            return Readout(node.name, size, neuron.alpha, bias, current)
        reset, worse, remark = self._reset(node, neuron)
        if worse is not None:
            verdict = worse
        self.say(node.name, verdict, "; ".join([f"{node.kind} of {size}", *remark, *remarks]))
        return Lif(
            node.name,
            size,
            neuron.alpha,
            neuron.threshold,
            bias,
            reset,
            compare=Compare.GT,
            alpha_syn=current,
        )

    def _reset(self, node: Node, neuron: Dynamics) -> tuple[Reset, Verdict | None, list[str]]:
        """Return what a spike does, and what is to be said about it."""
        if node.kind == "Threshold":
            return Reset.ZERO, None, []
        if neuron.v_reset is None:
            reset = self.settings.choice("reset", Reset)
            return reset, None, [f"reset by {reset.value}, as the settings say"]
        wanted = self.settings.get("reset")
        if wanted is not None and wanted != Reset.ZERO:
            return (
                Reset(str(wanted)),
                Verdict.APPROXIMATE,
                [f"reset by {wanted}, as the settings say, though the file has v_reset"],
            )
        if neuron.v_reset.any():
            raise Unsupported(
                node.name,
                f"v_reset = {neuron.v_reset[np.flatnonzero(neuron.v_reset)[0]]} must be 0; shift "
                "its voltages, or choose --set reset=subtract",
            )
        return Reset.ZERO, None, ["reset to 0"]

    def _joined(
        self, post: str, size: int, terms: list[Term], gain: Floats, recurrent: set[str]
    ) -> list[Projection]:
        """Return the projections into `post`."""
        made: list[Projection] = []
        for term in terms:
            matrix = identity(post, size) if term.matrix is None else term.matrix
            if matrix.shape[0] != size:
                raise Unsupported(post, f"has {size} neurons and is given {matrix.shape[0]} values")
            same = sum(p.pre == term.pre for p in made)
            name = f"{term.pre} to {post}" + (f" {same + 1}" if same else "")
            least = int(term.pre in recurrent)
            mode, delays, verdict, remark = self._delays(term, least)
            where = [*term.through, name]
            for node in term.through:
                self.say(node, verdict, f"part of the projection {name}{remark}")
            if not term.through:
                self.say(where[-1], verdict, f"a projection one to one{remark}")
            longest = max(least, ceil(float(np.max(delays, initial=0)) - 0.5))
            made.append(
                Projection(name, term.pre, post, gain[:, None] * matrix, mode, delays, longest)
            )
        return made

    def _late(self, made: Lif | Readout, into: list[Projection]) -> list[Projection]:
        """Add what resets neurons one step late, if the settings want it so."""
        if not isinstance(made, Lif) or made.reset is not Reset.SUBTRACT:
            return into
        if self.settings.get("late_reset") != LateReset.EXACT:
            return into
        self.say(made.name, Verdict.FAITHFUL, "one step late, by synapses of neurons on themselves")
        name = f"{made.name} to {made.name}"
        own = [p for p in into if p.pre == made.name]
        rest = [p for p in into if p.pre != made.name]
        for one in late_reset(made.name, made.threshold, made.alpha, made.alpha_syn):
            steps = int(np.max(one.delays))
            same = [p for p in own if p.delay is Delay.NONE and p.max_delay == steps]
            if same:
                own[own.index(same[0])] = replace(same[0], weights=same[0].weights + one.weights)
                continue
            number = f" {len(own) + 1}" if own else ""
            ends = f"{name}{number}", made.name, made.name
            own.append(Projection(*ends, one.weights, Delay.NONE, np.array(float(steps)), steps))
        return rest + own

    def _delays(self, term: Term, least: int) -> tuple[Delay, Floats, Verdict, str]:
        """Return mode and delays of `term` in steps, and what is to be said about them."""
        per_step = 1000 / self.dt_ms
        axonal, dendritic = term.axonal, term.dendritic
        if term.synaptic is not None:
            # [post, pre], to which those before and behind the weights add.
            both = term.synaptic + (0 if axonal is None else axonal[None, :])
            both = both + (0 if dendritic is None else dendritic[:, None])
            return self._rounded(Delay.SYNAPTIC, both * per_step, least)
        remark = "; recurrent, so it takes a step" if least else ""
        if axonal is None and dendritic is None:
            return Delay.NONE, np.array(float(least)), Verdict.FAITHFUL, remark
        if dendritic is None:
            mode, delays = Delay.AXONAL, np.asarray(axonal) * per_step
        elif axonal is None:
            mode, delays = Delay.DENDRITIC, dendritic * per_step
        else:
            mode, delays = Delay.SYNAPTIC, (dendritic[:, None] + axonal[None, :]) * per_step
        return self._rounded(mode, delays, least)

    def _rounded(
        self, mode: Delay, delays: Floats, least: int
    ) -> tuple[Delay, Floats, Verdict, str]:
        """Return delays in steps as they are applied, and what is to be said about them."""
        off = float(np.abs(delays - np.rint(delays)).max(initial=0))
        short = int((np.rint(delays) < least).sum())
        said = f"; {mode.value} delays of up to {delays.max(initial=0):g} steps"
        verdict = Verdict.FAITHFUL
        if off > WHOLE:
            verdict = Verdict.APPROXIMATE
            said += f", rounded to whole steps by up to {off:.3g}"
        if short:
            verdict = Verdict.APPROXIMATE
            said += f", {short} of them lengthened to the one step that a recurrent one takes"
        return mode, np.maximum(delays, least), verdict, said

    def _rest(self, paths: Paths, used: set[str]) -> None:
        """Note nodes that are no part of the network."""
        said = {finding.node for finding in self.findings}
        for name, node in self.graph.nodes.items():
            if name in said:
                continue
            if node.kind in (GRAPH, INPUT, OUTPUT) and (name in paths.seen or node.kind == GRAPH):
                self.say(name, Verdict.FAITHFUL, "taken apart into the outer graph")
            elif name not in used:
                self.say(name, Verdict.APPROXIMATE, "leads to no output, and was left out")
        for name in sorted(paths.delayed_bias):
            self.say(name, Verdict.APPROXIMATE, "a constant that comes through it is not delayed")


def _outputs(term: Term, node: Node, dt_ms: float, scheme: Scheme) -> int:
    """Values that `term` gives."""
    if term.matrix is not None:
        return int(term.matrix.shape[0])
    if node.kind == INPUT:
        shape = node.fields["shape"]
        assert not isinstance(shape, str)
        return int(np.prod(shape))
    return prod(dynamics(node, dt_ms, scheme).shape)


def _order(
    source: str,
    names: list[str],
    ends: list[Term],
    into: Mapping[str, tuple[list[Term], Floats | float]],
    readout: str,
) -> list[str]:
    """Return the input, then populations so that as few projections as possible are recurrent.

    In the order of a walk from the input, a population comes after all that drive it, but for
    loops.
    """
    after: dict[str, list[str]] = {name: [] for name in (source, *names)}
    drives = {**{name: terms for name, (terms, _) in into.items()}}
    drives.setdefault(readout, ends)
    for post, terms in drives.items():
        for term in terms:
            if post not in after[term.pre]:
                after[term.pre].append(post)
    finished: list[str] = []
    begun: set[str] = set()
    for root in (source, *names):
        stack = [(root, iter(after[root]))] if root not in begun else []
        begun.add(root)
        while stack:
            name, rest = stack[-1]
            following = next((post for post in rest if post not in begun), None)
            if following is None:
                finished.append(name)
                stack.pop()
            else:
                begun.add(following)
                stack.append((following, iter(after[following])))
    order = finished[::-1]
    # What nothing drives may have been finished last; events still come in first.
    order.remove(source)
    return [source, *order]
