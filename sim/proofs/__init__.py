"""What holds of the gates for every input: properties that a solver proves, and bugs it must find.

A property is a component around a block: it drives the block as its docstring allows, keeps a
naive model of what the block should hold, and asserts that both agree.  Ports are inputs that the
solver chooses anew in every clock.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from amaranth.lib import wiring

from sim.proofs.axi import AxiProof
from sim.proofs.history import HistoryProof
from sim.proofs.host import HostProof
from sim.proofs.mailbox import MailboxProof
from sim.proofs.output import OutputProof
from sim.proofs.ring import RingProof
from sim.proofs.sequencer import SequencerProof
from sim.proofs.words import RandomProof, RoundingProof, SaturationProof


@dataclass(frozen=True, slots=True)
class Bug:
    """One line broken on purpose.

    file : path in the tree.  old, new : text that occurs once, and what replaces it.
    """

    file: str
    old: str
    new: str

    def text(self, root: Path) -> str:
        """Return the broken file; ValueError if there is not exactly one place to break."""
        text = (root / self.file).read_text()
        if text.count(self.old) != 1:
            raise ValueError(f"{self.file}: {self.old!r} occurs {text.count(self.old)} times")
        return text.replace(self.old, self.new)


@dataclass(frozen=True, slots=True)
class Proof:
    """One claim.

    says : the claim in a sentence.  make : builds its component.  depth : clocks from reset that
    are searched; without `always`, the claim holds so far, with it for ever, by induction over as
    many clocks.  bug : what must make it fail.  cut : modules without what is in them, so that
    anything comes out.
    """

    says: str
    make: Callable[[], wiring.Component]
    depth: int
    always: bool
    bug: Bug
    cut: tuple[str, ...] = ()


PROOFS: dict[str, Proof] = {
    "saturation": Proof(
        "saturate clamps, wrap keeps the low bits, and fits tells which of the two is exact",
        SaturationProof,
        depth=1,
        always=True,
        bug=Bug(
            "rtl/fixed.py",
            "limit = Cat(largest, negative) if fmt.signed else largest",
            "limit = Cat(largest, ~negative) if fmt.signed else largest",
        ),
    ),
    "rounding": Proof(
        "shift_round is floor, nearest with ties up, and towards zero",
        RoundingProof,
        depth=1,
        always=True,
        bug=Bug("rtl/fixed.py", "lifted = x + (dropped & ~(dropped >> 1))", "lifted = x + dropped"),
    ),
    "random": Proof(
        "next_random never leaves 0 nor reaches it, and no two states have the same successor",
        RandomProof,
        depth=1,
        always=True,
        bug=Bug("rtl/fixed.py", "r = r ^ (r >> 17)", "r = r & ~(r >> 17)"),
    ),
    "ring": Proof(
        "a sum that is collected holds every delivery for its tick once, and no other",
        RingProof,
        depth=22,
        always=False,
        bug=Bug(
            "rtl/synapse.py",
            "m.d.sync += slot_3.eq(self.t + (delays_2[lane] << row_2.resolution))",
            "m.d.sync += slot_3.eq(self.t | (delays_2[lane] << row_2.resolution))",
        ),
    ),
    "mailbox": Proof(
        "every request has one answer, in time and until it is taken; results stay, too",
        MailboxProof,
        depth=8,
        always=True,
        bug=Bug(
            "rtl/mailbox.py",
            "m.d.comb += self.answers.valid.eq(1)",
            "m.d.comb += self.answers.valid.eq(self.answers.ready)",
        ),
        cut=("top.mailbox.core",),
    ),
    "axi": Proof(
        "every AXI transfer is held, under way or answered, once and in time; valid waits for none",
        AxiProof,
        depth=22,
        always=True,
        bug=Bug(
            "rtl/axi.py", "m.d.comb += ready.eq(~there)", "m.d.comb += ready.eq(~there | done)"
        ),
        cut=("top.axi.mailbox",),
    ),
    "sequencer": Proof(
        "every clock of a command that nobody holds up brings its end nearer, whatever tables hold",
        SequencerProof,
        depth=40,
        always=True,
        bug=Bug(
            "rtl/sequencer.py",
            "with m.If(self.clear_at == self.deepest - 1):",
            "with m.If(self.clear_at == self.deepest):",
        ),
    ),
    "results": Proof(
        "a result of a chip stays until it is taken",
        OutputProof,
        depth=36,
        always=True,
        bug=Bug(
            "rtl/chip.py",
            "advance.eq(~synapse.busy & (~self.o.valid | self.o.ready))",
            "advance.eq(~synapse.busy)",
        ),
        cut=("top.chip.bus", "top.chip.synapse", "top.chip.lif", "top.chip.readout*"),
    ),
    "progress": Proof(
        "nothing but a delivery or a result that is offered holds a tick up",
        OutputProof,
        depth=36,
        always=True,
        bug=Bug(
            "rtl/chip.py",
            "advance.eq(~synapse.busy & (~self.o.valid | self.o.ready))",
            "advance.eq(~synapse.busy & self.o.ready)",
        ),
        cut=("top.chip.bus", "top.chip.synapse", "top.chip.lif", "top.chip.readout*"),
    ),
    "host": Proof(
        "the host reads what it has written, and writes nothing while the chip runs",
        HostProof,
        depth=14,
        always=False,
        bug=Bug(
            "rtl/memory.py",
            "bus.write.eq(self.host.write & self.idle)",
            "bus.write.eq(self.host.write)",
        ),
    ),
    "channels": Proof(
        "what a channel receives in a tick is what is read of that tick, and of no other",
        partial(HistoryProof, neuron=False),
        depth=20,
        always=False,
        bug=Bug("rtl/axon.py", "then = (self.t + 1)[:slot_bits]", "then = self.t[:slot_bits]"),
    ),
    "neurons": Proof(
        "what a neuron sends in a tick is what is read of that tick, and of no other",
        partial(HistoryProof, neuron=True),
        depth=18,
        always=False,
        bug=Bug("rtl/axon.py", "youngest.eq(self.t - self.age)", "youngest.eq(self.t)"),
    ),
}
