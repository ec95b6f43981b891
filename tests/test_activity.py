"""What a chip does: deliveries as the emulator counts them, the rest worked out by hand."""

from dataclasses import replace

import numpy as np
import pytest

from datapath import Delay, Image, Kind, Population, Projection, Reset
from datapath.catalog import CHIPS, TINY
from datapath.memory import memories
from emulator.chip import run
from quant.activity import activity, longest
from quant.budget import budget
from quant.cost import counted_as, speed
from quant.energy import TABLE, access, arithmetic, energy, per_bit
from quant.neurobench import neurobench
from quant.operations import Arithmetic, operations
from quant.waiting import ways
from sim.images import random_counts, random_image


def image(delay=Delay.AXONAL, delays=(0, 3)):
    """Two channels, one neuron that fires at every spike, one readout; 10 ticks of 1 ms."""
    return Image(
        chip=TINY,
        input_name="in",
        channels=2,
        units=2,
        dt_us=1000,
        steps=10,
        populations=(
            Population("hidden", Kind.LIF, 1, 1, 0, 0, Reset.ZERO, False),
            Population("out", Kind.READOUT, 2, 1, 0, 0, Reset.ZERO, False),
        ),
        projections=(
            Projection("first", "in", "hidden", [[5, 6]], 0, delay, list(delays), 0),
            Projection("last", "hidden", "out", [[0], [7]], 0, Delay.NONE, 0, 0),
        ),
    )


def counts(*events):
    """One recording; an event is (tick, channel, count)."""
    found = np.zeros((1, 10, 2), np.int64)
    for tick, channel, count in events:
        found[0, tick, channel] = count
    return found


@pytest.mark.parametrize("seed", range(8))
def test_deliveries_are_those_of_the_emulator(seed):
    rng = np.random.default_rng(seed)
    drawn = random_image(rng, CHIPS["tiny"], 20)
    given = np.minimum(random_counts(rng, drawn, 3), drawn.chip.axon.count.max)
    found, done = activity(drawn, given), run(drawn, given)
    for reach in found.projections:
        assert reach.deliveries == done.deliveries[reach.name].sum()
    assert found.total_cycles.tolist() == done.total_cycles.tolist()
    assert found.events == np.count_nonzero(given)


def test_reaches_worked_out_by_hand():
    # Channel 1 is read 3 ticks late: its event of tick 8 comes too late, the others fire `hidden`,
    # of whose two synapses one has a weight.
    found = activity(image(), counts((0, 0, 1), (2, 1, 3), (8, 1, 1)))
    first, last = found.projections
    assert (first.deliveries, first.effective, first.multiplied, first.dense) == (2, 2, 1, 20)
    assert (last.deliveries, last.effective, last.multiplied, last.dense) == (2, 2, 0, 20)
    assert (found.events, found.spikes, found.neurons) == (3, 2, 1)


def test_spikes_wait_as_long_as_they_are_needed():
    # Channel 1 waits for 3 ticks more than that of the event; channel 0 does not wait.
    found = activity(image(), counts((2, 1, 1), (3, 1, 1), (4, 1, 1), (6, 1, 1), (6, 0, 1)))
    assert longest(image(), "in").tolist() == [0, 3]
    assert found.waiting["in"] == 4
    alone = activity(image(), counts((2, 1, 1), (5, 1, 1), (9, 1, 1)))
    assert alone.waiting["in"] == 2


def test_metrics_of_neurobench_by_hand():
    found = neurobench(image(), activity(image(), counts((0, 0, 1), (2, 1, 3))))
    assert found.connection_sparsity == 1 / 4
    assert found.activation_sparsity == 1 - 2 / 10
    # Tick 5 has a count of 3 at the input: its synapse multiplies.
    assert (found.effective_acs, found.effective_macs, found.dense) == (3, 1, 40)
    # 4 weights of 5 bits, 2 delays of 3, and per neuron bias 8, coefficient 7, membrane 12 and,
    # where it fires, threshold 12.
    assert found.footprint_bytes == (4 * 5 + 2 * 3 + 3 * (8 + 7 + 12) + 12) / 8


