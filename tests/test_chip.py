"""The emulated chip against a slow oracle, against its own blocks, and worked out by hand."""

import threading
from dataclasses import replace

import numba
import numpy as np
import pytest

from datapath import (
    Delay,
    Format,
    Image,
    Kind,
    Leak,
    Overflow,
    Population,
    Projection,
    Reset,
)
from datapath.catalog import TINY, TINY_CURRENT, TINY_SHIFT
from datapath.timing import EVENT, clear_cycles
from emulator.axon import axon
from emulator.chip import run
from emulator.lif import lif
from emulator.readout import readout
from emulator.records import RECORDS
from emulator.synapse import synapse
from sim.images import random_chip, random_counts, random_current_chip, random_image
from tests.oracle import play

CHIPS = {"tiny": TINY, "tiny_shift": TINY_SHIFT}
CHIPS |= {f"random_{n}": random_chip(np.random.default_rng(n), 1 << n % 4) for n in range(8)}
CHIPS |= {
    f"current_{n}": random_current_chip(np.random.default_rng(n), 1 << n % 4) for n in range(8)
}

# Currents that neither the type of a sum nor that of a membrane holds.
HEAVY = replace(
    TINY_CURRENT,
    synapse=replace(
        TINY_CURRENT.synapse, weight=Format(15), scale=Format(4, signed=False), acc=Format(32)
    ),
    current=replace(TINY_CURRENT.current, i=Format(32), overflow=Overflow.SATURATE),
)
CHIPS["current_heavy"] = HEAVY
CHIPS["current_wide"] = replace(
    HEAVY,
    current=replace(
        HEAVY.current, i=Format(44), leak=Leak.SHIFT, coefficient=Format(3, signed=False)
    ),
)


def population(name, kind, size, **given):
    words = {"threshold": 4, "bias": 0, "coefficient": 64, "reset": Reset.SUBTRACT, "emit": False}
    return Population(name, kind, size, **(words | given))


def projection(name, pre, post, weights, delays=0, mode=Delay.NONE, resolution=0, scale=0):
    return Projection(name, pre, post, np.array(weights), scale, mode, delays, resolution)


def image(populations, projections, chip=TINY, channels=2):
    return Image(chip, "in", channels, channels, 1000, 8, (*populations,), (*projections,))


def chain(*, chip=TINY, mode=Delay.NONE, delays=0, resolution=0, **readout_words):
    """Two channels, of which the first makes one hidden neuron fire, and two readouts."""
    return image(
        [
            population("hidden", Kind.LIF, 1, reset=Reset.ZERO),
            population("out", Kind.READOUT, 2, **readout_words),
        ],
        [
            projection("ih", "in", "hidden", [[5, -3]], delays, mode, resolution),
            projection("ho", "hidden", "out", [[1], [2]]),
        ],
        chip,
    )


def spikes_in(*events, steps=8, channels=2, recordings=1):
    counts = np.zeros((recordings, steps, channels), np.uint8)
    for event in events:
        counts[(0, *event)] = 1
    return counts


def check(image, counts):
    """Compare everything with the oracle."""
    got = run(image, counts, record=RECORDS)
    for r, want in enumerate(play(image, c) for c in counts.tolist()):
        said = f"recording {r}"
        assert got.classes[r] == want.winner, said
        assert got.scores[r].tolist() == want.scores, said
        assert got.cycles[r].tolist() == want.cycles, said
        assert got.event_cycles[r] == want.event_cycles, said
        assert got.clear_cycles[r] == want.clear_cycles, said
        assert got.total_cycles[r] == want.clear_cycles + want.event_cycles + sum(want.cycles)
        assert got.saturated_ticks[r].tolist() == want.saturated_ticks, said
        assert got.score_saturations[r] == want.score_saturations, said
        assert got.synaptic_operations[r] == want.synaptic_operations, said
        assert got.readout[r].tolist() == want.readout, said
        for p in image.projections:
            assert got.deliveries[p.name][r] == want.deliveries[p.name], f"{said}, {p.name}"
        for p in image.populations:
            said = f"recording {r}, {p.name}"
            assert got.sums[p.name][r].tolist() == want.sums[p.name], said
            assert got.saturated[p.name][r].tolist() == want.saturated[p.name], said
            assert got.membranes[p.name][r].tolist() == want.membranes[p.name], said
            assert got.saturations[p.name][r] == want.saturations[p.name], said
            if p.kind is Kind.LIF:
                assert got.spikes[p.name][r].tolist() == want.spikes[p.name], said
                fired = np.sum(want.spikes[p.name], axis=0, dtype=int).tolist()
                assert got.spike_counts[p.name][r].tolist() == fired, said
    return got


