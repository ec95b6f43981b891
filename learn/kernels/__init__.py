"""Numba kernels of the trainers: arrays in, arrays out, the same bits on every call."""
