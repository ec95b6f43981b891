"""What happens when: commands, the two tables, and the phases of a tick."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from datapath import Chip, ports
from datapath.memory import control, population_fields, projection_fields
from datapath.ports import Command
from datapath.timing import CLEAR, clear_cycles
from rtl.axon import AxonStage
from rtl.current import CurrentStage
from rtl.lif import LifStage
from rtl.memory import index, struct
from rtl.surrogate import SurrogateStage
from rtl.synapse import SynapseStage


def following(at, count: int):
    """Index after `at`, and 0 after the last of `count`: a table is never read behind its end."""
    after = (at + 1)[: len(at)]
    return after if count == 1 << len(at) else Mux(at == count - 1, 0, after)


def to_population(m: Module, walker) -> None:
    """Let `walker`, a sequencer, go on to the next population, or behind the last one."""
    m.d.comb += walker.read_population.eq(1)
    m.next = "POPULATION"


def to_projection(m: Module, walker, left) -> None:
    """Let `walker` go on to the next of `left` projections of its population, or behind the last.

    What is behind the last entry of the table was never written, and is not read.
    """
    m.d.comb += walker.read_projection.eq(left.any())
    m.next = "PROJECTION"


class Sequencer(wiring.Component):
    """Walk through the phases of every command, each in a number of clocks that is known before.

    Members
    -------
    i : In(stream of `datapath.ports.command`)
    idle : Out(1)
        Between two commands.
    control : In(struct of `datapath.memory.control`)
    read_population, population_at, population : Out(1), Out(index), In(entry)
        Read an entry of the population table: the one that is being worked on, from the next clock
        on. Likewise the projection table.
    t : Out(tick modulo the deepest ring)
    event : Out(1)
        The payload of `i` is an event that is received now.
    receiving : In(1)
        No command can be taken, because an event is still being received.
    clear, clear_at : Out(1), Out(index of a word)
        Empty word `clear_at` of every state memory.
    read, source, delay : Out(1), Out(index of a source), Out(index of a delay word)
        Scan the sources of the projection, or, if `emitting`, the neurons of the population.
    emitting : Out(1)
    advance : In(1)
        Clock of the scan.
    passed : In(1)
        A count of the scan is out of the pipeline.
    row : Out(address of `weights`)
        Weights of the source whose count is out.
    first : Out(index of a block)
        First block of the population.
    collect, block : Out(1), Out(index of a block)
        Update `block`.
    wipe, wipe_block : Out(1), Out(index of a block)
        Empty a block of channels at tick `t + 1`.
    end : Out(1)
        The tick is over; `ended` says that the host knows.
    ended : In(1)

    On a chip that learns:

    learn, update : Out(1), Out(1)
        The LearnSequencer begins, in the clock of the command.
    learning, learned : Out(1), In(1)
        It is at work, until the END marker is taken; it is done.
    level, final : Out(1), Out(1)
        Look up the levels of block `level_at` of the readout, see SurrogateStage.
    level_at, level_first, level_last : Out(index of a block), Out(1), Out(1)
        It is the first or the last block of a pass.
    """

    # Clocks in which a state only waits. A count is in `o` one clock after it left the AxonStage;
    # when DRAIN begins, three clocks have passed since the last `busy`, that one included.
    FLUSH = AxonStage.LATENCY + 1
    DRAIN = SynapseStage.DRAIN - 3
    # Levels are looked up as long after they were asked for in either pass.
    SUM = SurrogateStage.PASS - 1

    def __init__(self, chip: Chip) -> None:
        self.chip = chip
        self.settle = SynapseStage.COLLECT + LifStage.LATENCY
        if chip.current is not None:
            self.settle += CurrentStage.LATENCY
        self.deepest = clear_cycles(chip) - CLEAR
        rings = chip.axon.channel_steps, chip.axon.neuron_steps, chip.synapse.slots
        population = struct(population_fields(chip))
        projection = struct(projection_fields(chip))
        super().__init__(
            {
                "i": In(stream.Signature(struct(ports.command(chip)))),
                "idle": Out(1),
                "control": In(struct(control(chip))),
                "population_at": Out(index(chip.populations)),
                "read_population": Out(1),
                "population": In(population),
                "projection_at": Out(index(chip.projections)),
                "read_projection": Out(1),
                "projection": In(projection),
                "t": Out(index(max(rings))),
                "event": Out(1),
                "receiving": In(1),
                "clear": Out(1),
                "clear_at": Out(index(self.deepest)),
                "read": Out(1),
                "source": Out(index(max(chip.channels, chip.neurons))),
                "delay": Out(index(max(1, chip.axon.delays))),
                "emitting": Out(1),
                "advance": In(1),
                "passed": In(1),
                "row": Out(index(chip.synapses)),
                "first": Out(index(chip.neuron_blocks)),
                "collect": Out(1),
                "block": Out(index(chip.neuron_blocks)),
                "wipe": Out(1),
                "wipe_block": Out(index(chip.channel_blocks)),
                "end": Out(1),
                "ended": In(1),
                **({} if chip.learn is None else self._learning_members(chip)),
            }
        )

    def _learning_members(self, chip: Chip):
        names = ("learn", "update", "learning", "level", "final", "level_first", "level_last")
        return {
            **{name: Out(1) for name in names},
            "level_at": Out(index(chip.neuron_blocks)),
            "learned": In(1),
        }

    def elaborate(self, platform):
        m = Module()
        # Sources, neurons, blocks or channel blocks that are left in this phase.
        left = Signal(range(max(self.chip.channels, self.chip.neurons) + 1))
        waits = [self.FLUSH, self.DRAIN, self.settle]
        if self.chip.learn is not None:
            waits.append(self.SUM)
        wait = Signal(range(max(waits)))
        projections_left = Signal.like(self.population.projections)
        with m.FSM():
            self._commands(m)
            self._tables(m, left, wait, projections_left)
            self._scan(m, left, wait, projections_left)
            self._update(m, left, wait)
            self._end(m, left)
            if self.chip.learn is not None:
                self._levels(m, left, wait)
                self._learn(m)
        with m.If(self.passed):
            m.d.sync += self.row.eq(self.row + self.population.blocks)
        return m

    def _commands(self, m: Module) -> None:
        with m.State("IDLE"):
            m.d.comb += self.idle.eq(1)
            m.d.comb += self.i.ready.eq(~self.receiving)
            with m.If(self.i.valid & self.i.ready), m.Switch(self.i.payload.op):
                with m.Case(Command.EVENT):
                    m.d.comb += self.event.eq(1)
                with m.Case(Command.TICK):
                    m.next = "START"
                with m.Case(Command.CLEAR):
                    m.next = "CLEAR"
                if self.chip.learn is not None:
                    self._begin_learning(m)
        with m.State("CLEAR"):
            m.d.comb += self.clear.eq(1)
            m.d.sync += self.t.eq(0)
            m.d.sync += self.clear_at.eq(self.clear_at + 1)
            with m.If(self.clear_at == self.deepest - 1):
                m.d.sync += self.clear_at.eq(0)
                m.next = "IDLE"

    def _tables(self, m: Module, left, wait, projections_left) -> None:
        """Take the next population of the tick, and the next projection of the population."""
        chip = self.chip
        lanes = Const(0, exact_log2(chip.lanes))
        populations_left = Signal.like(self.control.populations)
        with m.State("START"):
            # The host may have read or written in the clock of the command.
            m.next = "FETCH"
        with m.State("FETCH"):
            m.d.sync += populations_left.eq(self.control.populations)
            m.d.sync += self.block.eq(0)
            to_population(m, self)
        with m.State("POPULATION"):
            m.d.sync += self.emitting.eq(0)
            with m.If(populations_left == 0):
                m.d.sync += left.eq(self.control.channel_blocks)
                m.d.sync += self.population_at.eq(0)
                m.d.sync += self.projection_at.eq(0)
                m.next = "WIPE"
            with m.Else():
                m.d.sync += populations_left.eq(populations_left - 1)
                m.d.sync += projections_left.eq(self.population.projections)
                m.d.sync += self.population_at.eq(following(self.population_at, chip.populations))
                m.d.sync += self.first.eq(self.block)
                to_projection(m, self, self.population.projections)
        with m.State("PROJECTION"):
            with m.If(projections_left == 0):
                m.d.sync += wait.eq(self.DRAIN - 1)
                m.next = "DRAIN"
            with m.Else():
                m.d.sync += projections_left.eq(projections_left - 1)
                m.d.sync += self.projection_at.eq(following(self.projection_at, chip.projections))
                m.d.sync += self.source.eq(Cat(lanes, self.projection.pre))
                m.d.sync += self.delay.eq(self.projection.delays)
                m.d.sync += self.row.eq(self.projection.weights)
                m.d.sync += left.eq(self.projection.size)
                m.next = "SCAN"

    def _scan(self, m: Module, left, wait, projections_left) -> None:
        """Read `left` counts from `source` on, and let the last of them out of the pipeline."""
        with m.State("SCAN"):
            m.d.comb += self.read.eq(1)
            with m.If(self.advance):
                m.d.sync += self.source.eq(self.source + 1)
                m.d.sync += self.delay.eq(self.delay + 1)
                m.d.sync += left.eq(left - 1)
                with m.If(left == 1):
                    m.d.sync += wait.eq(self.FLUSH - 1)
                    m.next = "FLUSH"
        with m.State("FLUSH"), m.If(self.advance):
            m.d.sync += wait.eq(wait - 1)
            with m.If(wait == 0):
                with m.If(~self.emitting):
                    to_projection(m, self, projections_left)
                if self.chip.learn is not None:
                    with m.Elif(self.population.readout & self.control.remember):
                        self._begin_levels(m, left)
                with m.Else():
                    to_population(m, self)

    def _update(self, m: Module, left, wait) -> None:
        """Update the blocks of the population once all sums are in; then scan it to emit."""
        population = self.population
        lanes = Const(0, exact_log2(self.chip.lanes))
        with m.State("DRAIN"):
            m.d.sync += wait.eq(wait - 1)
            m.d.sync += left.eq(population.blocks)
            with m.If(wait == 0):
                m.next = "UPDATE"
        with m.State("UPDATE"):
            m.d.comb += self.collect.eq(1)
            m.d.sync += self.block.eq(self.block + 1)
            m.d.sync += left.eq(left - 1)
            with m.If(left == 1):
                m.d.sync += wait.eq(self.settle - 1)
                m.next = "SETTLE"
        with m.State("SETTLE"):
            m.d.sync += wait.eq(wait - 1)
            m.d.sync += left.eq(population.size)
            m.d.sync += self.source.eq(Cat(lanes, self.first))
            with m.If(wait == 0):
                with m.If(population.readout | population.emit):
                    m.d.sync += self.emitting.eq(1)
                    m.next = "SCAN"
                with m.Else():
                    to_population(m, self)

    def _end(self, m: Module, left) -> None:
        """Wipe the channels at the next tick, send the END marker, and count the tick."""
        with m.State("WIPE"):
            with m.If(left == 0):
                m.d.sync += self.wipe_block.eq(0)
                m.next = "END"
            with m.Else():
                m.d.comb += self.wipe.eq(1)
                m.d.sync += self.wipe_block.eq(self.wipe_block + 1)
                m.d.sync += left.eq(left - 1)
        with m.State("END"):
            m.d.comb += self.end.eq(1)
            m.next = "ENDED"
        with m.State("ENDED"), m.If(self.ended):
            if self.chip.learn is None:
                m.d.sync += self.t.eq(self.t + 1)
            else:
                m.d.sync += self.t.eq(Mux(self.learning, self.t, self.t + 1))
                m.d.sync += self.learning.eq(0)
            m.next = "IDLE"

    def _begin_levels(self, m: Module, left) -> None:
        """Look up the levels of a readout now that its largest membrane is known."""
        m.d.sync += self.final.eq(0)
        m.d.sync += self.level_at.eq(self.first)
        m.d.sync += left.eq(self.population.blocks)
        m.next = "LEVELS"

    def _levels(self, m: Module, left, wait) -> None:
        """Add up the levels of a readout in one pass, and write them in another."""
        with m.State("LEVELS"):
            m.d.comb += self.level.eq(1)
            m.d.comb += self.level_first.eq(self.level_at == self.first)
            m.d.comb += self.level_last.eq(left == 1)
            m.d.sync += self.level_at.eq(self.level_at + 1)
            m.d.sync += left.eq(left - 1)
            m.d.sync += wait.eq(self.SUM - 1)
            with m.If((left == 1) & self.final):
                to_population(m, self)
            with m.Elif(left == 1):
                m.next = "SUM"
        with m.State("SUM"):
            m.d.sync += wait.eq(wait - 1)
            m.d.sync += self.final.eq(1)
            m.d.sync += self.level_at.eq(self.first)
            m.d.sync += left.eq(self.population.blocks)
            with m.If(wait == 0):
                m.next = "LEVELS"

    def _begin_learning(self, m: Module) -> None:
        for command, begin in ((Command.LEARN, self.learn), (Command.UPDATE, self.update)):
            with m.Case(command):
                m.d.comb += begin.eq(1)
                m.d.sync += self.learning.eq(1)
                m.next = "LEARN"

    def _learn(self, m: Module) -> None:
        """Wait for the LearnSequencer, and answer like a tick."""
        with m.State("LEARN"), m.If(self.learned):
            m.next = "END"
