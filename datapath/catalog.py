"""Chips with names."""

from dataclasses import replace

from datapath.chip import (
    Axon,
    Chip,
    Compare,
    Current,
    Leak,
    Learn,
    Lif,
    Order,
    Overflow,
    Readout,
    Rounding,
    Synapse,
)
from datapath.format import Format

TINY = Chip(
    channels=8,
    neurons=16,
    populations=4,
    projections=8,
    synapses=128,
    lanes=2,
    axon=Axon(
        count=Format(3, signed=False),
        channel_steps=8,
        neuron_steps=8,
        delay=Format(3, signed=False),
        delays=16,
    ),
    synapse=Synapse(
        weight=Format(5),
        scale=Format(2, signed=False),
        acc=Format(16),
        slots=8,
        delay=Format(3, signed=False),
        dendritic=8,
        synaptic=True,
    ),
    current=None,
    lif=Lif(
        v=Format(12),
        bias=Format(8),
        leak=Leak.MULTIPLY,
        coefficient=Format(7, 6, signed=False),
        rounding=Rounding.FLOOR,
        compare=Compare.GE,
        overflow=Overflow.SATURATE,
    ),
    readout=Readout(score=Format(20), classes=4),
    learn=None,
)
"""Every feature once, small enough to try every corner."""

TINY_SHIFT = Chip(
    channels=8,
    neurons=16,
    populations=4,
    projections=8,
    synapses=256,
    lanes=1,
    axon=Axon(
        count=Format(3, signed=False),
        channel_steps=16,
        neuron_steps=2,
        delay=Format(4, signed=False),
        delays=8,
    ),
    synapse=Synapse(
        weight=Format(8),
        scale=Format(1, signed=False),
        acc=Format(18),
        slots=1,
        delay=Format(1, signed=False),
        dendritic=0,
        synaptic=False,
    ),
    current=None,
    lif=Lif(
        v=Format(14),
        bias=Format(8),
        leak=Leak.SHIFT,
        coefficient=Format(3, signed=False),
        rounding=Rounding.ZERO,
        compare=Compare.GT,
        overflow=Overflow.SATURATE,
    ),
    readout=Readout(score=Format(20), classes=4),
    learn=None,
)
"""Axonal delays only, shift leak, one lane."""

TINY_LEARN = replace(
    TINY,
    axon=replace(TINY.axon, channel_steps=32, neuron_steps=32),
    synapse=replace(TINY.synapse, acc=Format(22), slots=16),
    learn=Learn(
        steps=32,
        lookup=Format(5, signed=False),
        entries=8,
        coefficient=Format(6, 5, signed=False),
        filtered=Format(12),
        signal=Format(9),
        slope=Format(10),
        tap=Format(4, 4, signed=False),
        taps=3,
        weight_gradient=Format(14),
        delay_gradient=Format(16),
        weight_fraction=Format(4, signed=False),
        delay_fraction=Format(5, signed=False),
        rate=Format(6, signed=False),
        activity=Format(4, signed=False),
    ),
)
"""TINY that learns weights, axonal and synaptic delays."""

SMALL_LEARN = Chip(
    channels=16,
    neurons=16,
    populations=8,
    projections=8,
    synapses=256,
    lanes=1,
    axon=Axon(
        count=Format(1, signed=False),
        channel_steps=32,
        neuron_steps=32,
        delay=Format(4, signed=False),
        delays=32,
    ),
    synapse=Synapse(
        weight=Format(6),
        scale=Format(1, signed=False),
        acc=Format(16),
        slots=16,
        delay=Format(1, signed=False),
        dendritic=0,
        synaptic=False,
    ),
    current=None,
    lif=Lif(
        v=Format(12),
        bias=Format(4),
        leak=Leak.MULTIPLY,
        coefficient=Format(6, 5, signed=False),
        rounding=Rounding.FLOOR,
        compare=Compare.GE,
        overflow=Overflow.SATURATE,
    ),
    readout=Readout(score=Format(16), classes=8),
    learn=Learn(
        steps=32,
        lookup=Format(6, signed=False),
        entries=8,
        coefficient=Format(6, 5, signed=False),
        filtered=Format(14),
        signal=Format(10),
        slope=Format(6),
        tap=Format(4, 4, signed=False),
        taps=6,
        weight_gradient=Format(16),
        delay_gradient=Format(14),
        weight_fraction=Format(4, signed=False),
        delay_fraction=Format(3, signed=False),
        rate=Format(4, signed=False),
        activity=Format(3, signed=False),
    ),
)
"""One lane that learns weights and axonal delays, as little as learns a small problem.

Words are as narrow as 16 neurons and 31 ticks allow, and no memory is wider than the block
memories of an iCE40 want: 16 bits, or a few times that in the tables.
"""