def test_ways_to_hold_delays_by_hand():
    found = {(w.owner, w.place): w for w in ways(image(), activity(image(), counts((2, 1, 1))))}
    # Delays up to 3 take 2 bits: one word per channel, or per synapse of 2.
    assert found[Delay.AXONAL, "spike ring"].words == 2 * 2
    assert found[Delay.SYNAPTIC, "accumulator ring"].words == 2 * 2
    # Rings: 4 ticks of 2 channels of 3 bits, 1 tick of one neuron; sums of 3 neurons of 16 bits.
    assert found[Delay.AXONAL, "spike ring"].waiting == 4 * 2 * 3 + 1
    assert found[Delay.AXONAL, "spike ring"].sums == 3 * 16
    assert found[Delay.SYNAPTIC, "accumulator ring"].waiting == (4 + 2) * 16
    # One spike under way of 1 bit (which channel), 2 (how long ago), 3 (how many); and one of the
    # neuron, of 1 bit.
    assert found[Delay.AXONAL, "event queue"].waiting == 6 + 1
    assert found[Delay.AXONAL, "event queue"].measured
    assert len(ways(image(), None)) == 3


@pytest.mark.parametrize("name", ["tiny", "tiny-shift"])
def test_every_memory_is_counted_once(name):
    rng = np.random.default_rng(0)
    drawn = random_image(rng, CHIPS[name], 6)
    given = np.minimum(random_counts(rng, drawn, 2), drawn.chip.axon.count.max)
    done = operations(drawn, activity(drawn, given))
    names = [a.name for a in done.accesses]
    assert len(names) == len(set(names))
    assert set(names) == {counted_as(m.name) for m in memories(drawn.chip)}


def test_operations_worked_out_by_hand():
    done = operations(image(), activity(image(), counts((0, 0, 1), (2, 1, 3))))
    found = {a.name: a for a in done.accesses}
    # Two rows for `hidden` and two for `out`, one word each; 10 ticks of 2 channels and 1 neuron.
    assert found["weights"].reads == 4
    assert found["axonal_delays"].reads == 20
    # A read per source, and one per event; a write per event, per tick to wipe, and 32 to clear.
    assert found["channel_history"].reads == 20 + 2
    assert found["channel_history"].writes == 2 + 10 + 4 * 8
    assert found["neuron_history"].reads == 10
    # Two lanes: a row reads and writes a word of each, an update too; both populations, 10 ticks.
    assert found["accumulators"].reads == 2 * 4 + 2 * 2 * 10
    assert found["membranes"].reads == 2 * 10 + 2 * 10
    assert done.arithmetic[0] == Arithmetic("weight times count", 2 * 4, (5, 6))


def test_energy_is_that_of_the_table():
    # 64 bits out of 32 KiB, as published; half way below 8 KiB it is at least half.
    assert access(64, 32 << 13) == pytest.approx((20, 20))
    low, high = access(64, 2 << 13)
    assert (low, high) == pytest.approx((5, 10))
    assert arithmetic((8,))[1] == pytest.approx(0.03)
    assert arithmetic((32,))[0] == pytest.approx(0.1)
    assert arithmetic((8, 8))[1] == pytest.approx(0.2)
    assert arithmetic((32, 32))[0] == pytest.approx(3.1)
    assert all(entry.source and entry.year for entry in TABLE.values())
    done = operations(image(), activity(image(), counts((0, 0, 1))))
    spreads = {s.name: s for s in energy(done, registers=320, clocks=100)}
    assert spreads["registers"].high == pytest.approx(100 * 320 * per_bit("register"))
    assert all(s.low <= s.high * (1 + 1e-9) for s in spreads.values())


def test_time_of_clocks():
    found = speed(np.array([[100, 300]]), np.array([500]), dt_us=1000, mhz=10)
    assert (found.mean_ms, found.tick_us, found.recordings_per_s) == (0.05, 30.0, 20_000)
    assert found.real_time == 40
    with pytest.raises(ValueError, match="mhz must be more than 0, not 0"):
        speed(np.array([[1]]), np.array([1]), 1000, 0)
    with pytest.raises(ValueError, match="at least one recording"):
        activity(image(), np.zeros((0, 10, 2), np.int64))


def test_a_chip_alone_has_no_work():
    found = budget(replace(TINY), None, None, 25.0)
    assert set(found) == {"memory", "area"}
