"""Scores of the classes and the winner."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from datapath import Chip
from datapath.memory import memories
from rtl.fixed import fits, saturate, shape
from rtl.memory import below, build, index


class ReadoutStage(wiring.Component):
    """Add membranes to scores and find the largest, one readout per clock.

    Holds the memory `scores`. What `valid` gives in clock n is in `winner` and `best` from clock
    n + LATENCY on.

    Members
    -------
    valid : In(1)
        Add `v` to the score of readout `index`, which must not have been given in the three clocks
        before.
    first : In(1)
        It is the first readout of a tick: `winner` and `best` start with it.
    index : In(index of a class)
    v : In(lif.v)
    winner : Out(index of a class)
        The first of the largest scores since `first`.
    best : Out(readout.score)
        Its score.
    saturated : Out(1)
        In clock n + LATENCY: the sum of clock n did not fit the score.
    clear, clear_at : In(1), In(index of a class)
        Empty score `clear_at`; `winner` and `best` become 0.
    largest : Out(lif.v)
        On a chip that learns, in the clock after a `valid`: the largest membrane since `first`.
    """

    LATENCY = 4

    def __init__(self, chip: Chip) -> None:
        self.p = chip.readout
        self.learns = chip.learn is not None
        self.spec = next(spec for spec in memories(chip) if spec.name == "scores")
        super().__init__(
            {
                "valid": In(1),
                "first": In(1),
                "index": In(index(self.p.classes)),
                "v": In(shape(chip.lif.v)),
                "winner": Out(index(self.p.classes)),
                "best": Out(shape(self.p.score)),
                "saturated": Out(1),
                "clear": In(1),
                "clear_at": In(index(self.p.classes)),
                **({"largest": Out(shape(chip.lif.v))} if self.learns else {}),
            }
        )

    def elaborate(self, platform):
        m = Module()
        scores = build(m, self.spec)
        read = scores.read_port()
        write = scores.write_port()
        m.d.comb += read.en.eq(self.valid)
        m.d.comb += read.addr.eq(self.index)

        # The score is out of the memory after one clock, in a register after two, summed after
        # three, and compared after four.
        valid = Signal(self.LATENCY - 1)
        first = Signal(self.LATENCY - 1)
        m.d.sync += valid.eq(Cat(self.valid, valid))
        m.d.sync += first.eq(Cat(self.first, first))
        at, v = self.index, self.v
        for clock in range(2):
            at_next = Signal.like(self.index, name=f"index_{clock + 1}")
            v_next = Signal.like(self.v, name=f"v_{clock + 1}")
            m.d.sync += at_next.eq(at)
            m.d.sync += v_next.eq(v)
            at, v = at_next, v_next
        score = Signal.like(self.best)
        m.d.sync += score.eq(read.data[0].score)

        sum_at = Signal.like(self.index)
        sum_score = Signal.like(self.best)
        sum_saturated = Signal()
        m.d.sync += sum_at.eq(at)
        m.d.sync += sum_score.eq(saturate(score + v, self.p.score))
        m.d.sync += sum_saturated.eq(~fits(score + v, self.p.score))
        m.d.sync += self.saturated.eq(valid[-1] & sum_saturated)
        m.d.comb += [
            write.en.eq(valid[-1] | (self.clear & below(self.clear_at, self.spec.words))),
            write.addr.eq(Mux(self.clear, self.clear_at, sum_at)),
            write.data.eq(Mux(self.clear, 0, sum_score)),
        ]
        with m.If(self.clear):
            m.d.sync += self.winner.eq(0)
            m.d.sync += self.best.eq(0)
        with m.Elif(valid[-1] & (first[-1] | (sum_score > self.best))):
            m.d.sync += self.winner.eq(sum_at)
            m.d.sync += self.best.eq(sum_score)
        if self.learns:
            with m.If(self.valid & (self.first | (self.v > self.largest))):
                m.d.sync += self.largest.eq(self.v)
        return m
