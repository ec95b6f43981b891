"""Single lines of gates and emulator, each broken once, with the input that shows it."""

from __future__ import annotations

from dataclasses import dataclass

LIF, READOUT = "sim/test_lif.py", "sim/test_readout.py"
AXON, SYNAPSE = "sim/test_axon.py", "sim/test_synapse.py"
SURROGATE, SIGNAL, SLOPE = (f"sim/test_{name}.py" for name in ("surrogate", "signal", "slope"))
CREDIT, UPDATE = "sim/test_credit.py", "sim/test_update.py"
TINY, SHIFT = (
    f"sim/test_chip.py::test_hundreds_of_recordings[{name}]" for name in ("tiny", "tiny-shift")
)
SEGMENT, HEAVY = (
    f"tests/test_chip.py::test_{name}"
    for name in (
        "delays_reach_over_the_end_of_a_segment",
        "many_rows_of_heavy_weights_are_summed_exactly",
    )
)
AFRESH = "sim/test_chip.py::test_a_recording_starts_afresh_even_if_the_last_was_broken_off"


@dataclass(frozen=True, slots=True)
class Mutant:
    """One line broken.

    file : path in the tree.  old, new : text that occurs once, and what replaces it.
    why : what goes wrong, and for which input.  bench : the pytest selection that has to fail.
    """

    file: str
    old: str
    new: str
    why: str
    bench: str


