"""The loops of `emulator.chip`, and the tables they read."""

from numba import njit

# Kernels allocate nothing, so they need no counts of references either: keeping those costs more
# than the arithmetic.  And they let other threads run.
kernel = njit(nogil=True, _nrt=False)
"""Compile a kernel that Python calls."""

inner = njit(nogil=True, _nrt=False, no_cpython_wrapper=True, no_cfunc_wrapper=True)
"""Compile a kernel that only kernels call, which takes half the time."""

pasted = njit(inline="always")
"""Compile a part of a kernel into each that calls it; passing dozens of arrays takes its time."""