TINY_CURRENT = replace(
    TINY,
    current=Current(
        i=Format(11),
        leak=Leak.MULTIPLY,
        coefficient=Format(7, 6, signed=False),
        rounding=Rounding.ZERO,
        order=Order.LEAK_FIRST,
        overflow=Overflow.WRAP,
    ),
    lif=replace(TINY.lif, overflow=Overflow.SYMMETRIC),
)
"""TINY whose neurons have a synaptic current."""

DIGITS_AXONAL = Chip(
    channels=144,
    neurons=152,
    populations=2,
    projections=3,
    synapses=5024,
    lanes=8,
    axon=Axon(
        count=Format(5, signed=False),
        channel_steps=64,
        neuron_steps=2,
        delay=Format(6, signed=False),
        delays=140,
    ),
    synapse=Synapse(
        weight=Format(8),
        scale=Format(3, signed=False),
        acc=Format(24),
        slots=1,
        delay=Format(1, signed=False),
        dendritic=0,
        synaptic=False,
    ),
    current=None,
    lif=Lif(
        v=Format(16),
        bias=Format(16),
        leak=Leak.MULTIPLY,
        coefficient=Format(9, 8, signed=False),
        rounding=Rounding.NEAREST,
        compare=Compare.GE,
        overflow=Overflow.SATURATE,
    ),
    readout=Readout(score=Format(28), classes=20),
    learn=None,
)
"""140 channels, 128 recurrent neurons, 20 readouts; axonal delays up to 63 ticks on the input."""

DIGITS_SYNAPTIC = Chip(
    channels=144,
    neurons=152,
    populations=2,
    projections=3,
    synapses=5024,
    lanes=8,
    axon=Axon(
        count=Format(5, signed=False),
        channel_steps=2,
        neuron_steps=2,
        delay=Format(1, signed=False),
        delays=0,
    ),
    synapse=Synapse(
        weight=Format(8),
        scale=Format(3, signed=False),
        acc=Format(24),
        slots=64,
        delay=Format(6, signed=False),
        dendritic=0,
        synaptic=True,
    ),
    current=None,
    lif=Lif(
        v=Format(16),
        bias=Format(16),
        leak=Leak.MULTIPLY,
        coefficient=Format(9, 8, signed=False),
        rounding=Rounding.NEAREST,
        compare=Compare.GE,
        overflow=Overflow.SATURATE,
    ),
    readout=Readout(score=Format(28), classes=20),
    learn=None,
)
"""The same network with a delay of up to 63 ticks on every synapse."""

DIGITS_LEARN = replace(
    DIGITS_AXONAL,
    channels=140,
    neurons=148,
    synapses=10240,
    lanes=2,
    axon=replace(DIGITS_AXONAL.axon, channel_steps=128, neuron_steps=128),
    synapse=replace(DIGITS_AXONAL.synapse, slots=32),
    learn=Learn(
        steps=128,
        lookup=Format(6, signed=False),
        entries=16,
        coefficient=Format(9, 8, signed=False),
        filtered=Format(18),
        signal=Format(12),
        slope=Format(12),
        tap=Format(8, 8, signed=False),
        taps=12,
        weight_gradient=Format(18),
        delay_gradient=Format(24),
        weight_fraction=Format(6, signed=False),
        delay_fraction=Format(6, signed=False),
        rate=Format(8, signed=False),
        activity=Format(8, signed=False),
    ),
)
"""140 channels with axonal delays, 128 neurons, 20 readouts: weights and delays learn."""

_LOIHI_CURRENT = Current(
    i=Format(24),
    leak=Leak.MULTIPLY,
    coefficient=Format(13, 12, signed=False),
    rounding=Rounding.ZERO,
    order=Order.LEAK_FIRST,
    overflow=Overflow.WRAP,
)

