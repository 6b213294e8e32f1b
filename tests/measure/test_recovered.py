"""Differences of two measurements: published figures, statsmodels, and coverage by simulation."""

from __future__ import annotations

import numpy as np
import pytest
from statsmodels.stats.proportion import confint_proportions_2indep

from insectary.core.errors import BadInputError
from insectary.core.outcome import Measurement
from insectary.measure import difference, wilson_interval


def share(hits: int, n: int, level: float = 0.95) -> Measurement:
    low, high = wilson_interval(hits, n, level)
    return Measurement(hits / n, low, high, n, "wilson", level)


def test_the_example_of_newcombe() -> None:
    """56 of 70 against 48 of 80, method 10: 0.0524 to 0.3339."""
    found = difference(share(56, 70), share(48, 80))
    assert found.value == pytest.approx(0.2)
    assert (found.low, found.high) == pytest.approx((0.0524, 0.3339), abs=5e-5)
    assert found.n == 70


@pytest.mark.parametrize(("a", "n", "b", "m"), [(9, 10, 3, 10), (0, 40, 0, 30), (400, 400, 3, 400)])
def test_it_is_what_statsmodels_has(a: int, n: int, b: int, m: int) -> None:
    found = difference(share(a, n), share(b, m))
    low, high = confint_proportions_2indep(a, n, b, m, method="newcomb")
    assert (found.low, found.high) == pytest.approx((low, high), abs=1e-9)


def test_the_interval_covers_the_truth_as_often_as_it_says() -> None:
    draw = np.random.default_rng(0)
    first, second = draw.binomial(200, 0.3, 2000), draw.binomial(200, 0.05, 2000)
    found = [difference(share(a, 200), share(b, 200)) for a, b in zip(first, second, strict=True)]
    covered = np.mean([each.low <= 0.25 <= each.high for each in found])
    assert 0.94 <= covered <= 0.97


def test_two_levels_are_refused() -> None:
    with pytest.raises(BadInputError, match=r"levels 0\.95 and 0\.9"):
        difference(share(5, 10), share(5, 10, 0.9))