MUTANTS: tuple[Mutant, ...] = (
    Mutant(
        "rtl/fixed.py",
        "return x + (one >> 1)",
        "return x + one",
        "nearest rounds half a step too far: every second product",
        LIF,
    ),
    Mutant(
        "rtl/fixed.py",
        "return x + Mux(x < 0, one - 1, 0)",
        "return x + Mux(x < 0, one, 0)",
        "towards zero goes one too far: negative multiples of the divisor",
        LIF,
    ),
    Mutant(
        "rtl/fixed.py",
        "limit = Cat(largest, negative) if fmt.signed else largest",
        "limit = Cat(largest, ~negative) if fmt.signed else largest",
        "saturates at the wrong end: any sum out of range",
        LIF,
    ),
    Mutant(
        "rtl/fixed.py",
        "return above.all() | ~above.any() if fmt.signed else ~above.any()",
        "return ~above.any()",
        "no negative number fits: any negative sum",
        LIF,
    ),
    Mutant(
        "rtl/lif.py",
        "fires & (u >= threshold if p.compare is Compare.GE else u > threshold)",
        "fires & (u > threshold)",
        "does not fire at the threshold: a sum equal to it, compared with >=",
        LIF,
    ),
    Mutant(
        "rtl/lif.py",
        "fires & (u >= threshold if p.compare is Compare.GE else u > threshold)",
        "fires & (u >= threshold)",
        "fires at the threshold: a sum equal to it, compared with >",
        LIF,
    ),
    Mutant(
        "rtl/lif.py",
        "~readout[3], zero[4]",
        "~readout[4], zero[4]",
        "a readout fires: the block behind a block that may fire",
        LIF,
    ),
    Mutant(
        "rtl/lif.py",
        "self.i[lane] + self.bias[lane]",
        "self.i[lane] - self.bias[lane]",
        "the bias has the wrong sign: any bias",
        LIF,
    ),
    Mutant(
        "rtl/lif.py",
        "shift_round(product, p.coefficient.frac, p.rounding)",
        "product >> p.coefficient.frac",
        "the leak forgets its rounding: a product between two integers",
        LIF,
    ),
    Mutant(
        "rtl/lif.py",
        "Mux(coefficient == 0, 0, shift_round(v, coefficient, p.rounding))",
        "shift_round(v, coefficient, p.rounding)",
        "coefficient 0 leaks all: a shift leak without leak",
        LIF,
    ),
    Mutant(
        "rtl/lif.py",
        'after(~fits(total, p.v), "saturated", 2)',
        'after(~fits(total, p.v), "saturated", 1)',
        "the saturation flag of the next block: one block in range, one not",
        LIF,
    ),
    Mutant(
        "rtl/readout.py",
        "sum_score > self.best",
        "sum_score >= self.best",
        "the last of equal classes wins: a tie",
        READOUT,
    ),
    Mutant(
        "rtl/readout.py",
        "sum_score.eq(saturate(score + v, self.p.score))",
        "sum_score.eq(score + v)",
        "a score wraps: a sum beyond its format",
        READOUT,
    ),
    Mutant(
        "rtl/readout.py",
        "valid[-1] & (first[-1] | (sum_score > self.best))",
        "valid[-1] & (sum_score > self.best)",
        "a winner of an earlier tick stays: scores that fall",
        READOUT,
    ),
    Mutant(
        "rtl/axon.py",
        "merged[n].count.eq(saturate(sum_count, self.chip.axon.count))",
        "merged[n].count.eq(sum_count)",
        "the count of a channel wraps: several events beyond its format",
        AXON,
    ),
    Mutant(
        "rtl/axon.py",
        "then = (self.t + 1)[:slot_bits]",
        "then = self.t[:slot_bits]",
        "the wrong slot is wiped: a delay on a channel, and counts a whole ring later",
        AXON,
    ),
    Mutant(
        "rtl/axon.py",
        "youngest.eq(self.t - self.age)",
        "youngest.eq(self.t)",
        "a recurrent spike of this tick is seen: age 1",
        AXON,
    ),
    Mutant(
        "rtl/axon.py",
        "reach.eq(Mux(self.axonal, delay << self.resolution, 0))",
        "reach.eq(Mux(self.axonal, delay, 0))",
        "an axonal delay forgets its resolution: any above 0",
        AXON,
    ),
    Mutant(
        "rtl/axon.py",
        "slot.eq(youngest - reach)",
        "slot.eq(youngest + reach)",
        "the history is read into the future: any axonal delay",
        AXON,
    ),
    Mutant(
        "rtl/axon.py",
        "start = self.start & ~self.busy",
        "start = self.start",
        "an event is taken while one is being received: a start while busy",
        AXON,
    ),
    Mutant(
        "rtl/axon.py",
        "slot_bits = exact_log2(self.chip.axon.neuron_steps)",
        "slot_bits = exact_log2(self.chip.axon.neuron_steps) - 1",
        "the history of neurons is half as deep: spikes older than half the ring",
        AXON,
    ),
    Mutant(
        "rtl/synapse.py",
        "slot_3.eq(self.t + (delays_2[lane] << row_2.resolution))",
        "slot_3.eq(self.t + delays_2[lane])",
        "a synaptic delay forgets its resolution: any above 0",
        SYNAPSE,
    ),
    Mutant(
        "rtl/synapse.py",
        "total.eq(Mux(empty, 0, acc + product))",
        "total.eq(acc + product)",
        "sums are not emptied: the same slot one ring later",
        SYNAPSE,
    ),
    Mutant(
        "rtl/synapse.py",
        "clocks.eq(Mux(self.blocks > ROW, self.blocks, ROW))",
        "clocks.eq(self.blocks)",
        "a sum is read before it was written: short rows back to back",
        SYNAPSE,
    ),
    Mutant(
        "rtl/synapse.py",
        "row.factor.eq(self.count << self.scale)",
        "row.factor.eq(self.count)",
        "products are not scaled: any scale above 0",
        SYNAPSE,
    ),
    Mutant(
        "rtl/synapse.py",
        'total = Signal(shape(self.chip.synapse.acc), name=f"total_{lane}")',
        'total = Signal(shape(self.chip.lif.v), name=f"total_{lane}")',
        "accumulators as wide as membranes: a sum beyond those",
        SYNAPSE,
    ),
    Mutant(
        "rtl/synapse.py",
        "at.block.eq(at.block + 1)",
        "at.block.eq(at.block)",
        "a row lands in one block: populations of several",
        SYNAPSE,
    ),
    Mutant(
        "rtl/sequencer.py",
        "self.row.eq(self.row + self.population.blocks)",
        "self.row.eq(self.row + 1)",
        "the rows of sources overlap: populations of several blocks",
        TINY,
    ),
    Mutant(
        "rtl/sequencer.py",
        "self.clear_at == self.deepest - 1",
        "self.clear_at == self.deepest - 2",
        "CLEAR ends before the last word: the clocks of a CLEAR",
        TINY,
    ),
    Mutant(
        "rtl/sequencer.py",
        "m.d.sync += self.first.eq(self.block)",
        "m.d.sync += self.first.eq(0)",
        "every population is delivered to the first neurons: two populations",
        TINY,
    ),
    Mutant(
        "rtl/sequencer.py",
        "m.d.sync += self.t.eq(self.t + 1)",
        "m.d.sync += self.t.eq(self.t + 3)",
        "ticks are skipped: any delay",
        TINY,
    ),
    Mutant(
        "rtl/chip.py",
        "advance.eq(~synapse.busy & (~self.o.valid | self.o.ready))",
        "advance.eq(~synapse.busy)",
        "a result is overwritten before it was taken: a sink that pauses",
        TINY,
    ),
    Mutant(
        "rtl/chip.py",
        "anew = sequencer.clear | sequencer.end",
        "anew = sequencer.clear",
        "the saturation flag stays up: a tick without saturation behind one with",
        TINY,
    ),
    Mutant(
        "rtl/chip.py",
        "lif.o_valid & lif.o_saturated.any() | axon.saturated | readout.saturated",
        "lif.o_valid & lif.o_saturated.any() | readout.saturated",
        "a channel saturates silently: more events than it counts",
        TINY,
    ),
    Mutant(
        "rtl/chip.py",
        "write.data.eq(Mux(sequencer.clear, 0, new))",
        "write.data.eq(new)",
        "membranes survive a CLEAR: a recording behind another",
        AFRESH,
    ),
    Mutant(
        "rtl/chip.py",
        "readout.clear.eq(sequencer.clear)",
        "readout.clear.eq(0)",
        "scores survive a CLEAR: a recording behind another",
        AFRESH,
    ),
    Mutant(
        "rtl/chip.py",
        "axon.age.eq(~emitting & projection.age)",
        "axon.age.eq(projection.age)",
        "spikes of the last tick are sent: recurrent populations that emit",
        TINY,
    ),
    Mutant(
        "rtl/memory.py",
        "Cat(lower[len(lower) - (spec.beats - 1) * BUS :], bus.data)",
        "Cat(bus.data, lower[len(lower) - (spec.beats - 1) * BUS :])",
        "the last beat of a word comes first: words of two beats",
        TINY,
    ),
    Mutant(
        "rtl/memory.py",
        "bus.write.eq(self.host.write & self.idle)",
        "bus.write.eq(self.host.write)",
        "the host writes into a running chip: junk on the bus during a tick",
        TINY,
    ),
    Mutant(
        "emulator/fixed.py",
        "like(-top - 1 if fmt.signed else 0, x)",
        "like(-top if fmt.signed else 0, x)",
        "saturates one before the smallest integer: a sum below the range",
        LIF,
    ),
    Mutant(
        "emulator/fixed.py",
        "like(rest * (x < 0), x)",
        "like(rest * (x < -1), x)",
        "towards zero takes -1 for -1: a membrane of -1",
        LIF,
    ),
    Mutant(
        "emulator/lif.py",
        "threshold[n] + p.strict",
        "threshold[n]",
        "fires at the threshold: a sum equal to it, compared with >",
        LIF,
    ),
    Mutant(
        "emulator/readout.py",
        "if scores[k] > scores[winner]:",
        "if scores[k] >= scores[winner]:",
        "the last of equal classes wins: a tie",
        READOUT,
    ),
    Mutant(
        "emulator/axon.py",
        "history[channel, slot] = saturate(total, fmt)",
        "history[channel, slot] = total",
        "the count of a channel grows beyond its format: several events",
        AXON,
    ),
    Mutant(
        "emulator/axon.py",
        "(t - ticks) & (history.shape[1] - 1)",
        "(t + ticks) & (history.shape[1] - 1)",
        "the history is read into the future: any age",
        AXON,
    ),
    Mutant(
        "emulator/synapse.py",
        "(t + (delays[j] << resolution)) & last",
        "(t + delays[j]) & last",
        "a synaptic delay forgets its resolution: any above 0",
        SYNAPSE,
    ),
    Mutant(
        "emulator/fixed.py",
        "near = like(((1 << k) >> 1) * (rounding == NEAREST), x)",
        "near = like((1 << k) * (rounding == NEAREST), x)",
        "nearest rounds half a step too far: every second product",
        LIF,
    ),
    Mutant(
        "emulator/lif.py",
        "u[n] = saturate(total[n], p.v)",
        "u[n] = total[n]",
        "a membrane leaves its format: a sum out of range",
        LIF,
    ),
    Mutant(
        "emulator/lif.py",
        "fired * (u[n] if zero else threshold[n])",
        "fired * threshold[n]",
        "a reset to zero takes the threshold off: a sum above it",
        LIF,
    ),
    Mutant(
        "emulator/lif.py",
        "p.rounding) * (coefficient != 0)",
        "p.rounding)",
        "coefficient 0 leaks all: a shift leak without leak",
        LIF,
    ),
    Mutant(
        "emulator/synapse.py",
        "acc[t & last, j] = 0",
        "acc[t & last, j] += 0",
        "sums are not emptied: the same slot one ring later",
        SYNAPSE,
    ),
    Mutant(
        "emulator/readout.py",
        "scores[k] = saturate(total, fmt)",
        "scores[k] = total",
        "a score grows beyond its format: membranes that stay",
        READOUT,
    ),
    Mutant(
        "emulator/kernels/deliver.py",
        "more = factor * (counts[e] - 1)",
        "more = factor * counts[e]",
        "a source is counted once more: several events of a channel in a tick",
        TINY,
    ),
    Mutant(
        "emulator/kernels/deliver.py",
        "ahead[base + offsets[k + j]] += weights[k + j]",
        "ahead[base + offsets[k]] += weights[k + j]",
        "a block of synapses has one delay: different synaptic delays of spikes",
        TINY,
    ),
    Mutant(
        "emulator/kernels/deliver.py",
        "slot = (t + axon_ticks[axons + source]) & (queued.shape[0] - 1)",
        "slot = (t + axon_ticks[axons]) & (queued.shape[0] - 1)",
        "every axon has the delay of the first: different axonal delays",
        TINY,
    ),
    Mutant(
        "emulator/kernels/deliver.py",
        "ahead[k] = ahead[k + span - kept]",
        "ahead[k] = 0",
        "sums on their way are lost: a delay over the end of a segment",
        SEGMENT,
    ),
    Mutant(
        "emulator/kernels/recording.py",
        "v[:] = 0",
        "v[0] = 0",
        "membranes survive a CLEAR: a recording behind another",
        TINY,
    ),
    Mutant(
        "emulator/kernels/recording.py",
        "saturated_ticks[r, t] |= beyond > 0",
        "saturated_ticks[r, t] = beyond > 0",
        "only the last population flags: one before it saturates",
        TINY,
    ),
    Mutant(
        "emulator/kernels/recording.py",
        "cycles[r, t] += (end - begin) * projections[q, COST]",
        "cycles[r, t] += projections[q, COST]",
        "deliveries take the clocks of one: several sources in a tick",
        TINY,
    ),
    Mutant(
        "emulator/kernels/tables.py",
        "self.turn = 1 << max(axonal, default=0).bit_length()",
        "self.turn = 1 << max(1, *axonal).bit_length() - 1",
        "the queues are half as long: the longest axonal delay",
        TINY,
    ),
    Mutant(
        "emulator/kernels/tables.py",
        "row[LIMIT] = np.iinfo(self.rows.dtype).max //",
        "row[LIMIT] = 4 * np.iinfo(self.rows.dtype).max //",
        "a narrow sum of rows wraps: many heavy weights",
        HEAVY,
    ),
    Mutant(
        "rtl/surrogate.py",
        "shift_round(value_6, divisor, Rounding.NEAREST)",
        "shift_round(value_6, divisor, Rounding.FLOOR)",
        "error levels are rounded down: several readouts that share",
        SURROGATE,
    ),
    Mutant(
        "rtl/surrogate.py",
        "Mux(shifted > most, most, shifted)",
        "shifted",
        "a distance beyond the table wraps: a membrane far from its threshold",
        SURROGATE,
    ),
    Mutant(
        "rtl/signal.py",
        "wanted = Mux(readout == self.label, self.sum, 0)",
        "wanted = Mux(readout == self.label, 1, 0)",
        "errors of a tick do not add up to 0: any level but the target's",
        SIGNAL,
    ),
    Mutant(
        "rtl/signal.py",
        "rounded = shift_round(product_3, p.coefficient.frac, Rounding.ZERO)",
        "rounded = shift_round(product_3, p.coefficient.frac, Rounding.FLOOR)",
        "a filtered signal does not decay to 0: any negative one",
        SIGNAL,
    ),
    Mutant(
        "rtl/signal.py",
        'excess_2 = after(m, Mux(strength == 0, 0, (beyond << strength) >> 1), "excess")',
        'excess_2 = after(m, (beyond << strength) >> 1, "excess")',
        "regularisation cannot be turned off: strength 0",
        SIGNAL,
    ),
    Mutant(
        "rtl/slope.py",
        "Mux(of_4.behind, total - product_4, total + product_4)",
        "total + product_4",
        "a sum, not a derivative: a signal that rises or falls",
        SLOPE,
    ),
    Mutant(
        "rtl/slope.py",
        'signal_3 = after(m, Mux(of_2.outside, 0, word_2.signal), f"signal_{lane}")',
        'signal_3 = after(m, word_2.signal, f"signal_{lane}")',
        "the derivative sees ticks before the recording: its first ticks",
        SLOPE,
    ),
    Mutant(
        "rtl/credit.py",
        "m.d.sync += new_4[lane].gradient.eq(saturate(total_3, fmt))",
        "m.d.sync += new_4[lane].gradient.eq(total_3)",
        "a gradient wraps: sums beyond its format",
        CREDIT,
    ),
    Mutant(
        "rtl/credit.py",
        "Mux(self.feedback, ring.signal, ring.slope)",
        "ring.slope",
        "feedback reads the derivative: any feedback row",
        CREDIT,
    ),
    Mutant(
        "rtl/update.py",
        "clamped = Mux(x > most, most, Mux(x < -most, -most, x))",
        "clamped = Mux(x > most, most, x)",
        "negative gradients have no limit: a limit of 1 and a large gradient",
        UPDATE,
    ),
    Mutant(
        "rtl/update.py",
        "inside = Mux(left_10 < 0, 0, Mux(left_10 > top, top, left_10))",
        "inside = Mux(left_10 > top, top, left_10)",
        "a delay falls below 0: a step down from a short one",
        UPDATE,
    ),
    Mutant(
        "rtl/fixed.py",
        "    r = r ^ (r >> 17)",
        "    r = r ^ (r >> 16)",
        "another sequence of random numbers: any draw",
        UPDATE,
    ),
)
