"""The loops of `emulator.chip`, and the tables they read."""

from numba import njit

# Kernels allocate nothing, so they need no counts of references either: keeping those costs more
# than the arithmetic.  And they let other threads run.
kernel = njit(nogil=True, _nrt=False)
"""Compile a kernel that Python calls."""

inner = njit(
    nogil=True, _nrt=False, no_cpython_wrapper=True, no_cfunc_wrapper=True, forceinline=True
)
"""Compile a kernel that only kernels call: without the wrappers, which take half the compilation,
and without a call, which takes as long as a row of weights."""

pasted = njit(inline="always")
"""Paste a kernel into the source of the only one that calls it."""
