"""Scripts that run the network of `emulator_speed` in other packages, each under their Python.

A script gets the path of an archive: counts uint8[recordings, steps, channels]; weights forward,
recurrent and out, integers[post, pre]; threshold; decay.  It prints a JSON object: the version of
the package, the size of a batch, samples per second, and the part of neurons firing in a tick.
"""

XYLOSIM = """
import json, sys, time
from importlib.metadata import version
import numpy as np
from xylosim.v2 import XyloLayer, XyloSynapse

d = np.load(sys.argv[1])
hidden, classes = len(d["forward"]), len(d["out"])
synapses = [
    [[XyloSynapse(j, 0, int(w)) for j, w in enumerate(column)] for column in d[name].T]
    for name in ("forward", "recurrent", "out")
]
shift = round(-np.log2(1 - float(d["decay"])))
layer = XyloLayer(
    synapses[0], synapses[1], synapses[2], [[] for _ in range(hidden)],
    [int(d["threshold"])] * hidden, [32767] * classes, False, [0] * hidden, [0] * classes,
    0, 0, 0, [shift] * hidden, [shift] * classes,
    # A current of this chip is halved before it is used; the network's lasts for one tick.
    [[1, 1]] * hidden, [[1]] * classes, "layer",
)
best, fired = float("inf"), 0
for counts in d["counts"][:3]:
    rows = counts.tolist()
    layer.reset_all()
    start = time.perf_counter()
    layer.evolve(rows)
    best = min(best, time.perf_counter() - start)
    fired = np.mean(np.array(layer.rec_recurrent_spikes) > 0)
print(json.dumps({"version": version("xylosim"), "batch": 1, "samples / s": 1 / best,
                  "firing": float(fired)}))
"""

SNNTORCH = """
import json, sys, time
from importlib.metadata import version
import numpy as np
import snntorch as snn
import torch

torch.set_num_threads(1)
d = np.load(sys.argv[1])
forward, recurrent, out = (torch.tensor(d[n], dtype=torch.float32) for n in
                           ("forward", "recurrent", "out"))
counts = torch.tensor(d["counts"], dtype=torch.float32)
beta, threshold = float(d["decay"]), float(d["threshold"])
h = snn.RLeaky(beta, threshold=threshold, linear_features=len(forward), init_hidden=False,
               reset_delay=False)
with torch.no_grad():
    h.recurrent.weight.copy_(recurrent)
    h.recurrent.bias.zero_()
r = snn.Leaky(beta, threshold=threshold, reset_mechanism="none")


def play(x):
    spikes, v = h.init_rleaky()
    y, fired, score = r.init_leaky(), 0.0, 0
    with torch.no_grad():
        for t in range(x.shape[1]):
            spikes, v = h(x[:, t] @ forward.T, spikes, v)
            _, y = r(spikes @ out.T, y)
            score = score + y
            fired += float(spikes.mean())
    return fired / x.shape[1]


best, firing = float("inf"), 0.0
for _ in range(2):
    start = time.perf_counter()
    firing = play(counts)
    best = min(best, time.perf_counter() - start)
print(json.dumps({"version": version("snntorch"), "batch": len(counts),
                  "samples / s": len(counts) / best, "firing": firing}))
"""

BRIAN = """
import json, sys, time
import logging
import numpy as np
import brian2 as b2
from brian2 import ms

b2.prefs.codegen.target = "numpy"
b2.BrianLogger.suppress_hierarchy("brian2")
d = np.load(sys.argv[1])
hidden, classes, step = len(d["forward"]), len(d["out"]), 4 * ms
b2.defaultclock.dt = step
tick, channel = np.nonzero(d["counts"][0])
source = b2.SpikeGeneratorGroup(d["counts"].shape[2], channel, tick * step)
tau = -4 * ms / np.log(float(d["decay"]))
threshold = float(d["threshold"])
h = b2.NeuronGroup(hidden, "dv/dt = -v / tau : 1", threshold="v >= threshold",
                   reset="v -= threshold", method="exact")
r = b2.NeuronGroup(classes, "dv/dt = -v / tau : 1", method="exact")
parts = [source, h, r]
for pre, post, name in ((source, h, "forward"), (h, h, "recurrent"), (h, r, "out")):
    synapses = b2.Synapses(pre, post, "w : 1", on_pre="v_post += w")
    synapses.connect()
    synapses.w = d[name].T.ravel().astype(float)
    parts.append(synapses)
monitor = b2.SpikeMonitor(h)
net = b2.Network(*parts, monitor)
net.store()
best = float("inf")
steps = d["counts"].shape[1]
for _ in range(3):
    net.restore()
    start = time.perf_counter()
    net.run(steps * step)
    best = min(best, time.perf_counter() - start)
print(json.dumps({"version": b2.__version__, "batch": 1, "samples / s": 1 / best,
                  "firing": monitor.num_spikes / steps / hidden}))
"""

PEERS = {"XyloSim": XYLOSIM, "snnTorch": SNNTORCH, "Brian2 (numpy)": BRIAN}
"""Script by the name of its package."""