def heard(rng, image, recordings):
    return np.minimum(random_counts(rng, image, recordings), image.chip.axon.count.max)


def widened(image, bits=20):
    """The same network with everything on the membrane 2**bits times as large."""
    chip = image.chip

    def wide(fmt):
        return Format(fmt.width + bits, fmt.frac, signed=fmt.signed)

    chip = replace(
        chip,
        synapse=replace(chip.synapse, weight=wide(chip.synapse.weight), acc=wide(chip.synapse.acc)),
        current=chip.current and replace(chip.current, i=wide(chip.current.i)),
        lif=replace(chip.lif, v=wide(chip.lif.v), bias=wide(chip.lif.bias)),
        readout=replace(chip.readout, score=wide(chip.readout.score)),
    )
    return replace(
        image,
        chip=chip,
        populations=tuple(
            replace(p, threshold=p.threshold << bits, bias=p.bias << bits)
            for p in image.populations
        ),
        projections=tuple(replace(p, weights=p.weights << bits) for p in image.projections),
    )


@pytest.mark.parametrize("name", CHIPS)
def test_random_networks_are_those_of_the_oracle(name):
    rng = np.random.default_rng(1)
    for _ in range(6):
        network = random_image(rng, CHIPS[name], 16)
        check(network, heard(rng, network, 3))


@pytest.mark.parametrize(
    "name", ["tiny", "random_1", "random_2", "random_7", "current_1", "current_2"]
)
def test_wide_words_are_those_of_the_oracle(name):
    rng = np.random.default_rng(2)
    for _ in range(3):
        network = widened(random_image(rng, CHIPS[name], 16))
        check(network, heard(rng, network, 2))


def test_random_networks_meet_every_feature():
    rng = np.random.default_rng(1)
    networks = [random_image(rng, chip, 16) for chip in CHIPS.values() for _ in range(6)]
    projections = [(n, p) for n in networks for p in n.projections]
    assert {p.delay for _, p in projections} == set(Delay)
    modes = {(p.delay, p.resolution > 0, n.age(p)) for n, p in projections}
    assert {(mode, True, age) for mode in set(Delay) - {Delay.NONE} for age in (0, 1)} <= modes
    assert {p.reset for n in networks for p in n.populations} == set(Reset)
    assert {len(n.populations) for n in networks} >= {2, 3, 4}
    got = [run(n, heard(rng, n, 4)) for n in networks]
    assert sum(int(c.sum()) for g in got for c in g.spike_counts.values()) > 1000
    assert sum(int(c.sum()) for g in got for c in g.saturations.values()) > 1000
    assert sum(int(g.score_saturations.sum()) for g in got) > 100


def test_delays_reach_over_the_end_of_a_segment():
    # The kernels serve 256 ticks of input at one go.
    rng = np.random.default_rng(3)
    network = image(
        [
            population("hidden", Kind.LIF, 10, threshold=30, coefficient=50),
            population("out", Kind.READOUT, 3, coefficient=50),
        ],
        [
            projection(
                "ih", "in", "hidden", rng.integers(-8, 16, (10, 8)), rng.integers(0, 8, (10, 8)),
                Delay.SYNAPTIC,
            ),
            projection(
                "hh", "hidden", "hidden", rng.integers(-16, 16, (10, 10)), rng.integers(0, 4, 10),
                Delay.DENDRITIC, resolution=1,
            ),
            projection(
                "ho", "hidden", "out", rng.integers(-16, 16, (3, 10)), rng.integers(0, 4, (3, 10)),
                Delay.SYNAPTIC, resolution=1,
            ),
        ],
        channels=8,
    )  # fmt: skip
    counts = rng.integers(0, 7, (2, 600, 8), endpoint=True) * (rng.random((2, 600, 8)) < 0.2)
    got = check(network, counts)
    assert got.spike_counts["hidden"].sum() > 500


