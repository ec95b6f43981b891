"""A network trained elsewhere, imported: DCLS in torch, on the embedded digits.

    python -m bench.imported digits-dcls.npz [--score membranes] [--epochs 20]
    python -m bench.quantization RESULTS.json --networks digits-dcls.npz

Needs torch, dcls and spikingjelly, as `bench.originals`.  140 inputs, 64 hidden neurons without
memory and 20 readouts, as in SNN-delays: DCLS kernels of 25 steps in both layers, Gaussian while
training and one tap at the end, batch norm, dropout, Adam; but no right padding.  Trained on the
training voices but those held out, for the sum of membranes, which a chip computes, or for that of
their softmax, as SNN-delays does; the last epoch is kept.
"""

import tempfile
from pathlib import Path

import click
import numpy as np
import torch
from DCLS.construct.modules import Dcls1d
from spikingjelly.activation_based import functional, layer, neuron, surrogate

import model
from bench.originals import LAYERED, TAPS, TAU, evaluated, passed
from bench.quantization import HELD_OUT
from events import spoken_digits
from model import simulate
from model.importers import Settings, import_network
from ranvier.sources import for_network, open_network, split

HIDDEN, CLASSES, BATCH, RATE, DELAY_RATE, SIGMA = 64, 20, 64, 1e-3, 0.1, 0.23


def built(channels):
    """Return the network of SNN-delays, and its state dict as that writes it."""
    net = torch.nn.Sequential()
    for ins, outs in ((channels, HIDDEN), (HIDDEN, CLASSES)):
        made = Dcls1d(ins, outs, 1, dilated_kernel_size=TAPS, bias=False, version="gauss")
        torch.nn.init.uniform_(made.P, -(TAPS // 2), TAPS // 2)
        torch.nn.init.kaiming_uniform_(made.weight, nonlinearity="relu")
        made.SIG.requires_grad = False
        net.append(made)
        if outs == HIDDEN:
            net.append(layer.BatchNorm1d(HIDDEN, step_mode="m"))
        threshold = 1.0 if outs == HIDDEN else 1e9
        net.append(
            neuron.LIFNode(
                TAU,
                False,
                threshold,
                surrogate_function=surrogate.ATan(5.0),
                detach_reset=True,
                step_mode="m",
                store_v_seq=True,
            )
        )
        if outs == HIDDEN:
            net.append(layer.Dropout(0.4, step_mode="m"))
    return net


def played(net, x):
    """Run x [T, B, channels]; return the readout's membranes [T, B, classes] and hidden spikes."""
    functional.reset_net(net)
    spikes = None
    for module in net:
        x = passed(module, x)
        if isinstance(module, neuron.LIFNode) and spikes is None:
            spikes = x
    return net[-1].v_seq, spikes


def scored(membranes, score):
    """Return scores [B, classes] of the readout's membranes."""
    return (membranes.softmax(2) if score == "softmax" else membranes).sum(0)


def train(net, counts, labels, score, epochs):
    """Adam with a cosine; the width of the taps falls in the first quarter."""
    delays = [m for m in net if isinstance(m, Dcls1d)]
    positions = [m.P for m in delays]
    others = [p for name, p in net.named_parameters() if not name.endswith(("P", "SIG"))]
    groups = [{"params": others, "lr": RATE}, {"params": positions, "lr": DELAY_RATE}]
    optimizer = torch.optim.Adam(groups)
    falling = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
    for epoch in range(epochs):
        share = min(1.0, 4 * epoch / epochs)
        for module in delays:
            module.SIG.data.fill_((TAPS // 2) * (SIGMA / (TAPS // 2)) ** share)
        net.train()
        right = 0
        for some in torch.randperm(len(counts)).split(BATCH):
            membranes, _ = played(net, counts[some].permute(1, 0, 2))
            scores = scored(membranes, score)
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(scores, labels[some]).backward()
            optimizer.step()
            for module in delays:
                module.clamp_parameters()
            right += int((scores.argmax(1) == labels[some]).sum())
        falling.step()
        print(f"epoch {epoch + 1}/{epochs}: right {100 * right / len(counts):.1f} %", flush=True)


@click.command()
@click.argument("output", type=click.Path(dir_okay=False, path_type=Path))
@click.option(
    "--score", type=click.Choice(["membranes", "softmax"]), default="membranes", show_default=True
)
@click.option("--epochs", type=click.IntRange(1), default=20, show_default=True)
def main(output: Path, score: str, epochs: int) -> None:
    """Train, save as torch does, import, write OUTPUT, and compare."""
    torch.manual_seed(0)
    like = open_network("digits-axonal")
    learned, test = (for_network(part, like) for part in spoken_digits())
    examples, _ = split(learned, HELD_OUT["digits"])
    net = built(examples.counts.shape[2])
    labels = torch.tensor(examples.labels.astype(np.int64))
    train(net, torch.tensor(examples.counts.astype(np.float32)), labels, score, epochs)
    net.eval()
    given = {**LAYERED, "dt_ms": like.dt_ms, "steps": like.steps, "units": like.input.units}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "SHD_Best_ACC.pt"
        torch.save({f"model.{name}": value for name, value in net.state_dict().items()}, path)
        imported = import_network(path, Settings(path, given))
    if imported.network is None:
        raise ValueError(str(imported.findings[-1]))
    model.save(imported.network, output)
    evaluated(net)
    with torch.no_grad():
        x = torch.tensor(test.counts.astype(np.float32)).permute(1, 0, 2)
        membranes, spikes = played(net, x)
    theirs = [scored(membranes, name).argmax(1).numpy() for name in ("softmax", "membranes")]
    ours = simulate(imported.network, test.counts, record=["spikes"])
    (fired,) = ours.spikes.values()
    differ = int((fired != (spikes.permute(1, 0, 2).numpy() > 0)).sum())
    share = [100 * (classes == test.labels).mean() for classes in (*theirs, ours.classes)]
    print(
        f"{output}: {imported.verdict}; {int(fired.sum()):,} hidden spikes, {differ} differ; "
        f"test: {share[0]:.2f} % by the sum of its softmax, {share[1]:.2f} % by that of its "
        f"membranes, {share[2]:.2f} % imported"
    )


if __name__ == "__main__":
    main()
