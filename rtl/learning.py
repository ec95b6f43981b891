"""What a chip that learns has more than others, and what runs between that and the rest."""

from typing import Any, NamedTuple

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import wiring

from datapath import Chip
from datapath.memory import memories
from rtl.credit import CreditStage, tag_layout
from rtl.fixed import saturate
from rtl.learner import LearnSequencer
from rtl.memory import after, learn_of, loaded, select, word
from rtl.signal import SignalStage
from rtl.slope import SlopeStage
from rtl.surrogate import SurrogateStage
from rtl.update import CONTROLS, UpdateStage


class Walk(NamedTuple):
    """Where a chip is in its tables and memories, and what the rows are that it delivers.

    t : tick of the counts that are read.  slot : tick of the rows.  Others as in Sequencer.
    """

    read_population: Any
    population_at: Any
    read_projection: Any
    projection_at: Any
    t: Any
    read: Any
    source: Any
    delay: Any
    row: Any
    slot: Any
    block: Any
    blocks: Any
    scale: Any
    synaptic: Any
    dendritic: Any
    collect: Any
    collect_block: Any
    clear: Any
    clear_at: Any


def forward(sequencer) -> Walk:
    """Return where `sequencer` is."""
    population, projection = sequencer.population, sequencer.projection
    return Walk(
        read_population=sequencer.read_population,
        population_at=sequencer.population_at,
        read_projection=sequencer.read_projection,
        projection_at=sequencer.projection_at,
        t=sequencer.t,
        read=sequencer.read,
        source=sequencer.source,
        delay=sequencer.delay,
        row=sequencer.row,
        slot=sequencer.t,
        block=sequencer.first,
        blocks=population.blocks,
        scale=projection.scale,
        synaptic=projection.synaptic,
        dendritic=projection.dendritic,
        collect=sequencer.collect,
        collect_block=sequencer.block,
        clear=sequencer.clear,
        clear_at=sequencer.clear_at,
    )


