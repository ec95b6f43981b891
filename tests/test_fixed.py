"""Every word means the same in plain Python integers, in APyTypes, in kernels and in gates."""

import random

import pytest
from amaranth.hdl import Const, Module, Signal, signed, unsigned
from amaranth.sim import Simulator
from apytypes import APyFixed, OverflowMode, QuantizationMode
from numba import njit

import rtl.fixed
from datapath import Format, Overflow, Rounding
from emulator.fixed import (
    DEEPEST,
    OVERFLOW,
    ROUNDING,
    bound,
    next_random,
    saturate,
    shift_round,
    stochastic_round,
    wrap,
)

BITS = 8
INPUTS = range(-(1 << (BITS - 1)), 1 << (BITS - 1))
FORMATS = [
    Format(width, frac, signed=is_signed)
    for width in (1, 2, 3, 5, 7)
    for frac in (0, 2)
    for is_signed in (True, False)
]
SHIFTS = range(BITS + 3)
QUANTIZATION = {
    Rounding.FLOOR: QuantizationMode.TRN,
    Rounding.ZERO: QuantizationMode.TRN_ZERO,
    Rounding.NEAREST: QuantizationMode.RND,
}


def integer(fixed, width):
    """Two's complement bits as a number."""
    bits = fixed.to_bits()
    return bits - (bits >> (width - 1) << width)


class Plain:
    """The table of docs/datapath.md, word for word."""

    @staticmethod
    def saturate(x, fmt):
        return fmt.max if x > fmt.max else fmt.min if x < fmt.min else x

    @staticmethod
    def wrap(x, fmt):
        congruent = [x + n * 2**fmt.width for n in range(-300, 300)]
        (inside,) = [y for y in congruent if fmt.min <= y <= fmt.max]
        return inside

    @staticmethod
    def shift_round(x, k, rounding):
        if rounding is Rounding.ZERO:
            return (1 if x > 0 else -1) * (abs(x) >> k)
        return (x + ((1 << k >> 1) if rounding is Rounding.NEAREST else 0)) >> k

    @staticmethod
    def stochastic_round(x, k, r):
        return (x + r % 2**k) // 2**k

    @staticmethod
    def next_random(r):
        r = (r ^ r * 2**13) % 2**32
        r = r ^ r // 2**17
        return (r ^ r * 2**5) % 2**32


class Apy:
    """The fixed-point library; it knows no unsigned numbers, which are half of a wider one."""

    @staticmethod
    def saturate(x, fmt):
        width = fmt.width + (not fmt.signed)
        near = APyFixed(x, int_bits=BITS, frac_bits=0).cast(width, 0, overflow=OverflowMode.SAT)
        return max(integer(near, width), fmt.min)

    @staticmethod
    def wrap(x, fmt):
        low = APyFixed(x, int_bits=BITS, frac_bits=0).cast(fmt.width, 0, overflow=OverflowMode.WRAP)
        return integer(low, fmt.width) if fmt.signed else low.to_bits()

    @staticmethod
    def shift_round(x, k, rounding):
        exact = APyFixed(x, int_bits=BITS - k, frac_bits=k)
        whole = exact.cast(BITS + 1, 0, quantization=QUANTIZATION[rounding])
        return integer(whole, BITS + 1)

    @staticmethod
    def stochastic_round(x, k, r):
        exact = APyFixed(x + r % 2**k, int_bits=BITS + 1 - k, frac_bits=k)
        return integer(exact.cast(BITS + 1, 0, quantization=QuantizationMode.TRN), BITS + 1)


def in_gates(build, inputs, *driven):
    """Simulate `build(x, *signals)` for every x and every value of the other signals."""
    x = Signal(signed(BITS))
    signals = [Signal(unsigned(max(values).bit_length() or 1)) for values in driven]
    value = build(x, *signals)
    y = Signal.like(value)
    m = Module()
    m.d.comb += y.eq(value)
    seen = []

    async def bench(ctx):
        for values in zip(*driven, strict=True) if driven else [()]:
            for signal, number in zip(signals, values, strict=True):
                ctx.set(signal, number)
            for number in inputs:
                ctx.set(x, number)
                await ctx.delay(1e-9)
                seen.append(ctx.get(y))

    sim = Simulator(m)
    sim.add_testbench(bench)
    sim.run()
    return seen


@njit
def saturated(x, fmt):
    return saturate(x, fmt)


@njit
def wrapped(x, fmt):
    return wrap(x, fmt)


@njit
def shifted(x, k, rounding):
    return shift_round(x, k, rounding)


@njit
def bounded(x, fmt, overflow):
    return bound(x, fmt, overflow)


@njit
def stochastically_rounded(x, k, r):
    return stochastic_round(x, k, r)


@njit
def drawn(r):
    return next_random(r)


@pytest.mark.parametrize("fmt", FORMATS, ids=str)
@pytest.mark.parametrize(("word", "kernel"), [("saturate", saturated), ("wrap", wrapped)])
def test_words_of_a_format(word, kernel, fmt):
    want = [getattr(Plain, word)(x, fmt) for x in INPUTS]
    assert [kernel(x, fmt) for x in INPUTS] == want
    assert [getattr(Apy, word)(x, fmt) for x in INPUTS] == want
    assert in_gates(lambda x: getattr(rtl.fixed, word)(x, fmt), INPUTS) == want


