"""Co-design of spiking chips that compute and learn with delays.

    import ranvier

    network = ranvier.load_network("trained.npz")
    image, loss = ranvier.quantize(network, chip=None, options=ranvier.OPTIONS, calibration=counts)
    run = ranvier.run(image, counts)
    verdict = ranvier.verify(image, counts)

A name is imported when it is first used, so that `import ranvier` costs nothing.
"""

from __future__ import annotations

import importlib
from typing import Any

_PUBLIC = {
    "Chip": "datapath",
    "DelGrad": "learn",
    "Device": "ranvier.device",
    "EventProp": "learn",
    "Image": "datapath",
    "Network": "model",
    "OPTIONS": "ranvier.defaults",
    "Options": "quant",
    "Rule": "learn",
    "dequantize": "quant",
    "encode": "events",
    "evaluate": "quant.evaluate",
    "finetune": "ranvier.tuning",
    "import_network": "model.importers",
    "load_data": "events",
    "load_image": "datapath.files",
    "load_network": "model",
    "make_first_spike_network": "learn",
    "make_network": "learn",
    "quantize": "quant",
    "run": "emulator.chip",
    "save_image": "datapath.files",
    "save_network": "model",
    "simulate": "model",
    "spoken_digits": "events",
    "train": "learn",
    "train_delgrad": "learn",
    "train_eventprop": "learn",
    "verify": "sim.verify",
    "write_nir": "model.exporters",
}
"""Where each public name lives; load_X and save_X are the `load` and `save` of that room."""

__all__ = sorted(_PUBLIC)


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'ranvier' has no attribute {name!r}")
    verb = name.partition("_")[0]
    original = verb if verb in ("load", "save") else name
    return getattr(importlib.import_module(_PUBLIC[name]), original)


def __dir__() -> list[str]:
    return __all__
