"""Smoothed derivative of the learning signals in time."""

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from datapath import Chip, Rounding
from datapath.memory import memories
from rtl.fixed import fits, saturate, shape, shift_round
from rtl.memory import LoadPort, after, index, learn_of, loaded


def ring_word(chip: Chip) -> data.StructLayout:
    """Return what a word of the accumulators holds while a recording is learned from."""
    p = learn_of(chip)
    return data.StructLayout({"signal": shape(p.signal), "slope": shape(p.slope)})


def signal_and_slope(chip: Chip, words) -> list[data.View]:
    """View the words of the accumulators of all lanes as signals and slopes."""
    layout = ring_word(chip)
    return [layout(one.as_unsigned()[: layout.size]) for one in words]


class SlopeStage(wiring.Component):
    """Derive the signals of blocks of neurons, a tick of `lanes` neurons per clock.

    Holds the loaded memory `taps`. An array has one element per lane, lane 0 least significant.

    Members
    -------
    valid : In(1)
        A word of the ring is asked for, for the same block as before until its middle.
    tap, behind : In(index of a tap), In(1)
        It counts by this tap, negative if it is `behind` the middle.
    outside : In(1)
        It counts nothing: its tick is before the first one.
    middle, block : In(1), In(index of a block)
        It is the last word of its block, that of the tick to derive at.
    words : In(array of synapse.acc)
        The word that was asked for in clock n, in clock n + 2.
    o_valid, o_block, o_words : Out(1), Out(index of a block), Out(array of synapse.acc)
        In clock n + LATENCY of a `middle` in clock n: its signals, and the slopes.
    o_live, o_saturated : Out(1), Out(1)
        In that clock: a signal or a slope of the block is not 0; a slope was out of range.
    taps : In(LoadPort)
    """

    LATENCY = 7

    def __init__(self, chip: Chip) -> None:
        self.chip = chip
        self.p = learn_of(chip)
        self.spec = next(spec for spec in memories(chip) if spec.name == "taps")
        words = data.ArrayLayout(shape(chip.synapse.acc), chip.lanes)
        super().__init__(
            {
                "valid": In(1),
                "tap": In(index(self.p.taps)),
                "behind": In(1),
                "outside": In(1),
                "middle": In(1),
                "block": In(index(chip.neuron_blocks)),
                "words": In(words),
                "o_valid": Out(1),
                "o_block": Out(index(chip.neuron_blocks)),
                "o_words": Out(words),
                "o_live": Out(1),
                "o_saturated": Out(1),
                "taps": In(LoadPort(self.spec)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        # A number behind a name counts the clocks from the one that asks for a word.
        names = ("valid", "behind", "outside", "middle")
        given = Signal(data.StructLayout({"block": self.block.shape(), **dict.fromkeys(names, 1)}))
        for name in given.shape().members:
            m.d.comb += given[name].eq(getattr(self, name))
        of_2 = after(m, given, "given", 2)
        of_3 = after(m, of_2, "masked")
        of_4 = after(m, of_3, "weighted")
        of_7 = after(m, of_4, "summed", 3)
        tap_3 = after(m, loaded(m, self.spec, self.taps, self.tap, self.valid)[0].tap, "tap", 2)
        live, beyond = [], []
        for lane, word_2 in enumerate(signal_and_slope(self.chip, self.words)):
            signal_3 = after(m, Mux(of_2.outside, 0, word_2.signal), f"signal_{lane}")
            slope_7, wide_7 = self._derive(m, lane, signal_3, tap_3, of_4)
            signal_7 = after(m, signal_3, f"middle_{lane}", 4)
            m.d.comb += self.o_words[lane].eq(Cat(signal_7, slope_7))
            live.append(signal_7.any() | slope_7.any())
            beyond.append(wide_7)
        m.d.comb += [
            self.o_valid.eq(of_7.valid & of_7.middle),
            self.o_block.eq(of_7.block),
            self.o_live.eq(self.o_valid & Cat(live).any()),
            self.o_saturated.eq(self.o_valid & Cat(beyond).any()),
        ]
        return m

    def _derive(self, m: Module, lane: int, signal_3, tap_3, of_4):
        """Return the slope of one lane in clock 7, and whether it was out of range."""
        p = self.p
        product_4 = after(m, signal_3 * tap_3, f"product_{lane}")
        # At most `taps` products of either sign.
        width = len(product_4) + (2 * p.taps).bit_length()
        total = Signal(signed(width), name=f"total_{lane}")
        total_5 = Signal(signed(width), name=f"whole_{lane}")
        with m.If(of_4.valid & of_4.middle):
            m.d.sync += total.eq(0)
            m.d.sync += total_5.eq(total)
        with m.Elif(of_4.valid):
            m.d.sync += total.eq(Mux(of_4.behind, total - product_4, total + product_4))
        rounded_6 = after(m, shift_round(total_5, p.tap.frac, Rounding.NEAREST), f"rounded_{lane}")
        slope_7 = after(m, saturate(rounded_6, p.slope), f"slope_{lane}")
        return slope_7, after(m, ~fits(rounded_6, p.slope), f"wide_{lane}")
