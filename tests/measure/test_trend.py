"""The slope along a logarithmic dial, against statsmodels and by hand."""

from __future__ import annotations

import numpy as np
import pytest
import statsmodels.api as sm

from insectary.core.errors import BadInputError
from insectary.core.outcome import Measurement
from insectary.measure.trend import slope


def point(value: float, half: float = 1e-6) -> Measurement:
    return Measurement(value, value - half, value + half, 100, "given")


def test_least_squares_as_statsmodels_has_it() -> None:
    sizes = [1e5, 1e5, 1e6, 1e7, 1e8]
    values = [0.9, 0.7, 0.6, 0.5, 0.2]
    fit = sm.OLS(values, sm.add_constant(np.log10(sizes))).fit()
    found = slope(sizes, [point(v) for v in values])
    assert found.value == pytest.approx(fit.params[1])
    assert (found.low, found.high) == pytest.approx(tuple(fit.conf_int()[1]))
    assert found.n == 5


def test_two_points_have_the_error_of_their_own_intervals() -> None:
    found = slope([1e6, 1e8], [point(0.2, 0.05), point(0.8, 0.05)])
    assert found.value == pytest.approx(0.3)
    assert found.high - found.value == pytest.approx(np.hypot(0.05, 0.05) / 2)


def test_wide_intervals_count_although_the_points_lie_on_a_line() -> None:
    exact = slope([1e6, 1e7, 1e8], [point(v) for v in (0.2, 0.4, 0.6)])
    vague = slope([1e6, 1e7, 1e8], [point(v, 0.2) for v in (0.2, 0.4, 0.6)])
    assert exact.high - exact.low < 1e-3 < 0.3 < vague.high - vague.low


@pytest.mark.parametrize(
    ("settings", "n"), [([1e6, 1e6], 2), ([1e6], 1), ([0.0, 1.0], 2), ([1.0, 2.0], 3)]
)
def test_bad_input(settings: list[float], n: int) -> None:
    with pytest.raises(BadInputError):
        slope(settings, [point(0.5)] * n)