_PROFILE = replace(
    DIGITS_SYNAPTIC,
    populations=8,
    projections=16,
    axon=replace(DIGITS_AXONAL.axon, neuron_steps=64, delays=512),
)
"""What the profiles of other chips can hold: several layers, axonal and synaptic delays."""

LOIHI = replace(
    _PROFILE,
    synapse=replace(
        _PROFILE.synapse, weight=Format(9), scale=Format(4, signed=False), acc=Format(32)
    ),
    current=_LOIHI_CURRENT,
    lif=Lif(
        v=Format(24),
        bias=Format(20),
        leak=Leak.MULTIPLY,
        coefficient=Format(13, 12, signed=False),
        rounding=Rounding.ZERO,
        compare=Compare.GT,
        overflow=Overflow.SYMMETRIC,
    ),
    readout=Readout(score=Format(36), classes=20),
)
"""Neurons of Loihi as Lava's bit-accurate LIF has them (`lava.proc.lif`, BSD-3).

    u = sign(u) * (abs(u) * (4096 - (du + 1)) >> 12) + (a << 6), 24 bits that wrap
    v = sign(v) * (abs(v) * (4096 - dv) >> 12) + u + bias, at most 2**23 - 1 in size
    fires if v > vth << 6, and is then 0

current_coefficient = 4095 - du, coefficient = 4096 - dv, threshold = vth << 6, reset zero; scale
of a projection = 6 + weight_exp.  `ranvier quantize --chip loihi --scale integer` keeps all of this
for a network that `ranvier import` has made of a file of lava-dl.  Lava delivers a step later than
it is told: give every delay one step more.  A current of just 2**23, which Lava lets stand, is
-2**23 here, and Lava takes off 2**24 only once.
"""

SLAYER = replace(
    LOIHI,
    current=replace(_LOIHI_CURRENT, overflow=Overflow.SATURATE),
    lif=replace(LOIHI.lif, compare=Compare.GE, overflow=Overflow.SATURATE),
)
"""Neurons of lava-dl (`lava.lib.dl.slayer.neuron.cuba`, BSD-3) in its integers.

    u = sign(u) * (abs(u) * (4096 - decay_u) >> 12) + (a << 6)
    v = sign(v) * (abs(v) * (4096 - decay_v) >> 12) + u
    fires if v >= vth << 6, and is then 0

current_coefficient = 4096 - decay_u, coefficient = 4096 - decay_v, threshold = vth << 6, reset
zero.  States are not bounded there: ticks that are not flagged as saturated are the same.
"""

XYLO = replace(
    _PROFILE,
    axon=replace(_PROFILE.axon, count=Format(4, signed=False)),
    current=Current(
        i=Format(16),
        leak=Leak.SETTLE,
        coefficient=Format(4, signed=False),
        rounding=Rounding.FLOOR,
        order=Order.SUM_FIRST,
        overflow=Overflow.SATURATE,
    ),
    lif=Lif(
        v=Format(16),
        bias=Format(16),
        leak=Leak.SETTLE,
        coefficient=Format(4, signed=False),
        rounding=Rounding.FLOOR,
        compare=Compare.GE,
        overflow=Overflow.SATURATE,
    ),
)
"""Neurons of Xylo as XyloSim has them (`xylosim` 0.1.3), one synapse each.

    decay(x, d) = x >> d, or sign(x) if that is 0
    i = i + a;  i = i - decay(i, dash_syn)
    v = v - decay(v, dash_mem) + i + bias, 16 bits that saturate
    fires if v >= threshold, which is taken off

coefficient = dash_mem, current_coefficient = dash_syn, both at least 1, reset subtract.  There
every event saturates the current, every term the membrane, and a neuron fires up to 31 times in a
step; here sums are exact and it fires once: the same as long as nothing saturates and v stays below
two thresholds.  A dash of 0, which forgets everything, is no leak here.
"""

CHIPS = {
    "tiny": TINY,
    "tiny-shift": TINY_SHIFT,
    "tiny-learn": TINY_LEARN,
    "small-learn": SMALL_LEARN,
    "tiny-current": TINY_CURRENT,
    "digits-axonal": DIGITS_AXONAL,
    "digits-synaptic": DIGITS_SYNAPTIC,
    "digits-learn": DIGITS_LEARN,
    "loihi": LOIHI,
    "slayer": SLAYER,
    "xylo": XYLO,
}
"""The names the command line knows."""
