"""What happens when a chip learns: the sweep of a LEARN, and the walk of an UPDATE."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from datapath import Chip
from datapath.memory import (
    control,
    memories,
    population_fields,
    population_rule_fields,
    projection_fields,
    projection_rule_fields,
)
from rtl.axon import AxonStage, sweep_shape
from rtl.credit import CreditStage
from rtl.memory import index, learn_of, select, struct, word
from rtl.sequencer import following, to_population, to_projection
from rtl.signal import SignalStage
from rtl.slope import SlopeStage
from rtl.synapse import SynapseStage
from rtl.update import UpdateStage


class LearnSequencer(wiring.Component):
    """Walk through LEARN and UPDATE, each in a number of clocks that the data alone decide.

    Members
    -------
    learn, update : In(1), In(1)
        Begin; the host may have written in this clock, but not after it.
    done : Out(1)
        In the last clock.
    ticks : In(tick)
        Ticks of the recording that is learned from.
    control : In(struct of `datapath.memory.control`)
    read_population, population_at, population, population_rule : Out(1), Out(index), In, In(entry)
        Read an entry of both tables: those that are being worked on, from the next clock on. While
        the readout filters, they are its own. Likewise projections.
    readout_size : Out(number of neurons)
    clear, clear_at : Out(1), Out(index of a word)
        Empty word `clear_at` of the ring, and of the filtered signals.
    t, tau : Out(sweep_shape)
        The tick whose signals are filtered, and the one whose slopes are derived.

    look, at, values : Out(1), Out(index of a block), In(array of learn.lookup)
        Read what is remembered of block `at` at tick `t`; it stands still from two clocks later on.
    free : In(1)
        A row can be started.
    feedback : Out(1)
        Rows are those of feedback; stands still until all of them are done.
    feed, lane : Out(1), Out(index of a lane)
        Start a row of feedback for neuron `lane` of the block.
    row, row_block, row_blocks : Out(address of `weights`), Out(index of a block), Out(number)
        Of a row of feedback, or of that of the source whose count is out.
    filter, number : Out(1), Out(index of a neuron)
        In clock n + FED, or in clock n without `feedback`, all drives of block `at` of clock n are
        given: filter it. `number` is that of its first neuron.
    fed, fed_block : In(1), Out(index of a block)
        Those of `fed_block` are given by feedback.

    collect, ring_block, ring_t : Out(1), Out(index of a block), Out(slot)
        Read a word of the ring.  `ring_t` is also the slot of rows.
    tap, behind, outside, middle : Out(index), Out(1), Out(1), Out(1)
        What the word that is read counts, see SlopeStage.
    live : In(1)
        Something of the block whose slopes are done is not 0.

    read, source, delay, advance, passed : Out, Out, Out, In(1), In(1)
        Scan the sources of the projection, see Sequencer.
    axon : Out(address of `axonal_delays`)
        That of the source whose count is out.

    word, axon_word, update_at : Out(1), Out(1), Out(address of `weights`)
        Update the synapses at `update_at`, or `axon`.
    """

    # Clocks in which a state only waits for what is under way.
    LOOKED = 2
    FED = SynapseStage.ADJOINT + CreditStage.DOT + 1
    FILTERED = FED + SignalStage.LATENCY
    SLOPED = SlopeStage.LATENCY + 1
    FLUSH = AxonStage.LATENCY + 1
    CREDITED = SynapseStage.ADJOINT + CreditStage.SETTLE - 1
    UPDATED = UpdateStage.SETTLE

    def __init__(self, chip: Chip) -> None:
        self.chip = chip
        self.p = learn_of(chip)
        specs = {spec.name: spec for spec in memories(chip)}
        tables = {
            "population": struct(population_fields(chip)),
            "population_rule": struct(population_rule_fields(chip, self.p)),
            "projection": struct(projection_fields(chip)),
            "projection_rule": struct(projection_rule_fields(chip, self.p)),
        }
        rings = chip.axon.channel_steps, chip.axon.neuron_steps, chip.synapse.slots
        block, flag = Out(index(chip.neuron_blocks)), Out(1)
        super().__init__(
            {
                "learn": In(1),
                "update": In(1),
                "done": Out(1),
                "ticks": In(index(max(rings))),
                "control": In(struct(control(chip))),
                "population_at": Out(index(chip.populations)),
                "projection_at": Out(index(chip.projections)),
                "read_population": flag,
                "read_projection": flag,
                **{name: In(layout) for name, layout in tables.items()},
                "readout_size": Out(tables["population"]["size"].shape),
                "clear": flag,
                "clear_at": Out(index(specs["accumulators_0"].words)),
                "t": Out(sweep_shape(chip)),
                "tau": Out(sweep_shape(chip)),
                "look": flag,
                "at": block,
                "values": In(word(specs["lookup_history"])),
                "free": In(1),
                "feedback": flag,
                "feed": flag,
                "lane": Out(exact_log2(chip.lanes)),
                "row_block": block,
                "row_blocks": Out(tables["population"]["blocks"].shape),
                "filter": flag,
                "number": Out(index(chip.neurons)),
                "fed": In(1),
                "fed_block": block,
                "collect": flag,
                "ring_block": block,
                "ring_t": Out(index(chip.synapse.slots)),
                "tap": Out(index(self.p.taps)),
                "behind": flag,
                "outside": flag,
                "middle": flag,
                "live": In(1),
                "read": flag,
                "source": Out(index(max(chip.channels, chip.neurons))),
                "delay": Out(index(max(1, chip.axon.delays))),
                "advance": In(1),
                "passed": In(1),
                "row": Out(index(chip.synapses)),
                "axon": Out(index(max(1, chip.axon.delays))),
                "word": flag,
                "axon_word": flag,
                "update_at": Out(index(chip.synapses)),
            }
        )
        waits = self.LOOKED, self.FILTERED, self.SLOPED, self.FLUSH, self.CREDITED, self.UPDATED
        self._wait = Signal(range(max(waits)))
        self._updating = Signal()
        # What is left of the tables, of the blocks of a population or the sources, words or axons
        # of a projection, and of the neurons of a population.
        self._populations_left = Signal.like(self.control.populations)
        self._projections_left = Signal.like(self.population.projections)
        self._left = Signal(range(max(chip.channels, chip.neurons, chip.synapses) + 1))
        self._axons_left = Signal.like(self.projection_rule.axons)
        self._neurons_left = Signal.like(self.population.size)
        # First block of the population, and of the next one.
        self._first = Signal.like(self.at)
        self._next = Signal.like(self.at)
        self._distance = Signal.like(self.control.taps)
        self._behind = Signal()
        self._live = Signal()
        self._readout = Signal(tables["population"])
        self._readout_learns = Signal()

    def elaborate(self, platform):
        m = Module()
        m.d.comb += [
            self.readout_size.eq(self._readout.size),
            self.row_block.eq(Mux(self.feedback, self.control.readout_block, self._first)),
            self.row_blocks.eq(Mux(self.feedback, self._readout.blocks, self.population.blocks)),
        ]
        m.d.sync += self.collect.eq(0)
        with m.If(self.live):
            m.d.sync += self._live.eq(1)
        with m.If(~self.feedback):
            m.d.sync += self.fed_block.eq(self._next)
        with m.Elif(self.fed):
            m.d.sync += self.fed_block.eq(self.fed_block + 1)
        with m.If(self.passed):
            m.d.sync += self.row.eq(self.row + self.population.blocks)
            m.d.sync += self.axon.eq(self.axon + 1)
        with m.FSM():
            self._commands(m)
            self._steps(m)
            self._populations(m)
            self._signals(m)
            self._slopes(m)
            self._projections(m)
            self._credit(m)
            self._words(m)
        return m

    def _begin(self, m: Module, name: str, clocks: int) -> None:
        """Go on to the waiting state `name`, which takes `clocks`."""
        m.d.sync += self._wait.eq(clocks - 1)
        m.next = name

    def _over(self, m: Module):
        """Count the clocks of a waiting state; what is in it happens in the last one."""
        m.d.sync += self._wait.eq(self._wait - 1)
        return m.If(self._wait == 0)

    def _commands(self, m: Module) -> None:
        with m.State("IDLE"):
            m.d.sync += self.t.eq(self.ticks - 1)
            m.d.sync += self._updating.eq(self.update)
            with m.If(self.learn):
                m.next = "EMPTY"
            with m.If(self.update):
                m.next = "WAIT"
        with m.State("EMPTY"):
            m.d.comb += self.clear.eq(1)
            m.d.sync += self.clear_at.eq(self.clear_at + 1)
            # What is there in the last clock is the entry of the readout.
            m.d.sync += self.population_at.eq(self.control.readout)
            m.d.comb += self.read_population.eq(1)
            m.d.sync += self._readout.eq(self.population)
            m.d.sync += self._readout_learns.eq(self.population_rule.learns)
            with m.If(self.clear_at == self.chip.neuron_blocks * self.chip.synapse.slots - 1):
                m.d.sync += self.clear_at.eq(0)
                m.next = "STEP"
        with m.State("WAIT"):
            # The host may have written in the clock of the command.
            self._rewind(m)
            m.next = "FETCH"
        with m.State("DONE"):
            m.d.comb += self.done.eq(1)
            m.next = "IDLE"

    def _rewind(self, m: Module) -> None:
        """Begin with the first population."""
        m.d.sync += self.population_at.eq(0)
        m.d.sync += self.projection_at.eq(0)
        m.d.sync += self._next.eq(0)
        m.d.sync += self._populations_left.eq(self.control.populations)

    def _steps(self, m: Module) -> None:
        """Take the next tick of the sweep, and filter the readout in it."""
        with m.State("STEP"):
            # Here it is at the readout.
            m.d.comb += self.read_population.eq(1)
            self._rewind(m)
            tau = self.t + self.control.taps
            m.d.sync += [
                self.tau.eq(tau),
                self.at.eq(self.control.readout_block),
                self._left.eq(self._readout.blocks),
                self.number.eq(0),
            ]
            with m.If(tau < 0):
                m.next = "DONE"
            with m.Elif((self.t >= 0) & self._readout_learns):
                m.next = "LOOK"
            with m.Else():
                m.next = "FETCH"

    def _populations(self, m: Module) -> None:
        """Take the next population of the table."""
        chip, population, rule = self.chip, self.population, self.population_rule
        with m.State("FETCH"):
            to_population(m, self)
        with m.State("POPULATION"):
            m.d.sync += [
                self._populations_left.eq(self._populations_left - 1),
                self._projections_left.eq(population.projections),
                self.population_at.eq(following(self.population_at, chip.populations)),
                self._first.eq(self._next),
                self._next.eq(self._next + population.blocks),
                self.at.eq(self._next),
                self._left.eq(population.blocks),
                self._neurons_left.eq(population.size),
                self._distance.eq(self.control.taps),
                self._live.eq(0),
                # Rows of feedback are those of this tick, whatever was read before.
                self.ring_t.eq(self.t),
                self.row.eq(rule.feedback),
            ]
            with m.If((self._populations_left == 0) & self._updating):
                m.next = "DONE"
            with m.Elif(self._populations_left == 0):
                m.d.sync += self.t.eq(self.t - 1)
                m.d.sync += self.population_at.eq(self.control.readout)
                m.next = "STEP"
            with m.Elif(self._updating):
                to_projection(m, self, population.projections)
            with m.Elif(~rule.learns):
                behind = self.projection_at + population.projections
                m.d.sync += self.projection_at.eq(Mux(behind >= chip.projections, 0, behind))
                m.next = "FETCH"
            with m.Elif(population.readout | (self.t < 0)):
                m.next = "SLOPE"
            with m.Else():
                m.d.sync += self.feedback.eq(1)
                m.next = "LOOK"

    def _signals(self, m: Module) -> None:
        """Filter the blocks of a population; feed errors back to those of its neurons that want."""
        lanes = self.chip.lanes
        with m.State("LOOK"):
            m.d.comb += self.look.eq(1)
            self._begin(m, "LOOKED", self.LOOKED)
        with m.State("LOOKED"), self._over(m):
            with m.If(self.feedback):
                m.next = "FEED"
            with m.Else():
                m.next = "FILTER"
        with m.State("FEED"), m.If(self.free):
            values = [self.values[lane].value for lane in range(lanes)]
            m.d.comb += self.feed.eq(select(values, self.lane).any())
            m.d.sync += self.row.eq(self.row + self._readout.blocks)
            m.d.sync += self.lane.eq(self.lane + 1)
            m.d.sync += self._neurons_left.eq(self._neurons_left - 1)
            with m.If((self.lane == lanes - 1) | (self._neurons_left == 1)):
                m.next = "FILTER"
        with m.State("FILTER"), m.If(self.free):
            m.d.comb += self.filter.eq(1)
            m.d.sync += [
                self.at.eq(self.at + 1),
                self.lane.eq(0),
                self.number.eq(self.number + lanes),
                self._left.eq(self._left - 1),
            ]
            with m.If(self._left == 1):
                self._begin(m, "FILTERED", self.FILTERED)
            with m.Else():
                m.next = "LOOK"
        with m.State("FILTERED"), self._over(m):
            m.d.sync += self.feedback.eq(0)
            m.d.sync += self.at.eq(self._first)
            m.d.sync += self._left.eq(self.population.blocks)
            with m.If(self.feedback):
                m.next = "SLOPE"
            with m.Else():
                m.next = "FETCH"

    def _slopes(self, m: Module) -> None:
        """Read the signals around `tau` of every block, the farthest first and its own last."""
        distance = self._distance
        with m.State("SLOPE"):
            ahead, back = self.tau + distance, self.tau - distance
            middle = distance == 0
            m.d.sync += [
                self.collect.eq(1),
                self.ring_block.eq(self.at),
                self.ring_t.eq(Mux(self._behind, back, ahead)),
                self.tap.eq(distance - 1),
                self.behind.eq(self._behind),
                self.outside.eq(self._behind & (back < 0)),
                self.middle.eq(middle),
                self._behind.eq(~self._behind & ~middle),
            ]
            with m.If(middle):
                m.d.sync += distance.eq(self.control.taps)
                m.d.sync += self.at.eq(self.at + 1)
                m.d.sync += self._left.eq(self._left - 1)
                with m.If(self._left == 1):
                    self._begin(m, "SLOPED", self.SLOPED)
            with m.Elif(self._behind):
                m.d.sync += distance.eq(distance - 1)
        with m.State("SLOPED"), self._over(m):
            m.d.sync += self.ring_t.eq(self.tau)
            to_projection(m, self, self._projections_left)

    def _projections(self, m: Module) -> None:
        """Take the next projection of the population, and what it has to learn."""
        chip, projection, rule = self.chip, self.projection, self.projection_rule
        words = rule.weights | (rule.delays & projection.synaptic)
        spread = projection.synaptic | projection.dendritic
        with m.State("NEXT"):
            to_projection(m, self, self._projections_left)
        with m.State("PROJECTION"):
            m.d.sync += self._projections_left.eq(self._projections_left - 1)
            with m.If(self._projections_left == 0):
                to_population(m, self)
            with m.Else():
                m.d.sync += [
                    self.projection_at.eq(following(self.projection_at, chip.projections)),
                    self.source.eq(Cat(Const(0, exact_log2(chip.lanes)), projection.pre)),
                    self.delay.eq(projection.delays),
                    self.axon.eq(projection.delays),
                    self.row.eq(projection.weights),
                    self.update_at.eq(projection.weights),
                    self._left.eq(Mux(self._updating, rule.words, projection.size)),
                    self._axons_left.eq(rule.axons),
                ]
                with m.If(self._updating & words):
                    m.next = "WORDS"
                with m.Elif(self._updating & rule.delays):
                    m.next = "AXONS"
                with m.Elif(~self._updating & (rule.weights | rule.delays) & (self._live | spread)):
                    m.next = "SCAN"
                with m.Else():
                    m.next = "NEXT"

    def _credit(self, m: Module) -> None:
        """Read the counts of all sources; a row for every one that is not 0 gets its credit."""
        with m.State("SCAN"):
            m.d.comb += self.read.eq(1)
            with m.If(self.advance):
                m.d.sync += self.source.eq(self.source + 1)
                m.d.sync += self.delay.eq(self.delay + 1)
                m.d.sync += self._left.eq(self._left - 1)
                with m.If(self._left == 1):
                    self._begin(m, "FLUSH", self.FLUSH)
        with m.State("FLUSH"), m.If(self.advance), self._over(m):
            self._begin(m, "CREDITED", self.CREDITED)
        with m.State("CREDITED"), self._over(m):
            to_projection(m, self, self._projections_left)

    def _words(self, m: Module) -> None:
        """Update all synapses of a projection, then all its axons, one word per clock."""
        with m.State("WORDS"):
            m.d.comb += self.word.eq(1)
            m.d.sync += self.update_at.eq(self.update_at + 1)
            m.d.sync += self._left.eq(self._left - 1)
            with m.If(self._left == 1):
                with m.If(self.projection_rule.delays & self.projection.axonal):
                    m.next = "AXONS"
                with m.Else():
                    self._begin(m, "UPDATED", self.UPDATED)
        with m.State("AXONS"):
            m.d.comb += self.axon_word.eq(1)
            m.d.sync += self.axon.eq(self.axon + 1)
            m.d.sync += self._axons_left.eq(self._axons_left - 1)
            with m.If(self._axons_left == 1):
                self._begin(m, "UPDATED", self.UPDATED)
        with m.State("UPDATED"), self._over(m):
            to_projection(m, self, self._projections_left)
