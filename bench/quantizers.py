"""Scripts that round a network by other packages, each under the Python that has the package.

A script gets the path of an archive (forward and out, float64[post, pre]; alpha and alpha_out, of a
step; dt_ms), the path of the one to write, and the bits of a weight.  It writes forward, out,
threshold (of each hidden neuron), alpha and alpha_out again, as its package rounds them, in
float units, and prints its version.  Thresholds are 1 before.
"""

ROCKPOOL = """
import sys
from importlib.metadata import version
import numpy as np
from rockpool.transform.quantize_methods import {method}

d, bits = np.load(sys.argv[1]), int(sys.argv[3])
w_in, w_out = d["forward"].T, d["out"].T
hidden, classes = w_out.shape
def dash(alpha):
    # tau / dt of a leak that is exact in time; a shift by log2 of it is the leak of the package.
    return np.log2(-1 / np.log(float(alpha)))
found = {method}(
    weights_in=w_in, weights_rec=np.zeros((hidden, hidden)), weights_out=w_out,
    threshold=np.ones(hidden), threshold_out=np.ones(classes),
    dash_mem=np.full(hidden, dash(d["alpha"])), dash_mem_out=np.full(classes, dash(d["alpha_out"])),
    dash_syn=np.zeros(hidden), dash_syn_2=np.zeros(hidden), dash_syn_out=np.zeros(classes),
    bits_per_weight=bits,
)
top = 2 ** (bits - 1) - 1
axis = None if "{method}" == "global_quantize" else 0
# Hidden neurons are scaled by their own integers, so that threshold and weights stay in proportion;
# readouts, which do not fire here, by the scale of the package before it rounds.
largest = np.abs(w_in).max(axis=axis) * np.ones(hidden)
scale = top / largest
scale_out = top / np.abs(w_out).max(axis=axis) * np.ones(classes)
w = found["weights_in"].reshape(w_in.shape)
np.savez(
    sys.argv[2], forward=(w / scale).T, out=(found["weights_out"] / scale_out).T,
    threshold=found["threshold"] / scale,
    alpha=1 - 2.0 ** -float(found["dash_mem"][0]),
    alpha_out=1 - 2.0 ** -float(found["dash_mem_out"][0]),
)
print(version("rockpool"))
"""

SNN_MLIR = """
import sys
from importlib.metadata import version
import nir
import numpy as np
import snn_mlir

d = np.load(sys.argv[1])
assert int(sys.argv[3]) == 8, "the package has 8 bits"
forward, out, dt = d["forward"], d["out"], float(d["dt_ms"]) / 1000
def neuron(alpha, size):
    # The package takes the decay 1 - dt / tau, with r = tau / dt.
    tau = np.full(size, dt / (1 - float(alpha)))
    return {"tau": tau, "r": tau / dt, "v_leak": np.zeros(size)}
hidden, classes = len(forward), len(out)
graph = nir.NIRGraph(
    nodes={
        "input": nir.Input(input_type={"input": np.array([forward.shape[1]])}),
        "forward": nir.Linear(weight=forward),
        "hidden": nir.LIF(**neuron(d["alpha"], hidden), v_threshold=np.ones(hidden)),
        "out": nir.Linear(weight=out),
        "readout": nir.LI(**neuron(d["alpha_out"], classes)),
        "output": nir.Output(output_type={"output": np.array([classes])}),
    },
    edges=[("input", "forward"), ("forward", "hidden"), ("hidden", "out"), ("out", "readout"),
           ("readout", "output")],
)
layers = snn_mlir.parse_graph(graph)
snn_mlir.quantize_layers(layers)
by = {layer.name: layer for layer in layers}
unit = {name: by[name].int8_weights * 2.0 ** -by[name].w_scale for name in ("forward", "out")}
q12 = 1 << by["hidden"].d_scale
np.savez(
    sys.argv[2], forward=unit["forward"], out=unit["out"],
    threshold=np.full(hidden, by["hidden"].threshold_scaled / q12),
    alpha=by["hidden"].decay_scaled / q12, alpha_out=by["readout"].decay_scaled / q12,
)
print(version("snn-mlir"))
"""

QUANTIZERS = {
    "Rockpool global_quantize": (ROCKPOOL.replace("{method}", "global_quantize"), (2, 3, 4, 6, 8)),
    "Rockpool channel_quantize": (
        ROCKPOOL.replace("{method}", "channel_quantize"),
        (2, 3, 4, 6, 8),
    ),
    "snn-mlir": (SNN_MLIR, (8,)),
}
"""Script by the name of its quantizer, and the bits of a weight that it has."""