def test_many_rows_of_heavy_weights_are_summed_exactly():
    # 24 channels of up to 31 events on weights of -2048 and 2047: far beyond 16 bits.
    chip = replace(
        TINY,
        channels=24,
        axon=replace(TINY.axon, count=Format(5, signed=False)),
        synapse=replace(TINY.synapse, weight=Format(12), acc=Format(26)),
        lif=replace(TINY.lif, v=Format(24)),
        readout=replace(TINY.readout, score=Format(30)),
    )
    rng = np.random.default_rng(4)
    weights = rng.choice([-2048, 2047], (3, 24))
    weights[0] = 2047
    network = image(
        [population("out", Kind.READOUT, 3)],
        [projection("io", "in", "out", weights, scale=1)],
        chip,
        channels=24,
    )
    counts = rng.integers(0, 31, (2, 8, 24), endpoint=True)
    got = check(network, counts)
    assert got.sums["out"][0, 0].tolist() == (2 * weights @ counts[0, 0]).tolist()
    got = check(network, np.ones((1, 8, 24), int))
    assert got.sums["out"][0, 0, 0] == 2 * 24 * 2047


def composed(image, counts):
    """One recording on the block kernels, put together as docs/datapath.md says: membranes."""
    chip = image.chip
    (receive, read), (deliver, collect) = axon(chip.axon), synapse(chip.synapse)
    step, score = lif(chip.lif), readout(chip.readout)
    sizes = {p.name: p.size for p in image.populations}
    history = {image.input_name: np.zeros((image.channels, chip.axon.channel_steps), np.int64)}
    history |= {n: np.zeros((size, chip.axon.neuron_steps), np.int64) for n, size in sizes.items()}
    acc = {n: np.zeros((chip.synapse.slots, size), np.int64) for n, size in sizes.items()}
    v = {n: np.zeros(size, np.int64) for n, size in sizes.items()}
    scores, membranes = np.zeros(image.readout.size, np.int64), {n: [] for n in sizes}
    for t, events in enumerate(counts):
        for channel in np.flatnonzero(events):
            receive(history[image.input_name], t, channel, int(events[channel]))
        for p in image.populations:
            i, u = np.zeros(p.size, np.int64), np.zeros(p.size, np.int64)
            fired, saturated = np.zeros((2, p.size), np.bool_)
            for q in image.projections:
                if q.post == p.name:
                    serve(image, q, history[q.pre], read, deliver, acc[p.name], t)
            collect(acc[p.name], t, i)
            is_readout, zero = p.kind is Kind.READOUT, p.reset is Reset.ZERO
            words = (p.threshold, p.bias, p.coefficient)
            step(v[p.name], i, *words, is_readout, zero, u, fired, saturated)
            history[p.name][:, t % chip.axon.neuron_steps] = fired
            membranes[p.name].append(v[p.name].copy())
            if is_readout:
                winner, _ = score(scores, v[p.name])
        history[image.input_name][:, (t + 1) % chip.axon.channel_steps] = 0
    return membranes, scores, winner


def serve(image, q, history, read, deliver, acc, t):
    post, pre = q.weights.shape
    for source in range(pre):
        axonal = int(q.delays[source]) << q.resolution if q.delay is Delay.AXONAL else 0
        count = read(history, t, source, image.age(q) + axonal)
        delays = np.zeros(post, np.int64)
        if q.delay is Delay.DENDRITIC:
            delays = q.delays
        if q.delay is Delay.SYNAPTIC:
            delays = np.ascontiguousarray(q.delays[:, source])
        if count:
            weights = np.ascontiguousarray(q.weights[:, source])
            deliver(acc, t, weights, delays, count, q.scale, q.resolution)


