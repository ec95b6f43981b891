"""Results of a chip stay until they are taken, and nothing else of the host holds a tick up."""

from amaranth.hdl import Assert, Assume, Cat, Cover, Module, ResetSignal, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import Out, connect, flipped

from datapath.ports import Result
from rtl.chip import ChipTop
from rtl.sequencer import Sequencer
from sim.proofs.inside import driven, inside, states
from sim.proofs.mailbox import holds
from sim.proofs.ring import small
from sim.proofs.sequencer import held

SCORED = 3
"""Clocks of the scan from a read to the score of a membrane."""


class OutputProof(wiring.Component):
    """Let a chip run any commands on any tables, with any sink.

    Members
    -------
    ports : as ChipTop; what is an input there is any
    """

    def __init__(self) -> None:
        self.chip = ChipTop(small())
        super().__init__({"ports": Out(self.chip.signature)})

    def elaborate(self, platform):
        m = Module()
        chip = inside(m, "chip", self.chip)
        connect(m, flipped(self.ports), self.chip)
        m.d.comb += Assume(~ResetSignal())
        o = self.ports.o
        sequencer, synapse = chip.find_subfragment("sequencer"), chip.find_subfragment("synapse")
        (state, number), emitting = states(sequencer), driven(sequencer)["emitting"]
        scans = self._scans(m, chip)
        ended = state == number["ENDED"]
        drives = driven(chip)
        waits = held(state, number, drives["advance"], drives["ended"])
        untaken = o.valid & ~o.ready
        paused = Signal()
        with m.If(untaken & (o.payload.op == Result.SPIKE)):
            m.d.sync += paused.eq(1)
        m.d.comb += [
            Assert(holds(m, "o", o)),
            Assert(~waits | driven(synapse)["busy"] | untaken),
            Assert(~ended | (o.valid & (o.payload.op == Result.END))),
            Assert(ended | ~o.valid | (scans & emitting & (o.payload.op != Result.END))),
            Cover(ended & o.ready & paused),
        ]
        return m

    def _scans(self, m: Module, chip):
        """Claim that a scan is over when all of it is out; return whether there is one."""
        sequencer, axon = chip.find_subfragment("sequencer"), chip.find_subfragment("axon")
        state, number = states(sequencer)
        wait = driven(sequencer)["wait"]
        flushes = state == number["FLUSH"]
        scans = flushes | (state == number["SCAN"])
        scored = Cat(driven(chip)[f"scored_{clock + 1}"] for clock in range(SCORED))
        m.d.comb += [
            Assert(state < len(number)),
            Assert(~flushes | (wait < Sequencer.FLUSH)),
        ]
        # What was read and is not out yet, the youngest first.
        for way in (driven(axon)["reading"], scored):
            m.d.comb += Assert(scans | ~way.any())
            for place in range(len(way)):
                over = flushes & (wait + place < Sequencer.FLUSH - 1)
                m.d.comb += Assert(~over | ~way[place])
        return scans
