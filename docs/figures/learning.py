"""Figures of the blocks that learn; `make.py` beside this file writes them."""

from __future__ import annotations

from drawing import MEMORY, PORT, Figure, legend


def surrogate() -> Figure:
    """Look two distances up, and remember what was found."""
    f = Figure(1020, 370, "surrogate: what is remembered of every tick")
    f.stage((170, 20), (200, 270), "distance")
    f.stage((370, 20), (190, 270), "look-up, one table per lane")
    f.stage((560, 20), (220, 270), "share")
    f.box((20, 60), (120, 56), "lif", "u, threshold", fill=PORT)
    f.box((190, 60), (160, 56), "|u - threshold|", ">> surrogate_shift")
    f.wire((140, 88), (190, 88))
    f.box((390, 60), (150, 56), "surrogate", "entries words", fill=MEMORY)
    f.wire((350, 88), (390, 88))
    f.box((20, 190), (120, 56), "lif", "readouts y", fill=PORT)
    f.box((190, 190), (160, 56), "y_max - y", ">> error_shift")
    f.wire((140, 218), (190, 218))
    f.box((390, 190), (150, 56), "levels", "entries words", fill=MEMORY)
    f.wire((350, 218), (390, 218))
    f.box((590, 190), (170, 56), ">> s", "2**s next to sum of e")
    f.wire((540, 218), (590, 218))
    f.width((565, 206), "e")
    f.box((820, 110), (180, 60), "lookup_history", "L[t][neuron]", fill=MEMORY)
    f.wire((540, 88), (910, 88), (910, 110))
    f.wire((760, 206), (910, 206), (910, 170))
    f.box((820, 230), (180, 50), "level_sums", "Z[t] = sum of L", fill=MEMORY)
    f.wire((760, 230), (790, 230), (790, 255), (820, 255))
    f.note(
        (20, 312),
        "An index beyond the table is that of its last entry. The host loads both tables.",
    )
    legend(f, (20, 346), formats=False)
    return f


def signal() -> Figure:
    """Feed the error back, and filter it backwards in time."""
    f = Figure(1080, 430, "signal: the learning signal, backwards in time")
    f.stage((180, 20), (300, 320), "drive")
    f.stage((480, 20), (330, 320), "filter, t from T - 1 down to 0")
    f.box((20, 60), (140, 56), "readout", "L[t], Z[t], label", fill=PORT)
    f.box((200, 60), (260, 56), "L[t][k] - Z[t] [k = label]", "errors add up to 0")
    f.wire((160, 88), (200, 88))
    f.box((20, 160), (140, 56), "feedback row j", "in weights", fill=MEMORY)
    f.circle((230, 188), "*")
    f.wire((160, 188), (215, 188))
    f.note((196, 158), "G of the readout")
    f.wire((230, 160), (230, 173))
    f.box((270, 162), (70, 52), "sum", "lanes")
    f.wire((245, 188), (270, 188))
    f.circle((400, 188), "*")
    f.wire((340, 188), (385, 188))
    f.width((362, 176), "M")
    f.box((20, 270), (140, 56), "LIF", "L[t][j]", fill=PORT)
    f.wire((160, 298), (400, 298), (400, 203))
    f.note((210, 288), "0: nothing is read")
    f.circle((560, 188), "+")
    f.wire((415, 188), (545, 188))
    f.width((500, 176), ">> drive_shift")
    f.wire((460, 88), (560, 88), (560, 173))
    f.box((600, 162), (100, 52), "saturate", "filtered")
    f.wire((575, 188), (600, 188))
    f.box((600, 262), (100, 56), "F", "per neuron", fill=MEMORY)
    f.wire((650, 214), (650, 262))
    f.wire((600, 290), (560, 290), (560, 203))
    f.note((486, 322), "F coefficient")
    f.box((820, 162), (140, 52), ">> signal_shift", "saturate: signal")
    f.wire((700, 188), (820, 188))
    f.box((980, 162), (90, 52), "ring", "G[t]", fill=MEMORY)
    f.wire((960, 188), (980, 188))
    f.note((830, 262), "The ring is that of the accumulators,")
    f.note((830, 280), "empty between two recordings.")
    f.note(
        (20, 370), "One word F per neuron stands for a trace per source and a filter per synapse."
    )
    legend(f, (20, 406), formats=False)
    return f


def slope() -> Figure:
    """Differentiate in time, smoothly."""
    f = Figure(960, 260, "slope: the derivative of the signal in time")
    f.stage((180, 20), (330, 160), "2 K + 1 ticks, one per clock")
    f.box((10, 70), (160, 60), "ring", "G[tau - K .. tau + K]", fill=MEMORY)
    f.box((210, 70), (110, 60), "+c or -c", "later or earlier")
    f.wire((170, 100), (210, 100))
    f.box((210, 150), (110, 40), "taps", fill=MEMORY)
    f.wire((265, 150), (265, 130))
    f.circle((380, 100), "*")
    f.wire((320, 100), (365, 100))
    f.circle((450, 100), "+")
    f.wire((395, 100), (435, 100))
    f.wire((465, 100), (490, 100), (490, 60), (450, 60), (450, 85))
    f.box((560, 70), (150, 60), ">> tap.frac", "saturate: slope")
    f.wire((490, 100), (560, 100))
    f.box((800, 70), (140, 60), "ring", "D[tau], beside G", fill=MEMORY)
    f.wire((710, 100), (800, 100))
    f.width((755, 88), "slope")
    f.note((20, 212), "Hat, Gaussian or central difference: the contents of taps.")
    legend(f, (20, 240), formats=False)
    return f