@pytest.mark.parametrize("name", ["tiny", "tiny_shift"])
def test_chip_is_made_of_its_blocks(name):
    rng = np.random.default_rng(5)
    for _ in range(4):
        network = random_image(rng, CHIPS[name], 16)
        counts = heard(rng, network, 1)
        got = run(network, counts, record="membranes")
        membranes, scores, winner = composed(network, counts[0])
        for p, kept in membranes.items():
            assert (got.membranes[p][0] == np.array(kept)).all(), p
        assert (got.scores[0] == scores).all()
        assert got.classes[0] == winner


def test_spike_runs_through_the_layers_in_its_tick():
    # Tick 2: 5 >= 4 fires, and the readouts take 1 and 2; without leak they keep it.
    got = run(chain(), spikes_in((2, 0)), record=RECORDS)
    assert got.spikes["hidden"][0, :, 0].tolist() == [0, 0, 1, 0, 0, 0, 0, 0]
    assert got.membranes["out"][0, :, 1].tolist() == [0, 0, 2, 2, 2, 2, 2, 2]
    assert got.scores[0].tolist() == [6, 12]
    assert got.classes[0] == 1


@pytest.mark.parametrize(
    ("mode", "delays"),
    [(Delay.AXONAL, [2, 0]), (Delay.DENDRITIC, [2]), (Delay.SYNAPTIC, [[2, 0]])],
)
def test_delay_words_count_in_their_resolution(mode, delays):
    # Emitted in tick 1, word 2 at two ticks per word: arrives in tick 5.
    network = chain(mode=mode, delays=delays, resolution=1)
    got = run(network, spikes_in((1, 0)), record="spikes")
    assert got.spikes["hidden"][0, :, 0].tolist() == [0, 0, 0, 0, 0, 1, 0, 0]


def test_recurrent_spike_arrives_a_tick_later():
    # Silenced in tick 3 by the spike of tick 2: 5 - 3 < 4.
    network = chain()
    back = projection("hh", "hidden", "hidden", [[-3]])
    network = replace(network, projections=(*network.projections, back))
    got = run(network, spikes_in((2, 0), (3, 0)), record=("spikes", "sums"))
    assert got.sums["hidden"][0, 2:4, 0].tolist() == [5, 2]
    assert got.spikes["hidden"][0, 2:4, 0].tolist() == [True, False]


def test_ties_go_to_the_smaller_class():
    got = run(chain(bias=[3, 3]), spikes_in())
    assert got.scores[0].tolist() == [108, 108]
    assert got.classes[0] == 0


def test_clocks_are_those_of_the_contract():
    # 2 lanes.  7 + 1 block of channels; hidden: 14 + 1, its input 9 + 2 sources; out: 14 + 1, its
    # input 9 + 1 source, 8 + 2 to send 2 readouts.  A delivery takes max(1 block, 3).
    quiet = 7 + 1 + (14 + 1) + (9 + 2) + (14 + 1) + (9 + 1) + (8 + 2)
    got = run(chain(), spikes_in((1, 0), (3, 1)))
    assert got.cycles[0].tolist() == [quiet, quiet + 6, quiet, quiet + 3, *[quiet] * 4]
    assert got.event_cycles[0] == 2 * EVENT
    assert got.clear_cycles[0] == clear_cycles(TINY) == 1 + 8 * 8
    assert got.deliveries["ih"][0] == 2
    assert got.deliveries["ho"][0] == 1
    assert got.synaptic_operations[0] == 2 * 1 + 1 * 2


def test_saturation_is_counted_and_flagged_in_its_tick():
    # 127 a tick on a membrane up to 2047: out of range from tick 16 on.
    network = chain(bias=[127, 0])
    got = run(network, spikes_in(steps=19), record="saturated")
    assert got.saturated_ticks[0].tolist() == [False] * 16 + [True] * 3
    assert got.saturations["out"].tolist() == [3]
    assert got.saturations["hidden"].tolist() == [0]
    assert got.saturated["out"][0].sum(axis=0).tolist() == [3, 0]
    assert got.score_saturations.tolist() == [0]


