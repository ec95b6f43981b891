"""Numba kernels of the float simulation: arrays in, arrays out, the same bits on every call."""
