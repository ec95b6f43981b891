"""SpikingJelly networks with delays, layer by layer: weights, batch norm, neurons."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from model.importers.chain import Layer, Synapses
from model.importers.reading import Reading
from model.importers.settings import Settings
from model.importers.spikingjelly import alpha, lengthened, normalized, population
from model.importers.taps import Taken, dcls, delrec
from model.importers.torch_parts import Floats, Part, batch_norm, is_batch_norm, read_parts
from model.importers.verdict import Imported, Unsupported, Verdict
from model.network import Delay, Readout


@dataclass(slots=True)
class Block:
    """Weights and what follows them, up to the next weights.

    before, after : batch norms before and after the neurons.  own : the parameters of neurons.
    """

    weights: Part
    before: Part | None = None
    recurrent: Part | None = None
    own: Part | None = None
    after: Part | None = None


def read_blocks(path: Path, settings: Settings) -> Imported:
    """Read `path`, whose layers are `Linear` or DCLS, and recurrent as in DelRec or not.

    Settings: dt_ms, steps, threshold, reset; tau_ms and tau_readout_ms where time constants are not
    learned; kernel_size and right_padding for DCLS; sigma and fraction for DelRec; units.
    """
    parts = read_parts(path)
    reading = Reading(settings)

    def build() -> tuple[int, int, list[Layer]]:
        blocks = _blocks(parts)
        layers = _layers(reading, blocks)
        inputs = layers[0].into[0].weights.shape[1]
        delayed = sum("P" in block.weights.tensors for block in blocks)
        return inputs, lengthened(reading, delayed, len(blocks)), layers

    return reading.finish(build)


def _blocks(parts: list[Part]) -> list[Block]:
    """Group parts; Unsupported if one is not known."""
    blocks: list[Block] = []
    for part in parts:
        if "weight" in part.tensors and not is_batch_norm(part):
            blocks.append(Block(part))
            continue
        if not blocks:
            raise Unsupported(part.name, "comes before all weights, where no network has anything")
        block = blocks[-1]
        if is_batch_norm(part):
            neurons = block.recurrent is not None or _number(part) - _number(block.weights) > 1
            slot = "after" if neurons else "before"
        elif "recurrent_weights" in part.tensors:
            slot = "recurrent"
        else:
            slot = "own"
        if getattr(block, slot) is not None:
            raise Unsupported(part.name, f"is a second one of its kind behind {block.weights.name}")
        setattr(block, slot, part)
    return blocks


def _number(part: Part) -> int:
    """Place of a part among all modules; those without tensors count, too."""
    last = part.name.rpartition(".")[2]
    if not last.isdecimal() or len(last) > 6:
        raise Unsupported(part.name, "is not numbered, so nobody knows what comes before it")
    return int(last)


def _layers(reading: Reading, blocks: list[Block]) -> list[Layer]:
    layers: list[Layer] = []
    events: Part | None = None
    for number, block in enumerate(blocks, 1):
        taken, bias = _weights(reading, block.weights, events)
        synapses, bias = normalized(reading, block.before, taken, bias)
        size = len(bias)
        if number == len(blocks):
            kappa = alpha(reading, "tau_readout_ms", block.own)
            said = "its membranes are the scores: the class is the largest sum over time"
            reading.say("output", Verdict.FAITHFUL, said)
            if block.recurrent is not None or block.after is not None:
                raise Unsupported(block.weights.name, "comes last, and something follows it")
            layers.append(Layer(Readout("output", size, np.array(kappa), bias), synapses))
            break
        recurrent: list[Synapses] = []
        if block.recurrent is not None:
            own = delrec(block.recurrent, reading.settings)
            recurrent, bias = own.synapses, _rest(reading, block.recurrent, own, bias)
        neurons = population(reading, f"hidden{number}", size, bias, block.own)
        layers.append(Layer(neurons, synapses, recurrent))
        events = block.after
    return layers


def _rest(reading: Reading, part: Part, own: Taken, bias: Floats) -> Floats:
    """Return `bias` with that of a recurrent part, which is noted."""
    verdict, remark = own.verdict, own.remark
    if "recurrent_bias" in part.tensors:
        bias = bias + part.spread("recurrent_bias", len(bias))
        # Of this field only its name is known.
        verdict, remark = Verdict.APPROXIMATE, f"{remark}; recurrent_bias is added in every step"
    reading.say(part.name, verdict, remark)
    return bias


def _weights(reading: Reading, part: Part, events: Part | None) -> tuple[Taken, Floats]:
    """Return what comes into a layer, and its bias; events : a batch norm of what comes in."""
    if "P" in part.tensors:
        taken = dcls(part, reading.settings.whole("kernel_size"))
    else:
        taken = Taken([Synapses(part.need("weight", 2))], Verdict.FAITHFUL, "weights")
    outs, ins = taken.synapses[0].weights.shape
    bias = part.spread("bias", outs) if "bias" in part.tensors else np.zeros(outs)
    verdict, remark = taken.verdict, taken.remark
    if events is not None:
        scale, shift = batch_norm(events, ins)
        for one in taken.synapses:
            bias = bias + one.weights @ shift
        reading.say(events.name, Verdict.FAITHFUL, f"folded into weights and biases of {part.name}")
        made = [replace(one, weights=one.weights * scale) for one in taken.synapses]
        taken = replace(taken, synapses=made)
        if any(one.delay is not Delay.NONE for one in made):
            verdict = Verdict.APPROXIMATE
            remark += ", a constant that comes through them is not delayed"
    reading.say(part.name, verdict, f"{remark}, shape {(outs, ins)}")
    return taken, bias
