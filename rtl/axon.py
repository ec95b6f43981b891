"""Spike histories, read at the age of the axonal delay."""

from amaranth.hdl import Cat, Const, Module, Mux, Shape, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from datapath import Chip
from datapath.memory import memories, projection_fields
from datapath.timing import EVENT
from rtl.fixed import fits, saturate, shape
from rtl.memory import (
    LoadPort,
    UpdatePort,
    after,
    below,
    build,
    index,
    learn_of,
    learned,
    loaded,
    select,
)


def sweep_shape(chip: Chip) -> Shape:
    """Shape of a tick that may lie before a recording or behind it, as in a sweep of LEARN."""
    p, axon = learn_of(chip), chip.axon
    latest = max(axon.channel_steps, axon.neuron_steps, p.steps + p.taps)
    return signed((2 * latest).bit_length() + 1)


class AxonStage(wiring.Component):
    """Counts of every source in every tick of its history.

    Holds `channel_history` and `neuron_history`, whose word `block * steps + slot` has the counts
    of `lanes` neighbouring sources in tick `slot` modulo the steps, and `axonal_delays`.

    Only one of receiving, reading, wiping and clearing goes on at a time; spikes may be written
    while nothing of their tick is read.

    Members
    -------
    t : In(tick modulo the deeper history)
        The tick; stands still from its first event to its last wipe.

    start, channel, count : In(1), In(index of a channel), In(axon.count)
        Add `count` to `channel` in tick `t`. Not looked at while `busy`.
    busy : Out(1)
        For the `EVENT - 1` clocks after a `start`.
    saturated : Out(1)
        In clock n + EVENT of a `start` in clock n: the sum did not fit. The history has the sum
        from the next clock on.

    write, block, spikes : In(1), In(index of a block), In(lanes)
        Store the spikes of a block of neurons in tick `t`.
    wipe, wipe_block : In(1), In(index of a block)
        Empty a block of channels at the slot of tick `t + 1`.
    clear, clear_at : In(1), In(index of a word)
        Empty word `clear_at` of both histories.

    advance : In(1)
        The clock of the reads: without it, no read moves and `read` is not looked at.
    read, source, delay : In(1), In(index of a source), In(index of a delay word)
        Read the count that `source` emitted `age + (k << resolution)` ticks ago, `k` being word
        `delay` of `axonal_delays`.
    neuron, age, axonal, resolution : In(1), In(1), In(1), In(format of the projection table)
        `source` is a neuron, not a channel; youngest age; without `axonal`, `k` is 0. They stand
        still from the first `read` until the last count is out.
    o_valid, o_count : Out(1), Out(axon.count)
        The count of the `read` before LATENCY clocks with `advance`; 0 or 1 for a neuron.

    axonal_delays : In(LoadPort)
        If the chip has axonal delays; likewise `delay`.

    On a chip that learns:

    sweep, tau, ticks : In(1), In(sweep_shape), In(tick)
        With `sweep`, the reads are those at tick `tau`, whose low bits are in `t`, and counts of
        sources before tick 0 and from tick `ticks` on are 0. They stand still like `age`.
    axonal_delays_update : In(UpdatePort)
    """

    LATENCY = 7

    def __init__(self, chip: Chip) -> None:
        self.chip = chip
        self.specs = {spec.name: spec for spec in memories(chip)}
        formats = {field.name: shape(field.fmt) for field in projection_fields(chip)}
        axon = chip.axon
        deeper = max(axon.channel_steps, axon.neuron_steps)
        histories = self.specs["channel_history"].words, self.specs["neuron_history"].words
        members = {
            "t": In(index(deeper)),
            "start": In(1),
            "channel": In(index(chip.channels)),
            "count": In(shape(axon.count)),
            "busy": Out(1),
            "saturated": Out(1),
            "write": In(1),
            "block": In(index(chip.neuron_blocks)),
            "spikes": In(chip.lanes),
            "wipe": In(1),
            "wipe_block": In(index(chip.channel_blocks)),
            "clear": In(1),
            "clear_at": In(index(max(histories))),
            "advance": In(1),
            "read": In(1),
            "source": In(index(max(chip.channels, chip.neurons))),
            "neuron": In(1),
            "age": In(1),
            "axonal": In(1),
            "resolution": In(formats["resolution"]),
            "o_valid": Out(1),
            "o_count": Out(shape(axon.count)),
        }
        if axon.delays:
            members["delay"] = In(index(axon.delays))
            members["axonal_delays"] = In(LoadPort(self.specs["axonal_delays"]))
        if chip.learn is not None:
            members |= {"sweep": In(1), "tau": In(sweep_shape(chip)), "ticks": In(index(deeper))}
            if axon.delays:
                members["axonal_delays_update"] = In(UpdatePort(self.specs["axonal_delays"]))
        super().__init__(members)

    def elaborate(self, platform):
        m = Module()
        lane_bits = exact_log2(self.chip.lanes)
        reading = Signal(self.LATENCY)
        with m.If(self.advance):
            m.d.sync += reading.eq(Cat(self.read, reading))
        m.d.comb += self.o_valid.eq(reading[-1])
        slot, outside_6 = self._slot(m)
        sources = [self.source]
        for clock in range(1, self.LATENCY):
            sources.append(Signal.like(self.source, name=f"source_{clock}"))
            with m.If(self.advance):
                m.d.sync += sources[clock].eq(sources[clock - 1])
        at = reading[3] & self.advance, slot, sources[4][lane_bits:]
        channels = self._channels(m, *at)
        neurons = self._neurons(m, *at)
        lane = sources[6][:lane_bits]
        counts = [Mux(self.neuron, neurons[n], channels[n].count) for n in range(self.chip.lanes)]
        count = select(counts, lane)
        with m.If(self.advance):
            m.d.sync += self.o_count.eq(count if outside_6 is None else Mux(outside_6, 0, count))
        return m

    def _slot(self, m: Module):
        """Slot of the history that is read, four clocks after `read`.

        And whether its tick is outside of a recording that is learned from, six clocks after it.
        """
        reach = Signal.like(self.t)
        youngest = Signal.like(self.t)
        slot = Signal.like(self.t)
        if self.chip.axon.delays:
            spec = self.specs["axonal_delays"]
            enable = self.read & self.axonal & self.advance
            if self.chip.learn is None:
                read = loaded(m, spec, self.axonal_delays, self.delay, enable)
            else:
                update = self.axonal_delays_update
                read = learned(m, spec, self.axonal_delays, update, self.delay, enable)
            delay = Signal(shape(self.chip.axon.delay))
            with m.If(self.advance):
                m.d.sync += delay.eq(read[0].delay)
                m.d.sync += reach.eq(Mux(self.axonal, delay << self.resolution, 0))
        m.d.sync += youngest.eq(self.t - self.age)
        with m.If(self.advance):
            m.d.sync += slot.eq(youngest - reach)
        if self.chip.learn is None:
            return slot, None
        latest = after(m, self.tau - self.age, "latest")
        tick_4 = after(m, latest - reach, "source_tick", advance=self.advance)
        outside = self.sweep & ((tick_4 < 0) | (tick_4 >= self.ticks))
        return slot, after(m, outside, "outside", 2, self.advance)

    def _channels(self, m: Module, reading, slot, block):
        """Build the history of the channels; return the word read two clocks ago."""
        spec = self.specs["channel_history"]
        history = build(m, spec)
        read = history.read_port()
        write = history.write_port()
        slot_bits = exact_log2(self.chip.axon.channel_steps)
        lane_bits = exact_log2(self.chip.lanes)
        now = self.t[:slot_bits]
        then = (self.t + 1)[:slot_bits]
        channel = Signal.like(self.channel, name="received_channel")
        count = Signal.like(self.count, name="received_count")
        receiving = Signal(EVENT)
        start = self.start & ~self.busy
        m.d.comb += self.busy.eq(receiving[:-1].any())
        m.d.sync += receiving.eq(Cat(start, receiving))
        with m.If(start):
            m.d.sync += channel.eq(self.channel)
            m.d.sync += count.eq(self.count)
        received_at = Cat(now, channel[lane_bits:])
        m.d.comb += read.en.eq((reading & ~self.neuron) | receiving[0])
        m.d.comb += read.addr.eq(Mux(receiving[0], received_at, Cat(slot[:slot_bits], block)))
        counts = Signal(read.data.shape(), name="channel_counts")
        with m.If(self.advance | receiving[1]):
            m.d.sync += counts.eq(read.data)

        lane = channel[:lane_bits]
        sum_count = select([one.count for one in counts], lane) + count
        merged = Signal(read.data.shape())
        m.d.sync += merged.eq(counts)
        for n in range(self.chip.lanes):
            with m.If(lane == n):
                m.d.sync += merged[n].count.eq(saturate(sum_count, self.chip.axon.count))
        m.d.sync += self.saturated.eq(receiving[2] & ~fits(sum_count, self.chip.axon.count))
        m.d.comb += write.data.eq(Mux(receiving[3], merged, 0))
        with m.If(self.clear):
            m.d.comb += write.en.eq(below(self.clear_at, spec.words))
            m.d.comb += write.addr.eq(self.clear_at)
        with m.Elif(self.wipe):
            m.d.comb += write.en.eq(Const(1))
            m.d.comb += write.addr.eq(Cat(then, self.wipe_block))
        with m.Else():
            m.d.comb += write.en.eq(receiving[3])
            m.d.comb += write.addr.eq(received_at)
        return counts

    def _neurons(self, m: Module, reading, slot, block):
        """Build the history of the neurons; return the spikes read two clocks ago."""
        spec = self.specs["neuron_history"]
        history = build(m, spec)
        read = history.read_port()
        write = history.write_port()
        slot_bits = exact_log2(self.chip.axon.neuron_steps)
        m.d.comb += read.en.eq(reading & self.neuron)
        m.d.comb += read.addr.eq(Cat(slot[:slot_bits], block))
        spikes = Signal(self.chip.lanes, name="neuron_spikes")
        with m.If(self.advance):
            m.d.sync += spikes.eq(read.data)
        m.d.comb += write.en.eq(self.write | (self.clear & below(self.clear_at, spec.words)))
        written_at = Cat(self.t[:slot_bits], self.block)
        m.d.comb += write.addr.eq(Mux(self.clear, self.clear_at, written_at))
        m.d.comb += write.data.eq(Mux(self.clear, 0, self.spikes))
        return spikes