def test_recording_starts_from_a_cleared_chip():
    # Spikes still under way, charged membranes and scores of one recording never reach the next.
    rng = np.random.default_rng(6)
    network = random_image(rng, CHIPS["random_7"], 16)
    counts = heard(rng, network, 40)
    counts[:20, -3:] = network.chip.axon.count.max
    alone = [run(network, c[None]).scores[0].tolist() for c in counts]
    order = rng.permutation(40)
    assert run(network, counts).scores.tolist() == alone
    assert run(network, counts[order]).scores.tolist() == [alone[n] for n in order]


def test_number_of_threads_changes_nothing():
    rng = np.random.default_rng(7)
    network = random_image(rng, TINY, 16)
    counts, threads = heard(rng, network, 100), numba.get_num_threads()
    seen, results = [], []
    try:
        for n in (1, threads):
            numba.set_num_threads(n)
            results.append(run(network, counts, record=RECORDS, progress=seen.append))
    finally:
        numba.set_num_threads(threads)
    one, more = results
    assert (one.scores == more.scores).all()
    assert (one.cycles == more.cycles).all()
    assert all((one.membranes[p] == more.membranes[p]).all() for p in one.membranes)
    assert sum(seen) == 200


@pytest.mark.parametrize(
    "kind", [np.bool_, np.int8, np.uint16, ">i4", np.int64, np.uint64], ids=str
)
def test_counts_may_be_any_integers(kind):
    counts = spikes_in((2, 0), (3, 1))
    assert run(chain(), counts.astype(kind)).scores.tolist() == run(chain(), counts).scores.tolist()
    assert run(chain(), np.asfortranarray(counts.astype(kind))).scores[0, 1] == 12


def test_recordings_may_be_of_any_length():
    assert run(chain(), spikes_in(steps=0)).classes.tolist() == [0]
    assert run(chain(), spikes_in(steps=0)).cycles.shape == (1, 0)
    assert run(chain(), spikes_in(recordings=0)).scores.shape == (0, 2)
    assert run(chain(), spikes_in((500, 0), steps=501)).scores[0].tolist() == [1, 2]


@pytest.mark.parametrize(
    ("counts", "sentence"),
    [
        (np.zeros((1, 8, 2)), r"counts must be integers, not float64$"),
        (
            np.zeros((1, 8, 3), int),
            r"counts must have shape \(recordings, steps, 2\), not \(1, 8, 3\)",
        ),
        (np.zeros((8, 2), int), r"counts must have shape \(recordings, steps, 2\), not \(8, 2\)"),
    ],
)
def test_refuses_what_are_no_counts(counts, sentence):
    with pytest.raises(ValueError, match=sentence):
        run(chain(), counts)


@pytest.mark.parametrize("value", [-1, 8, 2**40, 2**63])
def test_refuses_counts_beyond_the_channel(value):
    counts = np.zeros((30, 8, 2), np.uint64 if value > 2**62 else np.int64)
    counts[19, 5, 1] = value
    sentence = f"recording 19, step 5, channel 1 has {value} events, and axon.count takes 0 to 7:"
    with pytest.raises(ValueError, match=sentence):
        run(chain(), counts)


def test_the_first_of_several_recordings_beyond_the_channel_is_named():
    counts = np.zeros((300, 8, 2), np.int64)
    counts[[7, 8, 150, 299], 5, 1] = 8
    for _ in range(20):
        with pytest.raises(ValueError, match="recording 7, step 5, channel 1"):
            run(chain(), counts)


def test_what_progress_raises_ends_the_run():
    def stop(finished):
        raise KeyboardInterrupt

    before = threading.active_count()
    with pytest.raises(KeyboardInterrupt):
        run(chain(), np.zeros((300, 8, 2), np.int64), progress=stop)
    assert threading.active_count() == before


def test_refuses_unknown_and_too_large_records():
    with pytest.raises(ValueError, match=r"record takes spikes, .*, readout, not 'spike'"):
        run(chain(), spikes_in(), record=("spike",))
    with pytest.raises(ValueError, match=r"takes 4800000000 bytes, .* fewer recordings at a time"):
        run(chain(), np.broadcast_to(np.uint8(0), (40_000, 10_000, 2)), record="membranes")