class Learning:
    """The stages of learning, as submodules of the chip."""

    def __init__(self, m: Module, chip: Chip) -> None:
        self.chip = chip
        self.specs = {spec.name: spec for spec in memories(chip)}
        m.submodules.learner = self.learner = LearnSequencer(chip)
        m.submodules.surrogate = self.surrogate = SurrogateStage(chip)
        m.submodules.signal = self.signal = SignalStage(chip)
        m.submodules.slope = self.slope = SlopeStage(chip)
        m.submodules.credit = self.credit = CreditStage(chip)
        m.submodules.update = self.update = UpdateStage(chip)

    def walk(self, m: Module, sequencer) -> Walk:
        """Return where the chip is: where `sequencer` is, unless the chip is learning."""
        learner = self.learner
        ours = forward(sequencer)
        theirs = Walk(
            read_population=learner.read_population,
            population_at=learner.population_at,
            read_projection=learner.read_projection,
            projection_at=learner.projection_at,
            t=learner.tau,
            read=learner.read,
            source=learner.source,
            delay=learner.delay,
            row=learner.row,
            slot=learner.ring_t,
            block=learner.row_block,
            blocks=learner.row_blocks,
            scale=Const(0),
            synaptic=learner.projection.synaptic & ~learner.feedback,
            dendritic=learner.projection.dendritic & ~learner.feedback,
            collect=learner.collect,
            collect_block=learner.ring_block,
            clear=learner.clear,
            clear_at=learner.clear_at,
        )
        chosen = []
        for name, our, their in zip(Walk._fields, ours, theirs, strict=True):
            chosen.append(Signal(our.shape(), name=f"walk_{name}"))
            m.d.comb += chosen[-1].eq(Mux(sequencer.learning, their, our))
        return Walk(*chosen)

    def load(self, m: Module, bus, axon, synapse) -> None:
        """Connect what the host loads, and what an UPDATE walks through."""
        learner = self.learner
        for name, at, read in (
            ("population", learner.population_at, learner.read_population),
            ("projection", learner.projection_at, learner.read_projection),
        ):
            spec = self.specs[f"{name}_rules"]
            entry = loaded(m, spec, getattr(bus, spec.name), at, read)
            m.d.comb += getattr(learner, f"{name}_rule").eq(entry[0])
        gradients = "weight_gradients", "synaptic_gradients", "axonal_gradients"
        fractions = "weight_fractions", "synaptic_fractions", "axonal_fractions"
        lookups = tuple(f"lookup_{lane}" for lane in range(self.chip.lanes))
        for stage, names in (
            (self.surrogate, lookups),
            (self.slope, ("taps",)),
            (self.credit, gradients),
            (self.update, ("random", *fractions)),
        ):
            for name in names:
                if name in self.specs:
                    wiring.connect(m, getattr(bus, name), getattr(stage, name))
        for stage, names in (
            (synapse, ("weights", "synaptic_delays")),
            (axon, ("axonal_delays",)),
            (self.credit, gradients),
        ):
            for name in names:
                if name in self.specs:
                    theirs = getattr(stage, f"{name}_update")
                    wiring.connect(m, getattr(self.update, name), theirs)

    def membranes(self, sequencer, enable, address):
        """Return when and where membranes are read; enable, address : to emit those of readouts."""
        learner = self.learner
        address = Mux(learner.look, learner.at, Mux(sequencer.level, sequencer.level_at, address))
        return enable | learner.look | sequencer.level, address

    def command(self, m: Module, bus, sequencer, label) -> None:
        """Begin a LEARN or an UPDATE, and say when it is done."""
        learner = self.learner
        last = Signal.like(self.signal.label)
        with m.If(sequencer.learn):
            m.d.sync += last.eq(label)
        m.d.comb += [
            learner.learn.eq(sequencer.learn),
            learner.update.eq(sequencer.update),
            learner.ticks.eq(sequencer.t),
            learner.control.eq(bus.control),
            learner.population.eq(sequencer.population),
            learner.projection.eq(sequencer.projection),
            sequencer.learned.eq(learner.done),
            self.signal.label.eq(last),
        ]

    def look_up(self, m: Module, bus, sequencer, lif, readout, block, v) -> None:
        """Look up what the update of a block leaves, and the levels of readouts.

        block : of neurons that the LifStage shows.  v : membranes of the block at `level_at`, two
        clocks later.
        """
        stage, population = self.surrogate, sequencer.population
        level = after(m, sequencer.level, "level", 2)
        level_at = after(m, sequencer.level_at, "level_at", 2)
        shift = Mux(level, bus.control.error_shift, bus.control.surrogate_shift)
        m.d.comb += [
            stage.t.eq(sequencer.t),
            stage.valid.eq((lif.o_valid & bus.control.remember & ~population.readout) | level),
            stage.block.eq(Mux(level, level_at, block)),
            stage.level.eq(level),
            stage.shift.eq(shift),
            stage.first.eq(after(m, sequencer.level_first, "level_first", 2)),
            stage.last.eq(after(m, sequencer.level_last, "level_last", 2)),
            stage.final.eq(after(m, sequencer.final, "final", 2)),
            stage.size.eq(after(m, population.size, "readouts", 2)),
        ]
        for lane in range(self.chip.lanes):
            m.d.comb += stage.a[lane].eq(Mux(level, readout.largest, lif.o_u[lane]))
            m.d.comb += stage.b[lane].eq(Mux(level, v[lane].v, lif.o_threshold[lane]))

    def count(self, m: Module, lif, v):
        """Return membranes and activity after the update; v : those it began with."""
        fmt = learn_of(self.chip).activity
        new = Signal(word(self.specs["membranes"]))
        for lane in range(self.chip.lanes):
            activity = after(m, v[lane].activity, f"activity_{lane}", lif.LATENCY)
            spikes = saturate(activity + lif.o_fired[lane], fmt)
            m.d.comb += new[lane].v.eq(lif.o_v[lane])
            m.d.comb += new[lane].activity.eq(spikes)
        return new

    def sweep(self, m: Module, bus, sequencer, axon, synapse, v, advance) -> None:
        """Connect the stages of a LEARN; v : membranes of the block that is looked at."""
        learner = self.learner
        m.d.comb += [
            learner.advance.eq(advance),
            learner.passed.eq(axon.o_valid & advance),
            learner.free.eq(~synapse.busy),
            learner.live.eq(self.slope.o_live),
            learner.values.eq(self.surrogate.o_values),
            axon.sweep.eq(sequencer.learning),
            axon.tau.eq(learner.tau),
            axon.ticks.eq(sequencer.t),
            synapse.adjoint.eq(sequencer.learning),
            self.surrogate.look.eq(learner.look),
            self.surrogate.look_at.eq(learner.at),
            self.surrogate.look_t.eq(learner.t),
        ]
        self._tag(m, synapse, v)
        self._signals(m)
        self._slopes(m, synapse)
        self._ring(m, synapse)
        self._credit(m, synapse)
        self._update(m, bus)

    def _tag(self, m: Module, synapse, v) -> None:
        """Send with a row whose error it is, or from which axon it comes."""
        learner, tag = self.learner, Signal(tag_layout(self.chip))
        with m.If(learner.feedback):
            values = [one.value for one in self.surrogate.o_values]
            activities = [one.activity for one in v]
            m.d.comb += tag.neuron.lane.eq(learner.lane)
            m.d.comb += tag.neuron.value.eq(select(values, learner.lane))
            m.d.comb += tag.neuron.activity.eq(select(activities, learner.lane))
        with m.Else():
            m.d.comb += tag.axon.eq(learner.axon)
        m.d.comb += synapse.tag.eq(tag)

    def _signals(self, m: Module) -> None:
        learner, signal, credit = self.learner, self.signal, self.credit
        rule, at = learner.population_rule, learner.at
        fed = after(m, learner.filter & learner.feedback, "fed", learner.FED)
        readout = learner.filter & ~learner.feedback
        m.d.comb += [
            signal.fed.eq(credit.o_valid),
            signal.lane.eq(credit.o_tag.neuron.lane),
            signal.value.eq(credit.o_tag.neuron.value),
            signal.activity.eq(credit.o_early.neuron.activity),
            signal.error.eq(credit.o_dot),
            learner.fed.eq(fed),
            signal.filter.eq(fed | readout),
            signal.level.eq(readout),
            signal.block.eq(Mux(readout, at, learner.fed_block)),
            signal.values.eq(self.surrogate.o_values),
            signal.sum.eq(self.surrogate.o_sum),
            signal.number.eq(learner.number),
            signal.size.eq(learner.readout_size),
            signal.clear.eq(learner.clear),
            signal.clear_at.eq(learner.clear_at),
        ]
        for name in ("drive_shift", "strength", "target", "coefficient", "signal_shift"):
            m.d.comb += getattr(signal, name).eq(rule[name])

    def _slopes(self, m: Module, synapse) -> None:
        learner, slope = self.learner, self.slope
        m.d.comb += [
            slope.valid.eq(learner.collect),
            slope.tap.eq(learner.tap),
            slope.behind.eq(learner.behind),
            slope.outside.eq(learner.outside),
            slope.middle.eq(learner.middle),
            slope.block.eq(learner.ring_block),
            slope.words.eq(synapse.i),
        ]

    def _ring(self, m: Module, synapse) -> None:
        """Write signals at `t`, and both signals and slopes at `tau`."""
        learner, signal, slope = self.learner, self.signal, self.slope
        m.d.comb += [
            synapse.ring_write.eq(signal.o_valid | slope.o_valid),
            synapse.ring_slot.eq(Mux(slope.o_valid, learner.tau, learner.t)),
            synapse.ring_block.eq(Mux(slope.o_valid, slope.o_block, signal.o_block)),
        ]
        for lane in range(self.chip.lanes):
            alone = Value.cast(signal.o_signals[lane]).as_unsigned()
            m.d.comb += synapse.ring[lane].eq(Mux(slope.o_valid, slope.o_words[lane], alone))

    def _credit(self, m: Module, synapse) -> None:
        learner, credit = self.learner, self.credit
        rule, projection = learner.projection_rule, learner.projection
        m.d.comb += [
            credit.valid.eq(synapse.o_valid),
            credit.last.eq(synapse.o_last),
            credit.feedback.eq(learner.feedback),
            credit.weights_learn.eq(rule.weights),
            credit.synaptic_learn.eq(rule.delays & projection.synaptic),
            credit.axonal_learn.eq(rule.delays & projection.axonal),
            credit.delay_scale.eq(rule.delay_scale),
            credit.row.eq(synapse.o_row),
            credit.count.eq(synapse.o_count),
            credit.weights.eq(synapse.o_weights),
            credit.words.eq(synapse.i),
            credit.tag.eq(synapse.o_tag),
        ]

    def _update(self, m: Module, bus) -> None:
        learner, update = self.learner, self.update
        m.d.comb += [
            update.word.eq(learner.word),
            update.at.eq(learner.update_at),
            update.axon.eq(learner.axon_word),
            update.axon_at.eq(learner.axon),
            update.rule.eq(learner.projection_rule),
            update.synaptic.eq(learner.projection.synaptic),
        ]
        for name in CONTROLS:
            m.d.comb += getattr(update, name).eq(bus.control[name])

    @property
    def saturated(self):
        """Whether something is out of range in this clock of a LEARN."""
        stages = self.signal, self.slope, self.credit
        return Cat(stage.o_saturated for stage in stages).any()
