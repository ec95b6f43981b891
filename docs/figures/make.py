"""Draw the figures of docs/datapath.md: `python docs/figures/make.py` writes *.svg beside it."""

from __future__ import annotations

from pathlib import Path

import learning
from drawing import MEMORY, PORT, SOFT, Figure, legend


def axon() -> Figure:
    """History of spikes, written at t and read at t - a."""
    f = Figure(1020, 480, "axon: the history of spikes")
    f.stage((440, 30), (240, 300), "histories, one slot per tick")
    f.box((20, 80), (130, 56), "EVENT", "channel, count", fill=PORT)
    f.circle((250, 108), "+")
    f.box((300, 84), (110, 48), "saturate", "axon.count")
    f.box((470, 76), (180, 84), "channel history", "channel_steps slots", fill=MEMORY)
    f.wire((150, 108), (235, 108))
    f.width((190, 96), "axon.count")
    f.wire((265, 108), (300, 108))
    f.wire((410, 108), (470, 108))
    f.wire((470, 140), (450, 140), (450, 170), (250, 170), (250, 123))
    f.note((266, 182), "slot t of the channel")
    f.wire((710, 92), (650, 92))
    f.note((716, 84), "wipe slot t + 1,")
    f.note((716, 100), "after the tick")
    f.box((20, 222), (130, 56), "lif", "fired", fill=PORT)
    f.box((470, 206), (180, 84), "neuron history", "neuron_steps slots", fill=MEMORY)
    f.wire((150, 250), (470, 250))
    f.width((310, 238), "1 bit per neuron, slot t")
    f.mux((750, 140), 110)
    f.wire((650, 140), (710, 140), (710, 168), (750, 168))
    f.wire((650, 250), (710, 250), (710, 222), (750, 222))
    f.wire((763, 305), (763, 244))
    f.note((772, 300), "projection table: neuron")
    f.wire((776, 195), (860, 195))
    f.width((818, 183), "axon.count")
    f.box((860, 164), (140, 62), "synapse", "c > 0: deliver", fill=PORT)
    f.box((20, 382), (160, 62), "source i", "rising, one per clock")
    f.box((240, 382), (150, 62), "axonal delays", "word delays + i", fill=MEMORY)
    f.wire((180, 413), (240, 413))
    f.box((460, 382), (210, 62), "slot (t - a) mod D", "a = age + (k << resolution)")
    f.wire((390, 413), (460, 413))
    f.width((425, 401), "axon.delay")
    f.wire((560, 382), (560, 330))
    f.note((570, 356), "read address")
    f.note((690, 404), "k = 0 for a projection without axonal delays")
    f.note((690, 422), "D = depth of the history, a power of two")
    legend(f, (20, 464))
    return f


