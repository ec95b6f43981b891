"""Before the first test: kernels come from disk, and workers share the cores."""

from __future__ import annotations

import os

import pytest

from ranvier.kernel_cache import install

# Before a room is imported: what one worker, or an earlier run, has compiled serves all.
install()


def pytest_configure(config: pytest.Config) -> None:
    """Give every worker of pytest-xdist its share of the threads that kernels may use."""
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", 1))
    if workers > 1:
        import numba

        numba.set_num_threads(max(1, numba.config.NUMBA_NUM_THREADS // workers))
