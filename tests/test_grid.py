"""Numbers on an integer grid: found where they are, not where they are not."""

import numpy as np
import pytest

from quant.grid import common_step, on_grid


@pytest.mark.parametrize(
    ("values", "step"),
    [
        ([6, -4, 10], 2),
        ([0.5, 0.75], 0.25),
        ([3 / 64, -5 / 64, 0], 1 / 64),
        ([7], 7),
        ([1e-30, 3e-30], 1e-30),
        ([65536, 1], 1),
        ([65536, 65535], 1),
        ([65536 * 0.0137, 65535 * 0.0137], 0.0137),
    ],
)
def test_the_largest_common_step_is_found(values, step):
    assert common_step(np.array(values, float)) == pytest.approx(step, rel=1e-12)


@pytest.mark.parametrize(
    "values", [[0.0, 0.0], [1.0, np.sqrt(2), np.sqrt(3)], [65537, 1], [1.0, 0.3, np.pi]]
)
def test_what_is_on_no_grid_has_no_step(values):
    assert common_step(np.array(values, float)) is None


@pytest.mark.parametrize("kind", [np.float64, np.float32])
@pytest.mark.parametrize("seed", range(20))
def test_random_multiples_of_a_step_are_found_whatever_their_rounding(kind, seed):
    rng = np.random.default_rng(seed)
    # Without a 1 among them the step is found as a small difference of large numbers.
    whole = np.append(rng.integers(50, 126, 50) * rng.choice([-1, 1], 50), [126, 127])
    step = kind(rng.uniform(1e-3, 10))
    values = (whole.astype(kind) * step).astype(float)
    assert common_step(values) == pytest.approx(float(step), rel=1e-6)
    assert on_grid(values, float(step))


@pytest.mark.parametrize("seed", range(20))
def test_random_reals_have_no_step(seed):
    assert common_step(np.random.default_rng(seed).normal(0, 1, 50)) is None