@pytest.mark.parametrize("overflow", Overflow)
@pytest.mark.parametrize("fmt", [Format(width) for width in (2, 3, 5, 7)])
def test_bound(overflow, fmt):
    least = -fmt.max if overflow is Overflow.SYMMETRIC else fmt.min
    plain = Plain.wrap if overflow is Overflow.WRAP else Plain.saturate
    want = [max(plain(x, fmt), least) for x in INPUTS]
    assert [bounded(x, fmt, OVERFLOW[overflow]) for x in INPUTS] == want
    assert in_gates(lambda x: rtl.fixed.bound(x, fmt, overflow), INPUTS) == want
    holds = [x == y for x, y in zip(INPUTS, want, strict=True)]
    assert in_gates(lambda x: rtl.fixed.holds(x, fmt, overflow), INPUTS) == holds


@pytest.mark.parametrize("rounding", Rounding)
def test_shift_by_a_constant(rounding):
    for k in SHIFTS:
        want = [Plain.shift_round(x, k, rounding) for x in INPUTS]
        assert [shifted(x, k, ROUNDING[rounding]) for x in INPUTS] == want
        assert [Apy.shift_round(x, k, rounding) for x in INPUTS] == want
        assert in_gates(lambda x, k=k: rtl.fixed.shift_round(x, k, rounding), INPUTS) == want


@pytest.mark.parametrize("rounding", Rounding)
def test_shift_by_a_signal(rounding):
    want = [Plain.shift_round(x, k, rounding) for k in SHIFTS for x in INPUTS]
    gates = in_gates(lambda x, k: rtl.fixed.shift_round(x, k, rounding), INPUTS, SHIFTS)
    assert gates == want


def test_ties_of_a_shift():
    # -2.5, -1.5, -0.5, 0.5, 1.5 and 2.5.
    ties = [-5, -3, -1, 1, 3, 5]
    assert [shifted(x, 1, ROUNDING[Rounding.FLOOR]) for x in ties] == [-3, -2, -1, 0, 1, 2]
    assert [shifted(x, 1, ROUNDING[Rounding.ZERO]) for x in ties] == [-2, -1, 0, 0, 1, 2]
    assert [shifted(x, 1, ROUNDING[Rounding.NEAREST]) for x in ties] == [-2, -1, 0, 1, 2, 3]


@pytest.mark.parametrize("rounding", Rounding)
def test_deepest_shift_is_as_good_as_any_deeper(rounding):
    widest = Format(48)
    for x in widest.corners:
        for k in (DEEPEST, DEEPEST + 1, 2 * widest.width - 1):
            want = Plain.shift_round(x, k, rounding)
            assert shifted(x, DEEPEST, ROUNDING[rounding]) == want


def test_saturate_in_the_widest_formats():
    for fmt in (Format(48), Format(48, signed=False)):
        for x in (fmt.min - 1, *fmt.corners, fmt.max + 1):
            assert saturated(x, fmt) == Plain.saturate(x, fmt)


def test_gates_take_constants():
    assert in_gates(lambda _: rtl.fixed.saturate(Const(100, 8), Format(4)), [0]) == [7]


def test_stochastic_round():
    for k in range(6):
        for r in (0, 1, 2**k - 1, 2**k, 19, 2**32 - 1):
            want = [Plain.stochastic_round(x, k, r) for x in INPUTS]
            assert [stochastically_rounded(x, k, r) for x in INPUTS] == want
            assert [Apy.stochastic_round(x, k, r) for x in INPUTS] == want


def test_stochastic_round_in_gates():
    # A shift deeper than an input looks at bits above it, too.
    for r in (0, 1, 19, 2**10, 2**11 - 1, 2**11 - 19, 2**12 - 2**10, 2**12 - 1, 2**32 - 1):
        want = [Plain.stochastic_round(x, k, r) for k in range(12) for x in INPUTS]

        def gates(x, k, r=r):
            return rtl.fixed.stochastic_round(x, k, Const(r, 32))

        assert in_gates(gates, INPUTS, range(12)) == want


def test_next_random_in_gates():
    for r in (1, 2, 2**13, 2**31, 2**32 - 1, 0x12345678):
        assert in_gates(lambda _, r=r: rtl.fixed.next_random(Const(r, 32)), [0]) == [
            Plain.next_random(r)
        ]


def test_stochastic_round_by_the_deepest_shift():
    # 2**46 / 2**31 is 2**15, and just below it is rounded up by all numbers but one.
    assert stochastically_rounded(2**46 - 1, 31, 0) == 2**15 - 1
    assert stochastically_rounded(2**46 - 1, 31, 1) == 2**15
    assert stochastically_rounded(-(2**46), 31, 2**32 - 1) == -(2**15)


def test_stochastic_round_has_no_bias():
    for k in range(6):
        for x in INPUTS:
            assert sum(stochastically_rounded(x, k, r) for r in range(2**k)) == x


def test_next_random():
    # 1 ^ 1 << 13 = 8193; 8193 >> 17 = 0; 8193 ^ 8193 << 5 = 270369.
    assert drawn(1) == 270369
    rng = random.Random(0)
    for r in (1, 2**31, 2**32 - 1, *(rng.randrange(1, 2**32) for _ in range(1000))):
        assert drawn(r) == Plain.next_random(r)


def test_random_numbers_come_back_after_all_others():
    # A step is linear, a matrix of bits: its powers say when every state is where it was.
    def times(a, b):
        return [apply(a, column) for column in b]

    def apply(matrix, r):
        total = 0
        for bit, column in enumerate(matrix):
            total ^= column * (r >> bit & 1)
        return total

    def power(matrix, n):
        result = [1 << bit for bit in range(32)]
        while n:
            result = times(result, matrix) if n & 1 else result
            matrix, n = times(matrix, matrix), n >> 1
        return result

    one, step = [1 << bit for bit in range(32)], [drawn(1 << bit) for bit in range(32)]
    period = 2**32 - 1
    assert power(step, period) == one
    # 2**32 - 1 = 3 * 5 * 17 * 257 * 65537.
    assert all(power(step, period // prime) != one for prime in (3, 5, 17, 257, 65537))