def synapse() -> Figure:
    """Weighted delivery into the ring of accumulators."""
    f = Figure(1040, 500, "synapse: delivery into the accumulator ring")
    for x, w, name in (
        (180, 190, "read weights and delays"),
        (370, 220, "multiply, shift"),
        (590, 100, "add"),
        (690, 200, "sums, one bank per lane"),
    ):
        f.stage((x, 20), (w, 380), name)
    f.box((20, 70), (130, 66), "axon", "source i, count c", fill=PORT)
    f.box((200, 66), (150, 74), "weights", "lanes per word", fill=MEMORY)
    f.wire((150, 90), (200, 90))
    f.note((158, 80), "i")
    f.wire((150, 118), (170, 118), (170, 168), (430, 168), (430, 118))
    f.width((300, 158), "c: axon.count")
    f.circle((430, 103), "*")
    f.wire((350, 103), (415, 103))
    f.width((382, 91), "weight")
    f.wire((445, 103), (490, 103))
    f.box((490, 80), (80, 46), "<<", "scale")
    f.wire((570, 103), (625, 103))
    f.circle((640, 103), "+")
    f.wire((655, 103), (710, 103))
    f.width((682, 91), "acc")
    f.box((710, 66), (160, 110), "A[slot][neuron]", "slots words", "per neuron", fill=MEMORY)
    f.wire((710, 150), (640, 150), (640, 118))
    f.note((650, 140), "read")
    f.box((200, 206), (150, 56), "synaptic delays", "beside weights", fill=MEMORY)
    f.box((200, 276), (150, 56), "dendritic delays", "per target", fill=MEMORY)
    f.note((300, 356), "0, other modes", anchor="end")
    f.mux((400, 226), 134)
    f.wire((350, 234), (376, 234), (376, 256), (400, 256))
    f.wire((350, 304), (376, 304), (376, 293), (400, 293))
    f.wire((306, 356), (376, 356), (376, 330), (400, 330))
    f.wire((413, 386), (413, 354))
    f.note((422, 384), "delay mode")
    f.wire((426, 293), (470, 293))
    f.width((448, 281), "delay")
    f.box((470, 268), (110, 50), "<<", "resolution")
    f.wire((580, 293), (625, 293))
    f.circle((640, 293), "+")
    f.wire((640, 366), (640, 308))
    f.text((640, 378), "t")
    f.wire((655, 293), (790, 293), (790, 176))
    f.note((700, 281), "slot")
    f.note((700, 310), "mod slots")
    f.box((920, 88), (100, 66), "lif", "i, then 0", fill=PORT)
    f.wire((870, 121), (920, 121))
    f.width((895, 109), "acc")
    f.note((900, 172), "collect:")
    f.note((900, 190), "slot t mod slots")
    f.note((20, 426), "Everything from the weights to the accumulators is there once per lane.")
    f.note(
        (20, 446),
        "A row of B words takes max(B, ROW) clocks: a sum is read again only after it was written.",
    )
    legend(f, (20, 480))
    return f


def current() -> Figure:
    """Leak, sum and bound of a synaptic current, in either order."""
    f = Figure(960, 370, "current: the synaptic current")
    for x, w, name in ((20, 160, "read"), (180, 450, "leak and add"), (630, 160, "bound")):
        f.stage((x, 20), (w, 270), name)
    f.box((50, 70), (120, 56), "current_leaks", "lanes per word", fill=MEMORY)
    f.box((50, 176), (120, 56), "currents", "lanes per word", fill=MEMORY)
    f.wire((170, 98), (390, 98), (390, 170))
    f.width((280, 86), "current.coefficient")
    f.wire((170, 204), (235, 204))
    f.width((202, 192), "current.i")
    f.circle((250, 204), "+")
    f.note((250, 180), "SUM_FIRST", anchor="middle")
    f.wire((265, 204), (310, 204))
    f.box((310, 170), (160, 68), "leak", "as that of lif")
    f.wire((470, 204), (535, 204))
    f.circle((550, 204), "+")
    f.note((550, 180), "LEAK_FIRST", anchor="middle")
    f.box((50, 306), (140, 36), "synapse: a", fill=PORT)
    f.wire((190, 324), (250, 324), (250, 219))
    f.dot((250, 324))
    f.wire((250, 324), (550, 324), (550, 219))
    f.width((400, 312), "synapse.acc: into one of the two")
    f.wire((565, 204), (650, 204))
    f.box((650, 170), (130, 68), "bound", "current.i")
    f.wire((780, 204), (840, 204))
    f.box((840, 182), (96, 44), "lif: i", fill=PORT)
    f.dot((810, 204))
    f.wire((810, 204), (810, 46), (34, 46), (34, 204), (50, 204))
    f.wire((715, 238), (715, 280), (840, 280))
    f.note((725, 268), "saturated")
    f.box((840, 262), (96, 36), "END: flag", fill=PORT)
    legend(f, (600, 354))
    return f


