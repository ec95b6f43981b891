"""The whole chip: its stages, and what runs between them."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from datapath import Chip, ports
from datapath.memory import memories
from datapath.ports import Result
from rtl.axon import AxonStage
from rtl.current import CurrentStage
from rtl.learning import Learning, forward
from rtl.lif import LifStage
from rtl.memory import HostBus, HostPort, after, below, build, index, loaded, select, struct
from rtl.readout import ReadoutStage
from rtl.sequencer import Sequencer
from rtl.synapse import SynapseStage


class ProbePort(wiring.Signature):
    """What the update of a block of neurons shows, seen from the chip.

    Members
    -------
    valid : Out(1)
    block : Out(index of a block)
    lanes : Out(array of `datapath.ports.probe`)
    """

    def __init__(self, chip: Chip) -> None:
        super().__init__(
            {
                "valid": Out(1),
                "block": Out(index(chip.neuron_blocks)),
                "lanes": Out(data.ArrayLayout(struct(ports.probe(chip)), chip.lanes)),
            }
        )


class ChipTop(wiring.Component):
    """Run any image that fits `chip`.

    Holds the loaded memories `populations`, `projections` and `neurons`, and `membranes`; the
    stages hold the others.

    Members
    -------
    i : In(stream of `datapath.ports.command`)
        Commands; `ready` while the chip is idle.
    o : Out(stream of `datapath.ports.result`)
        Results; a field that an operation does not have is 0.
    host : In(HostPort(chip))
        Control registers and loaded memories, while the chip is idle.
    probe : Out(ProbePort(chip))
        Every update of a block.
    """

    def __init__(self, chip: Chip) -> None:
        self.chip = chip
        self.specs = {spec.name: spec for spec in memories(chip)}
        super().__init__(
            {
                "i": In(stream.Signature(struct(ports.command(chip)))),
                "o": Out(stream.Signature(struct(ports.result(chip)))),
                "host": In(HostPort(chip)),
                "probe": Out(ProbePort(chip)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.bus = bus = HostBus(self.chip)
        m.submodules.sequencer = sequencer = Sequencer(self.chip)
        m.submodules.axon = axon = AxonStage(self.chip)
        m.submodules.synapse = synapse = SynapseStage(self.chip)
        m.submodules.lif = lif = LifStage(self.chip)
        m.submodules.readout = readout = ReadoutStage(self.chip)

        learning = None if self.chip.learn is None else Learning(m, self.chip)
        walk = forward(sequencer) if learning is None else learning.walk(m, sequencer)

        # A delivery holds the scan up, and so does a result that is not taken.
        advance = Signal()
        m.d.comb += advance.eq(~synapse.busy & (~self.o.valid | self.o.ready))
        self._load(m, bus, sequencer, walk, axon, synapse)
        self._receive(m, sequencer, walk, axon)
        self._deliver(m, sequencer, walk, axon, synapse, advance, learning)
        v = self._update(m, bus, sequencer, walk, axon, synapse, lif, advance, learning)
        self._emit(m, sequencer, axon, readout, v, advance)
        beyond = self.probe.valid & Cat(one.saturated for one in self.probe.lanes).any()
        beyond |= axon.saturated | readout.saturated
        anew = sequencer.clear | sequencer.end
        if learning is not None:
            learning.load(m, bus, axon, synapse)
            learning.command(m, bus, sequencer, self.i.payload.channel)
            learning.look_up(m, bus, sequencer, lif, readout, self.probe.block, v)
            learning.sweep(m, bus, sequencer, axon, synapse, v, advance)
            beyond |= learning.saturated
            anew |= sequencer.learn | sequencer.update
        saturated = Signal()
        with m.If(beyond):
            m.d.sync += saturated.eq(1)
        with m.If(anew):
            m.d.sync += saturated.eq(0)
        with m.If(sequencer.end):
            m.d.sync += [
                self.o.valid.eq(1),
                self.o.payload.op.eq(Result.END),
                self.o.payload.index.eq(readout.winner),
                self.o.payload.value.eq(readout.best),
                self.o.payload.saturated.eq(saturated),
            ]
        return m

    def _load(self, m: Module, bus, sequencer, walk, axon, synapse) -> None:
        """Connect the host and the two tables."""
        wiring.connect(m, wiring.flipped(self.host), bus.host)
        wiring.connect(m, wiring.flipped(self.i), sequencer.i)
        m.d.comb += bus.idle.eq(sequencer.idle)
        m.d.comb += sequencer.control.eq(bus.control)
        for stage, names in (
            (axon, ("axonal_delays",)),
            (synapse, ("weights", "synaptic_delays", "dendritic_delays")),
        ):
            for name in names:
                if name in self.specs:
                    wiring.connect(m, getattr(bus, name), getattr(stage, name))
        for name, at, read in (
            ("population", walk.population_at, walk.read_population),
            ("projection", walk.projection_at, walk.read_projection),
        ):
            spec = self.specs[f"{name}s"]
            entry = loaded(m, spec, getattr(bus, spec.name), at, read)
            m.d.comb += getattr(sequencer, name).eq(entry[0])

    def _receive(self, m: Module, sequencer, walk, axon) -> None:
        """Take events, and empty what was received for an earlier tick."""
        m.d.comb += [
            axon.t.eq(walk.t),
            axon.start.eq(sequencer.event),
            axon.channel.eq(self.i.payload.channel),
            axon.count.eq(self.i.payload.count),
            sequencer.receiving.eq(axon.busy),
            axon.wipe.eq(sequencer.wipe),
            axon.wipe_block.eq(sequencer.wipe_block),
            axon.clear.eq(sequencer.clear),
            axon.clear_at.eq(sequencer.clear_at),
        ]

    def _deliver(self, m: Module, sequencer, walk, axon, synapse, advance, learning) -> None:
        """Scan the sources of a projection, or of spikes to emit, and deliver a row for a count."""
        emitting = sequencer.emitting
        population, projection = sequencer.population, sequencer.projection
        delivers = axon.o_valid & axon.o_count.any() & advance & ~emitting
        if learning is not None:
            delivers |= learning.learner.feed
        m.d.comb += [
            sequencer.advance.eq(advance),
            sequencer.passed.eq(axon.o_valid & advance),
            axon.advance.eq(advance),
            axon.read.eq(walk.read & ~(emitting & population.readout)),
            axon.source.eq(walk.source),
            axon.neuron.eq(emitting | projection.neuron),
            axon.age.eq(~emitting & projection.age),
            axon.axonal.eq(~emitting & projection.axonal),
            axon.resolution.eq(projection.resolution),
            synapse.t.eq(walk.slot),
            synapse.start.eq(delivers),
            synapse.row.eq(walk.row),
            synapse.block.eq(walk.block),
            synapse.blocks.eq(walk.blocks),
            synapse.count.eq(axon.o_count),
            synapse.scale.eq(walk.scale),
            synapse.resolution.eq(projection.resolution),
            synapse.synaptic.eq(walk.synaptic),
            synapse.dendritic.eq(walk.dendritic),
            synapse.delays.eq(projection.delays),
            synapse.clear.eq(walk.clear),
            synapse.clear_at.eq(walk.clear_at),
        ]
        if self.chip.axon.delays:
            m.d.comb += axon.delay.eq(walk.delay)

    def _update(self, m: Module, bus, sequencer, walk, axon, synapse, lif, advance, learning):
        """Send blocks of neurons through the LifStage; return the membranes read two clocks ago."""
        population = sequencer.population
        updated = Signal.like(sequencer.block)
        with m.If(lif.o_valid):
            m.d.sync += updated.eq(updated + 1)
        with m.If(sequencer.idle):
            m.d.sync += updated.eq(0)
        collected = after(m, sequencer.collect, "collect", synapse.COLLECT)
        collect, block, beyond = sequencer.collect, sequencer.block, Const(0, self.chip.lanes)
        if self.chip.current is None:
            m.d.comb += [lif.valid.eq(collected), lif.i.eq(synapse.i)]
        else:
            # A neuron is read when its current is known, so that nothing of it has to wait.
            current = self._currents(m, bus, sequencer, synapse, collected)
            collect = after(m, collect, "flowed", current.LATENCY)
            block = after(m, block, "flowed_block", current.LATENCY)
            beyond = after(m, current.o_saturated, "beyond", lif.LATENCY)
            m.d.comb += [lif.valid.eq(current.o_valid), lif.i.eq(current.o_i)]
        v = self._membranes(m, sequencer, lif, (collect, block, updated), advance, learning)
        read = loaded(m, self.specs["neurons"], bus.neurons, block, collect)
        neuron = after(m, read, "neuron")
        m.d.comb += [
            synapse.collect.eq(walk.collect),
            synapse.collect_block.eq(walk.collect_block),
            lif.readout.eq(population.readout),
            lif.zero.eq(population.zero),
            axon.write.eq(lif.o_valid),
            axon.block.eq(updated),
            axon.spikes.eq(lif.o_fired),
            self.probe.valid.eq(lif.o_valid),
            self.probe.block.eq(updated),
        ]
        for lane in range(self.chip.lanes):
            shown = self.probe.lanes[lane]
            m.d.comb += [
                lif.v[lane].eq(v[lane].v),
                lif.threshold[lane].eq(neuron[lane].threshold),
                lif.bias[lane].eq(neuron[lane].bias),
                lif.coefficient[lane].eq(neuron[lane].coefficient),
                shown.v.eq(lif.o_v[lane]),
                shown.u.eq(lif.o_u[lane]),
                shown.fired.eq(lif.o_fired[lane]),
                shown.saturated.eq(lif.o_saturated[lane] | beyond[lane]),
            ]
        return v

    def _currents(self, m: Module, bus, sequencer, synapse, collected):
        """Build the currents and their leaks; return the stage that every sum goes through."""
        m.submodules.current = current = CurrentStage(self.chip)
        spec = self.specs["currents"]
        currents = build(m, spec)
        read = currents.read_port()
        write = currents.write_port()
        flowed = Signal.like(sequencer.block)
        with m.If(current.o_valid):
            m.d.sync += flowed.eq(flowed + 1)
        with m.If(sequencer.idle):
            m.d.sync += flowed.eq(0)
        leaks = self.specs["current_leaks"]
        leak = loaded(m, leaks, bus.current_leaks, sequencer.block, sequencer.collect)
        leak, i = after(m, leak, "leak"), after(m, read.data, "i")
        m.d.comb += [
            read.en.eq(sequencer.collect),
            read.addr.eq(sequencer.block),
            write.en.eq(
                current.o_valid | (sequencer.clear & below(sequencer.clear_at, spec.words))
            ),
            write.addr.eq(Mux(sequencer.clear, sequencer.clear_at, flowed)),
            write.data.eq(Mux(sequencer.clear, 0, current.o_i)),
            current.valid.eq(collected),
            current.received.eq(synapse.i),
        ]
        for lane in range(self.chip.lanes):
            m.d.comb += [
                current.i[lane].eq(i[lane].i),
                current.coefficient[lane].eq(leak[lane].coefficient),
            ]
        return current

    def _membranes(self, m: Module, sequencer, lif, update, advance, learning):
        """Build the membranes, which an update reads and writes and a scan of readouts reads.

        Learning reads them, too.  update : whether one reads, the block that it reads, and the
        block that it writes.
        """
        collect, block, updated = update
        spec = self.specs["membranes"]
        membranes = build(m, spec)
        read = membranes.read_port()
        write = membranes.write_port()
        scanned = sequencer.source[exact_log2(self.chip.lanes) :]
        emits = sequencer.read & sequencer.emitting & sequencer.population.readout & advance
        enable, address, new = emits, scanned, lif.o_v
        v = after(m, read.data, "v", advance=advance)
        if learning is not None:
            enable, address = learning.membranes(sequencer, enable, address)
            new = learning.count(m, lif, v)
        m.d.comb += [
            read.en.eq(collect | enable),
            read.addr.eq(Mux(collect, block, address)),
            write.en.eq(lif.o_valid | (sequencer.clear & below(sequencer.clear_at, spec.words))),
            write.addr.eq(Mux(sequencer.clear, sequencer.clear_at, updated)),
            write.data.eq(Mux(sequencer.clear, 0, new)),
        ]
        return v

    def _emit(self, m: Module, sequencer, axon, readout, v, advance) -> None:
        """Score the membranes of readouts, send them and spikes, and hold what is not taken."""
        population = sequencer.population
        lane_bits = exact_log2(self.chip.lanes)
        emitting = sequencer.emitting
        read = sequencer.read & emitting & population.readout
        scored = after(m, read, "scored", 3, advance)
        lane = after(m, sequencer.source[:lane_bits], "lane", 2, advance)
        membrane = after(m, select([one.v for one in v], lane), "membrane", advance=advance)
        emitted = Signal.like(self.o.payload.index)
        spike = axon.o_valid & emitting & ~population.readout
        m.d.comb += [
            readout.valid.eq(scored & advance),
            readout.first.eq(emitted == 0),
            readout.index.eq(emitted),
            readout.v.eq(membrane),
            readout.clear.eq(sequencer.clear),
            readout.clear_at.eq(sequencer.clear_at),
        ]
        with m.If(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        m.d.comb += sequencer.ended.eq(self.o.valid & self.o.ready)
        with m.If(~emitting):
            m.d.sync += emitted.eq(0)
        with m.Elif(advance & (scored | spike)):
            m.d.sync += [
                emitted.eq(emitted + 1),
                self.o.valid.eq(Mux(scored, population.emit, axon.o_count.any())),
                self.o.payload.op.eq(Mux(scored, Result.READOUT, Result.SPIKE)),
                self.o.payload.index.eq(emitted),
                self.o.payload.value.eq(Mux(scored, membrane, 0)),
                self.o.payload.saturated.eq(0),
            ]