def credit() -> Figure:
    """Add to rows of gradients, as events reach them."""
    f = Figure(1080, 420, "credit: gradients, where an event arrived")
    f.stage((180, 20), (260, 310), "read, as for a delivery")
    f.stage((440, 20), (300, 310), "multiply, add")
    f.box((20, 120), (130, 66), "axon", "source i, count c", fill=PORT)
    f.box((210, 60), (200, 60), "ring", "G, D at tau + delay", fill=MEMORY)
    f.box((210, 240), (200, 60), "weights", "row i", fill=MEMORY)
    f.wire((150, 153), (300, 153), (300, 120))
    f.dot((300, 153))
    f.wire((300, 153), (300, 240))
    f.circle((500, 76), "*")
    f.wire((410, 76), (485, 76))
    f.width((448, 64), "G")
    f.circle((500, 153), "*")
    f.wire((410, 106), (440, 106), (440, 153), (485, 153))
    f.width((462, 141), "D")
    f.note((518, 110), "times c")
    f.box((560, 52), (150, 48), "saturate", "weight_gradient")
    f.wire((515, 76), (560, 76))
    f.box((560, 129), (150, 48), "saturate", "delay_gradient")
    f.wire((515, 153), (560, 153))
    f.box((800, 46), (200, 60), "weight_gradients", "gw, beside the weight", fill=MEMORY)
    f.wire((710, 76), (800, 76))
    f.box((800, 123), (200, 60), "synaptic_gradients", "gd, synaptic delays", fill=MEMORY)
    f.wire((710, 153), (800, 153))
    f.circle((500, 270), "*")
    f.wire((410, 270), (485, 270))
    f.wire((440, 153), (440, 225), (500, 225), (500, 255))
    f.dot((440, 153))
    f.box((550, 244), (170, 52), "sum of the row", ">> delay_scale, times c")
    f.wire((515, 270), (550, 270))
    f.box((800, 240), (200, 60), "axonal_gradients", "gd, axonal delays", fill=MEMORY)
    f.wire((720, 270), (800, 270))
    f.note(
        (20, 362),
        "A synapse is reached at most once per tau: no order of rows or lanes changes a bit.",
    )
    legend(f, (20, 394), formats=False)
    return f


def update() -> Figure:
    """Turn gradients into master words."""
    f = Figure(1080, 400, "update: gradients become steps")
    f.stage((190, 20), (170, 290), "limit")
    f.stage((360, 20), (270, 290), "step")
    f.stage((630, 20), (210, 290), "master word")
    f.box((20, 70), (140, 60), "gradients", "gw or gd", fill=MEMORY)
    f.box((210, 70), (130, 60), "clamp", "+-(2**limit - 1)")
    f.wire((160, 100), (210, 100))
    f.circle((400, 100), "*")
    f.wire((340, 100), (385, 100))
    f.note((376, 68), "rate")
    f.wire((400, 76), (400, 85))
    f.circle((480, 100), "+")
    f.wire((415, 100), (465, 100))
    f.box((420, 180), (120, 56), "generator", "32 bits per lane")
    f.wire((480, 180), (480, 115))
    f.note((490, 152), "r mod 2**shift")
    f.box((530, 76), (80, 48), ">>", "shift")
    f.wire((495, 100), (530, 100))
    f.circle((670, 100), "-")
    f.wire((610, 100), (655, 100))
    f.box((710, 76), (110, 48), "clamp", "range of words")
    f.wire((685, 100), (710, 100))
    f.box((880, 46), (180, 50), "word in use", "weights or delays", fill=MEMORY)
    f.box((880, 106), (180, 50), "fraction", "bits below it", fill=MEMORY)
    f.wire((820, 92), (850, 92), (850, 71), (880, 71))
    f.wire((820, 108), (850, 108), (850, 131), (880, 131))
    f.wire((970, 156), (970, 270), (670, 270), (670, 115))
    f.note((690, 260), "the master word before")
    f.box((210, 180), (130, 60), "keep", "(2**n - 1) / 2**n")
    f.wire((180, 100), (180, 210), (210, 210))
    f.dot((180, 100))
    f.wire((210, 228), (90, 228), (90, 130))
    f.note(
        (20, 340),
        "One word per clock; a delay word changes nowhere else, and so never between two ticks.",
    )
    legend(f, (20, 372), formats=False)
    return f


FIGURES = (surrogate, signal, slope, credit, update)
