"""The arithmetic words on integers; `rtl.fixed` has the same words in gates."""

from datapath import Overflow, Rounding
from emulator.kernels import kernel
from emulator.kernels.machine import like, shift_right

FLOOR, ZERO, NEAREST = range(3)
ROUNDING = {Rounding.FLOOR: FLOOR, Rounding.ZERO: ZERO, Rounding.NEAREST: NEAREST}
"""What a kernel calls a rounding: kernels hold numbers only."""

SATURATE, SYMMETRIC, WRAP = range(3)
OVERFLOW = {
    Overflow.SATURATE: SATURATE,
    Overflow.SYMMETRIC: SYMMETRIC,
    Overflow.WRAP: WRAP,
}
"""What a kernel calls an overflow."""

DEEPEST = 62
"""The deepest right shift of a kernel; deeper ones give the same for every format there is."""


@kernel
def saturate(x, fmt):
    """Clamp `x` into `fmt`, which the type of `x` holds."""
    top = (1 << (fmt.width - fmt.signed)) - 1
    return min(max(x, like(-top - 1 if fmt.signed else 0, x)), like(top, x))


@kernel
def wrap(x, fmt):
    """Keep the low `fmt.width` bits of `x`; the top one is the sign if `fmt` is signed."""
    low = x & ((1 << fmt.width) - 1)
    return low - ((low >> (fmt.width - 1)) << fmt.width) if fmt.signed else low


@kernel
def bound(x, fmt, overflow):
    """Bring `x` into the signed `fmt`, which the type of `x` holds.

    overflow : one of `OVERFLOW`.
    """
    if overflow == WRAP:
        return like(wrap(x, fmt), x)
    top = (1 << (fmt.width - 1)) - 1
    return min(max(x, like(-top - (overflow == SATURATE), x)), like(top, x))


@kernel
def shift_round(x, k, rounding):
    """Divide `x` by `2**k`.

    k : from 0 to `DEEPEST`, or as deep as the type of `x` allows.  rounding : one of `ROUNDING`.
    """
    # One right shift serves all three: what is added first lifts its floor to the wanted integer.
    # No branch, so that a loop over neurons stays a vector loop.
    near = like(((1 << k) >> 1) * (rounding == NEAREST), x)
    rest = like(((1 << k) - 1) * (rounding == ZERO), x)
    lift = like(near + like(rest * (x < 0), x), x)
    return shift_right(like(x + lift, x), k)


@kernel
def stochastic_round(x, k, r):
    """Divide `x` by `2**k`, up or down as the `k` low bits of the random `r` have it.

    k : from 0 to 31.  r : int64, 32 bits.
    """
    return (x + (r & ((1 << k) - 1))) >> k


@kernel
def next_random(r):
    """Advance a generator whose state `r` is an int64 of 32 bits, and not 0."""
    word = (1 << 32) - 1
    r ^= (r << 13) & word
    r ^= r >> 17
    return r ^ ((r << 5) & word)
