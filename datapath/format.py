"""Fixed-point number formats."""

from __future__ import annotations

from typing import NamedTuple


class _Fields(NamedTuple):
    width: int
    frac: int
    signed: bool


class Format(_Fields):
    """A `width`-bit integer read as a multiple of `2**-frac`, two's complement if `signed`.

    It is a tuple so that the very same object goes into a Numba kernel and into an Amaranth
    generator.
    """

    __slots__ = ()

    def __new__(cls, width: int, frac: int = 0, *, signed: bool = True) -> Format:
        if not 1 <= width <= 48:
            raise ValueError(f"width must be between 1 and 48 bits, not {width}")
        if not -64 <= frac <= 64:
            raise ValueError(f"frac must be between -64 and 64 bits, not {frac}")
        return super().__new__(cls, width, frac, signed)

    def __getnewargs_ex__(self) -> tuple[tuple[int, int], dict[str, bool]]:
        # A named tuple copies and pickles through positional arguments; `signed` has to be named.
        return (self.width, self.frac), {"signed": self.signed}

    @property
    def min(self) -> int:
        """Smallest representable integer."""
        return -(1 << (self.width - 1)) if self.signed else 0

    @property
    def max(self) -> int:
        """Largest representable integer."""
        return (1 << (self.width - self.signed)) - 1

    @property
    def corners(self) -> tuple[int, ...]:
        """Integers where fixed-point code breaks first."""
        near = {self.min, self.min + 1, -1, 0, 1, self.max - 1, self.max}
        return tuple(sorted(n for n in near if self.min <= n <= self.max))

    def holds(self, value: int) -> bool:
        """Whether the integer `value` fits."""
        return self.min <= value <= self.max
