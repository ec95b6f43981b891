"""Every command comes to an end: with each clock that nobody holds up, fewer are left."""

from amaranth.hdl import Assert, Assume, Cover, Module, Mux, ResetSignal, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from rtl.sequencer import Sequencer
from sim.proofs.inside import driven, inside, states
from sim.proofs.ring import small

GIVEN = ("control", "population", "projection", "receiving", "advance", "passed", "ended")


def held(state, number, advance, ended):
    """Return whether a Sequencer waits for another block, or for the host."""
    scans = (state == number["SCAN"]) | (state == number["FLUSH"])
    return (scans & ~advance) | ((state == number["ENDED"]) & ~ended)


class SequencerProof(wiring.Component):
    """Let a Sequencer walk through any tables, even with a size of 0 or one beyond the chip.

    Members
    -------
    i : In(stream of commands), any
    control, population, projection, receiving, advance, passed, ended : In(any)
        As of Sequencer.
    """

    def __init__(self) -> None:
        self.sequencer = Sequencer(small())
        members = self.sequencer.signature.members
        super().__init__({"i": members["i"], **{name: In(members[name].shape) for name in GIVEN}})

    def elaborate(self, platform):
        m = Module()
        sequencer = self.sequencer
        built = inside(m, "sequencer", sequencer)
        wiring.connect(m, wiring.flipped(self.i), sequencer.i)
        m.d.comb += [getattr(sequencer, name).eq(getattr(self, name)) for name in GIVEN]
        state, number = states(built)
        clocks, most = self._left(state, number, driven(built))
        left, was = Signal(range(most + 1)), Signal(range(most + 1))
        waited, emitted = Signal(), Signal()
        m.d.comb += left.eq(clocks)
        m.d.sync += [was.eq(left), waited.eq(held(state, number, self.advance, self.ended))]
        with m.If(sequencer.read & self.advance):
            m.d.sync += emitted.eq(sequencer.emitting)
        m.d.comb += [
            Assume(~ResetSignal()),
            Assert(state < len(number)),
            Assert(clocks <= most),
            Assert(sequencer.idle == (left == 0)),
            Assert(self.i.ready == (sequencer.idle & ~self.receiving)),
            Assert((was == 0) | Mux(waited, left == was, left < was)),
            Cover((was == 1) & (left == 0) & emitted),
        ]
        return m

    def _left(self, state, number, held):
        """Return the clocks until IDLE, at most, if nobody holds them up, and the most there are.

        number : of every state.  held : the registers of the Sequencer.
        """
        of = self.sequencer
        wait = held["wait"] + 1
        # A phase that begins with 0 is as long as one that begins with `turn`.
        turn = 1 << len(held["left"])
        phase = (held["left"] - 1)[: len(held["left"])] + 1
        last = 1 << len(held["clear_at"])
        # What there is behind a phase, from the end of a tick to its beginning.
        end = 1 + turn + 2
        emit = turn + of.FLUSH
        update = of.DRAIN + turn + of.settle + emit
        projection = 1 + turn + of.FLUSH
        projections = (1 << len(held["projections_left"])) - 1
        population = 1 + projections * projection + 1 + update
        populations = (1 << len(held["populations_left"])) - 1
        table = held["populations_left"] * population + end
        row = table + update + 1 + held["projections_left"] * projection
        scanned = Mux(held["emitting"], table, row)
        most = populations * population + end + 2
        clocks = {
            "CLEAR": (of.deepest - 1 - held["clear_at"])[: len(held["clear_at"])] + 1,
            "START": most,
            "FETCH": most - 1,
            "POPULATION": table,
            "PROJECTION": row,
            "SCAN": scanned + of.FLUSH + phase,
            "FLUSH": scanned + wait,
            "DRAIN": table + emit + of.settle + turn + wait,
            "UPDATE": table + emit + of.settle + phase,
            "SETTLE": table + emit + wait,
            "WIPE": held["left"] + 3,
            "END": 2,
            "ENDED": 1,
        }
        left = 0
        for name, value in clocks.items():
            left = Mux(state == number[name], value, left)
        return left, max(most, last)
