"""Networks in the libraries they were made for, and imported: how many of their spikes differ.

    python -m bench.originals

Needs torch, dcls, spikingjelly and snntorch, which the project itself does not. Weights are random,
float32 there and float64 here.
"""

import tempfile
from importlib.metadata import version
from pathlib import Path

import numpy as np
import snntorch
import torch
from DCLS.construct.modules import Dcls1d
from spikingjelly.activation_based import layer, neuron

from model import simulate
from model.importers import Settings, import_network

STEPS, RECORDINGS, INPUTS, HIDDEN, TAPS, TAU = 100, 8, 20, 64, 25, 1.005
LAYERED = {
    "dt_ms": 10,
    "steps": STEPS,
    "tau_ms": 10 * TAU,
    "tau_readout_ms": 10 * TAU,
    "threshold": 1,
    "reset": "zero",
    "kernel_size": TAPS,
    "right_padding": 0,
}
SNN = {"dt_ms": 1, "steps": STEPS, "score": "spikes"}


def lif(threshold=1.0):
    """Return neurons of SpikingJelly, almost without memory, as for SHD."""
    return neuron.LIFNode(TAU, False, threshold, step_mode="m", store_v_seq=True)


def delays(ins, outs, groups=1):
    """Return a DCLS layer with delays at random; with groups, one of unit weights per channel."""
    made = Dcls1d(
        ins, outs, 1, groups=groups, dilated_kernel_size=TAPS, bias=False, version="gauss"
    )
    torch.nn.init.uniform_(made.P, -(TAPS // 2), TAPS // 2)
    torch.nn.init.normal_(made.weight, 0, 3 / ins**0.5)
    if groups > 1:
        torch.nn.init.ones_(made.weight)
    return made


def norm(size):
    """Return a batch norm that has seen something."""
    made = layer.BatchNorm1d(size, step_mode="m")
    made.running_mean.uniform_(-0.1, 0.3)
    made.running_var.uniform_(0.3, 1)
    torch.nn.init.uniform_(made.weight, 0.5, 1.5)
    torch.nn.init.uniform_(made.bias, -0.2, 0.4)
    return made


def evaluated(modules):
    """Prepare delays as SNN-delays does before it tests: one tap, at a rounded position."""
    for module in modules:
        if isinstance(module, Dcls1d):
            module.SIG.data.zero_()
            module.version = module.DCK.version = "max"
            module.P.data.round_()
            module.clamp_parameters()


def passed(module, x):
    """Return what a module of either library makes of x [T, B, channels], in the same order."""
    if isinstance(module, Dcls1d):
        padded = torch.nn.functional.pad(x.permute(1, 2, 0), (TAPS - 1, 0))
        return module(padded).permute(2, 0, 1)
    if isinstance(module, layer.BatchNorm1d):
        return module(x.unsqueeze(3)).squeeze(3)
    return module(x)


def played(modules, x):
    """Play x [T, B, channels] through modules; return the spikes of every LIF layer, [B, T, N]."""
    out = []
    for module in modules:
        x = passed(module, x)
        if isinstance(module, neuron.LIFNode):
            out.append(x.permute(1, 0, 2).numpy() > 0)
    return out[:-1]


def synaptic(x):
    """SNN-delays: DCLS, batch norm, neurons, dropout, twice, then DCLS and a readout."""
    net = torch.nn.Sequential()
    for ins in (INPUTS, HIDDEN):
        for module in (delays(ins, HIDDEN), norm(HIDDEN), lif(), layer.Dropout(0.4, step_mode="m")):
            net.append(module)
    net.append(delays(HIDDEN, 5)).append(lif(1e9)).eval()
    kept = {f"model.{name}": value.clone() for name, value in net.state_dict().items()}
    evaluated(net)
    return kept, LAYERED, played(net, x)


def axonal(x):
    """AxDenSynDelaySNN: a delay per channel, a linear layer, neurons."""
    net, kept = [], {}
    for level, (ins, outs) in enumerate(((INPUTS, HIDDEN), (HIDDEN, HIDDEN), (HIDDEN, 5))):
        late, linear = delays(ins, ins, groups=ins), torch.nn.Linear(ins, outs, bias=False)
        torch.nn.init.normal_(linear.weight, 0, 3 / ins**0.5)
        for name, module in (("delay_layer", late), ("W", linear)):
            state = module.state_dict().items()
            kept |= {f"snn.{level}.{name}.{key}": value.clone() for key, value in state}
        net += [late, linear, lif(1.0 if level < 2 else 1e9)]
    evaluated(net)
    return kept, LAYERED, played(net, x)


def of_snntorch(first, bias=True, **settings):
    """Return a network of snnTorch whose first population is `first`, its second a Leaky."""

    def made(x):
        fc1, fc2 = torch.nn.Linear(INPUTS, HIDDEN, bias), torch.nn.Linear(HIDDEN, 5)
        one, two = first(), snntorch.Leaky(0.7, reset_mechanism="zero")
        if not bias and hasattr(one, "recurrent"):
            one.recurrent.register_parameter("bias", None)
        net = torch.nn.ModuleDict({"fc1": fc1, "one": one, "fc2": fc2, "two": two})
        state, membrane, out = None, None, ([], [])
        for now in x:
            drive = fc1(now)
            given = () if state is None else state
            spikes, *rest = one(drive, *given)
            recurrent = isinstance(one, snntorch.RLeaky | snntorch.RSynaptic)
            state = (spikes, *rest) if recurrent else tuple(rest)
            ends, membrane = two(fc2(spikes), membrane)
            out[0].append(spikes)
            out[1].append(ends)
        spikes = [torch.stack(part).permute(1, 0, 2).numpy() > 0 for part in out]
        return net.state_dict(), {**SNN, **settings}, spikes

    return made


ORIGINALS = {
    "SNN-delays: DCLS, batch norm": synaptic,
    "AxDenSynDelaySNN: axonal delays": axonal,
    "snnTorch: Leaky": of_snntorch(lambda: snntorch.Leaky(0.8), late_reset="exact"),
    "snnTorch: RLeaky": of_snntorch(
        lambda: snntorch.RLeaky(0.8, linear_features=HIDDEN), late_reset="exact"
    ),
    "snnTorch: Leaky, early reset": of_snntorch(lambda: snntorch.Leaky(0.8), late_reset="early"),
    "snnTorch: Synaptic": of_snntorch(
        lambda: snntorch.Synaptic(0.5, 0.8), bias=False, late_reset="exact"
    ),
    "snnTorch: RSynaptic": of_snntorch(
        lambda: snntorch.RSynaptic(0.5, 0.8, linear_features=HIDDEN), bias=False, late_reset="exact"
    ),
    "snnTorch: RSynaptic, biases": of_snntorch(
        lambda: snntorch.RSynaptic(0.5, 0.8, linear_features=HIDDEN), late_reset="exact"
    ),
}


def main():
    """Print the table."""
    names = ("torch", "dcls", "spikingjelly", "snntorch")
    print(", ".join(f"{name} {version(name)}" for name in names), end="\n\n")
    print("| network | verdict | neurons and steps | spikes | that differ |\n|---|---|---|---|---|")
    for title, original in ORIGINALS.items():
        torch.manual_seed(0)
        counts = np.random.default_rng(0).poisson(0.3, (RECORDINGS, STEPS, INPUTS))
        with torch.no_grad():
            x = torch.tensor(counts, dtype=torch.float32).permute(1, 0, 2)
            kept, settings, theirs = original(x)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "original.pt"
            torch.save(kept, path)
            imported = import_network(path, Settings(path, settings))
        if imported.network is None:
            raise ValueError(f"{title}: {imported.findings[-1]}")
        ours = simulate(imported.network, counts, record=["spikes"]).spikes.values()
        pairs = list(zip(theirs, ours, strict=True))
        places = sum(there.size for there, _ in pairs)
        fired = sum(int(there.sum()) for there, _ in pairs)
        differ = sum(int((there != here).sum()) for there, here in pairs)
        print(f"| {title} | {imported.verdict} | {places:,} | {fired:,} | {differ:,} |")


if __name__ == "__main__":
    main()