def lif() -> Figure:
    """Leak, sum, saturate, compare, reset."""
    f = Figure(1160, 500, "lif: the membrane update")
    for x, w, name in (
        (20, 160, "read"),
        (180, 240, "leak"),
        (420, 270, "sum, saturate"),
        (690, 140, "compare"),
        (830, 190, "reset"),
    ):
        f.stage((x, 20), (w, 360), name)
    f.box((50, 70), (120, 70), "neurons", "lanes per word", fill=MEMORY)
    f.box((50, 206), (120, 70), "membranes", "lanes per word", fill=MEMORY)
    f.wire((170, 86), (900, 86), (900, 140))
    f.width((250, 76), "threshold: lif.v")
    f.dot((765, 86))
    f.wire((765, 86), (765, 214))
    f.wire((170, 106), (530, 106), (530, 226))
    f.width((480, 96), "bias: lif.bias")
    f.wire((170, 126), (300, 126), (300, 196))
    f.width((238, 138), "lif.coefficient")
    f.wire((170, 241), (210, 241))
    f.width((190, 229), "lif.v")
    f.box((210, 196), (190, 90), "leak", "v - (v >> coefficient)", "or v * coefficient >> frac")
    f.note((305, 302), "rounding: floor, zero, nearest", anchor="middle")
    f.wire((400, 241), (455, 241))
    f.circle((470, 241), "+")
    f.wire((485, 241), (515, 241))
    f.circle((530, 241), "+")
    f.wire((545, 241), (580, 241))
    f.box((580, 214), (90, 54), "saturate", "lif.v")
    f.wire((470, 420), (470, 256))
    f.box((400, 420), (140, 36), "synapse: i", fill=PORT)
    f.width((478, 400), "synapse.acc", anchor="start")
    f.wire((670, 241), (720, 241))
    f.text((683, 228), "u", size=13, ink=SOFT)
    f.dot((700, 241))
    f.box((720, 214), (90, 54), "fires", ">= or >")
    f.note((765, 284), "never, if a readout", anchor="middle")
    f.wire((700, 241), (700, 180), (840, 180))
    f.box((840, 140), (170, 62), "reset", "u - threshold, or 0")
    f.wire((810, 241), (930, 241), (930, 202))
    f.note((840, 229), "fired")
    f.dot((930, 241))
    f.wire((930, 241), (1050, 241))
    f.box((1050, 222), (96, 38), "axon", fill=PORT)
    f.wire((625, 268), (625, 345), (1050, 345))
    f.note((635, 334), "saturated")
    f.box((1050, 326), (96, 38), "END: flag", fill=PORT)
    f.wire((1010, 171), (1050, 171))
    f.box((1050, 152), (96, 38), "readout", fill=PORT)
    f.dot((1034, 171))
    f.wire((1034, 171), (1034, 52), (34, 52), (34, 241), (50, 241))
    f.width((1100, 140), "v: lif.v")
    legend(f, (20, 484))
    return f


def readout() -> Figure:
    """Sum of every readout membrane, and the leader."""
    f = Figure(960, 330, "readout: scores and the winner")
    for x, w, name in (
        (150, 160, "add"),
        (310, 170, "saturate, write"),
        (480, 280, "lead"),
    ):
        f.stage((x, 20), (w, 240), name)
    f.box((20, 74), (110, 56), "lif", "membrane k", fill=PORT)
    f.wire((130, 102), (215, 102))
    f.width((172, 90), "lif.v")
    f.circle((230, 102), "+")
    f.wire((245, 102), (330, 102))
    f.box((330, 76), (130, 52), "saturate", "readout.score")
    f.wire((395, 128), (395, 186))
    f.box((330, 186), (130, 56), "scores", "classes words", fill=MEMORY)
    f.wire((330, 214), (230, 214), (230, 117))
    f.note((240, 204), "score k")
    f.wire((460, 102), (520, 102))
    f.width((490, 90), "score")
    f.box((520, 70), (210, 64), "larger than the leader?", "k rises: a tie changes nothing")
    f.wire((570, 134), (570, 186))
    f.note((580, 160), "yes: take k and score k")
    f.box((520, 186), (210, 56), "leader", "index, score")
    f.wire((730, 214), (800, 214))
    f.box((800, 186), (140, 56), "END", "winner, its score", fill=PORT)
    f.note((20, 282), "Every readout, in every tick, after the update of the readout population.")
    legend(f, (20, 310))
    return f


