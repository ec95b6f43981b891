"""The arithmetic words in gates; `emulator.fixed` has the same words on integers."""

from amaranth.hdl import Cat, Const, Mux, Shape, Value, signed, unsigned

from datapath import Format, Overflow, Rounding
from datapath.memory_formats import RANDOM


def shape(fmt: Format) -> Shape:
    """Amaranth shape of a signal holding `fmt`."""
    return signed(fmt.width) if fmt.signed else unsigned(fmt.width)


def _wider(x, fmt: Format):
    """`x` in two's complement with at least one bit more than `fmt` has."""
    x = Value.cast(x)
    sign = x[-1] if x.shape().signed else Const(0)
    return Cat(x, sign.replicate(max(1, fmt.width + 1 - len(x))))


def fits(x, fmt: Format):
    """Whether `x` is inside `fmt`: the bits above its largest integer only repeat the sign."""
    above = _wider(x, fmt)[fmt.width - fmt.signed :]
    return above.all() | ~above.any() if fmt.signed else ~above.any()


def saturate(x, fmt: Format):
    """Clamp `x` into `fmt`."""
    negative = _wider(x, fmt)[-1]
    largest = (~negative).replicate(fmt.width - fmt.signed)
    limit = Cat(largest, negative) if fmt.signed else largest
    return Mux(fits(x, fmt), wrap(x, fmt), limit.as_signed() if fmt.signed else limit)


def wrap(x, fmt: Format):
    """Keep the low `fmt.width` bits of `x`; the top one is the sign if `fmt` is signed."""
    low = _wider(x, fmt)[: fmt.width]
    return low.as_signed() if fmt.signed else low


def bound(x, fmt: Format, overflow: Overflow):
    """Bring `x` into the signed `fmt`."""
    match overflow:
        case Overflow.SATURATE:
            return saturate(x, fmt)
        case Overflow.SYMMETRIC:
            clamped = saturate(x, fmt)
            return Mux(clamped == fmt.min, -fmt.max, clamped)
        case Overflow.WRAP:
            return wrap(x, fmt)


def holds(x, fmt: Format, overflow: Overflow):
    """Whether `bound` leaves `x` as it is."""
    inside = fits(x, fmt)
    return inside & (x != fmt.min) if overflow is Overflow.SYMMETRIC else inside


def low_bits(k, width: int):
    """Return those of `width` bits that are below bit `k`: what a right shift by `k` drops."""
    return ~(Const((1 << width) - 1, width) << k)[:width]


def lift(x, k, rounding: Rounding):
    """Add to `x` what makes the floor of its division by `2**k` the wanted integer.

    What is added has no bits above those of `x`: a deeper shift leaves 0 in any case.
    """
    x = Value.cast(x)
    dropped = low_bits(k, len(x))
    match rounding:
        case Rounding.FLOOR:
            return x
        case Rounding.NEAREST:
            lifted = x + (dropped & ~(dropped >> 1))
        case Rounding.ZERO:
            # A floor is one too low for a negative number that drops any bit.
            lifted = x + Mux(x < 0, dropped, 0)
    return lifted[: len(x) + 1].as_signed() if x.shape().signed else lifted


def shift_round(x, k, rounding: Rounding):
    """Divide `x` by `2**k` and round to an integer.

    k : int, or an unsigned value, which makes a barrel shifter.
    """
    return lift(x, k, rounding) >> k


def capped(k, x):
    """Return `k`, or the width of `x` if that is less."""
    k = Value.cast(k)
    return Mux(k < len(x), k, len(x))[: len(k)]


def times(x, count):
    """Multiply `x` by an unsigned `count`; one of a single bit needs no multiplier."""
    return x * count if len(count) > 1 else Mux(count, x, 0)


def stochastic_lift(x, k, r):
    """Return what, shifted right by `capped(k, x)`, is `stochastic_round(x, k, r)`.

    Bits of `r` above those of `x` decide whether a carry out of these gets through to bit `k`.
    """
    width = len(x)
    drawn = r & low_bits(k, len(r))
    above = Mux(x < 0, drawn[width:], (drawn ^ low_bits(k, len(r)))[width:])
    return Mux(above.any(), 0, x + drawn[:width])


def stochastic_round(x, k, r):
    """Divide `x` by `2**k` and round up as often as a random `r` says.

    k : int, or an unsigned value.  r : unsigned.
    """
    x = Value.cast(x)
    return stochastic_lift(x, k, r) >> capped(k, x)


def next_random(r):
    """State of the random number generator after the state `r`, both in `RANDOM`."""
    r = r ^ (r << 13)[: RANDOM.width]
    r = r ^ (r >> 17)
    return r ^ (r << 5)[: RANDOM.width]