def chip() -> Figure:
    """Blocks, memories and ports of the whole chip."""
    f = Figure(1180, 660, "chip: blocks, memories, ports")
    f.box(
        (20, 20),
        (1140, 40),
        "host bus: loads memories and tables while the chip is idle",
        fill=PORT,
    )
    for x, w, name, inside in (
        (160, 210, "axon", ("axonal delays", "channel history", "neuron history")),
        (
            420,
            220,
            "synapse",
            ("weights", "synaptic delays", "dendritic delays", "accumulators"),
        ),
        (690, 210, "lif", ("neurons", "membranes")),
        (950, 210, "readout", ("scores",)),
    ):
        f.box((x, 120), (w, 290), "")
        f.text((x + w / 2, 140), name, size=16, weight="bold")
        for n, memory in enumerate(inside):
            f.box((x + 20, 162 + 60 * n), (w - 40, 46), memory, fill=MEMORY)
    f.box((710, 290), (170, 56), "membrane update", "leak, sum, fire, reset")
    f.box((970, 290), (170, 56), "leader", "largest score")
    for x in (265, 530, 795):
        f.wire((x, 60), (x, 120))
    f.wire((860, 120), (860, 92), (200, 92), (200, 120))
    f.note((660, 82), "spikes of the tick", anchor="middle")
    f.box((20, 190), (100, 60), "stream i", "commands", fill=PORT)
    f.wire((120, 220), (160, 220))
    f.note((70, 180), "EVENT", anchor="middle")
    f.wire((70, 250), (70, 530))
    f.note((64, 440), "TICK,", anchor="end")
    f.note((64, 456), "CLEAR", anchor="end")
    f.wire((140, 60), (140, 530))
    for x, y, name in ((395, 250, "counts"), (665, 250, "sums"), (925, 250, "v")):
        f.wire((x - 25, y), (x + 25, y))
        f.note((x, y - 12), name, anchor="middle")
    f.box((700, 450), (90, 46), "probe", fill=PORT)
    f.wire((745, 410), (745, 450))
    f.box((940, 450), (110, 46), "emit", "one per clock")
    f.wire((880, 410), (880, 473), (940, 473))
    f.wire((995, 410), (995, 450))
    f.box((1080, 444), (80, 58), "stream o", "results", fill=PORT)
    f.wire((1050, 473), (1080, 473))
    f.box((20, 530), (1140, 80), "")
    f.text((160, 562), "sequencer", size=16, weight="bold")
    f.note((160, 584), "CLEAR, EVENT, TICK", anchor="middle")
    for n, memory in enumerate(("registers", "populations", "projections")):
        f.box((300 + 150 * n, 546), (130, 48), memory, fill=MEMORY)
    f.note((960, 560), "for every population, in order:", anchor="middle")
    f.note((960, 580), "deliver, update, emit; then wipe, END", anchor="middle")
    for x in (265, 530, 830):
        f.wire((x, 530), (x, 410))
    f.wire((995, 530), (995, 496))
    legend(f, (20, 640), formats=False)
    return f


FIGURES = (axon, synapse, current, lif, readout, chip, *learning.FIGURES)


def main() -> None:
    """Write every figure."""
    for draw in FIGURES:
        target = Path(__file__).parent / f"{draw.__name__}.svg"
        target.write_text(str(draw()), encoding="utf-8")


if __name__ == "__main__":
    main()
