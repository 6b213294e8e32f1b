"""Steps to half of a rate, on curves made up by hand."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from insectary.core.errors import BadInputError
from insectary.measure import Halving, halving

STEPS = (0, 1, 2, 4, 8)


@pytest.mark.parametrize(
    ("rates", "expected"),
    [
        ((1.0, 0.9, 0.9, 0.8, 0.6), Halving(None, 8, came_back=False)),
        ((1.0, 0.0, 0.0, 0.0, 0.0), Halving(0.5, 8, came_back=False)),
        ((1.0, 1.0, 0.75, 0.25, 0.0), Halving(3.0, 8, came_back=False)),
        ((1.0, 1.0, 0.5, 0.4, 0.5), Halving(2.0, 8, came_back=False)),
        ((1.0, 0.4, 0.2, 0.1, 0.9), Halving(pytest.approx(1 / 1.2), 8, came_back=True)),
        # Half is of the first rate, not of 1.
        ((0.4, 0.4, 0.3, 0.3, 0.1), Halving(6.0, 8, came_back=False)),
    ],
    ids=["never", "at once", "between", "to the point", "comes back", "of the first"],
)
def test_the_steps_to_half(rates: Sequence[float], expected: Halving) -> None:
    assert halving(STEPS, rates) == expected


def test_what_never_halves_costs_at_least_the_last_step() -> None:
    assert halving(STEPS, [0.8] * 5).at_least == 8
    assert halving(STEPS, [0.8, 0.0, 0.0, 0.0, 0.0]).at_least == 0.5


@pytest.mark.parametrize(
    ("steps", "rates"),
    [
        ((0, 1), (0.0, 0.0)),
        ((0, 1), (1.0, 1.2)),
        ((0,), (1.0,)),
        ((0, 1), (1.0,)),
        ((1, 2), (1.0, 0.0)),
        ((0, 2, 2), (1.0, 0.5, 0.2)),
    ],
)
def test_what_is_no_curve_is_refused(steps: Sequence[float], rates: Sequence[float]) -> None:
    with pytest.raises(BadInputError, match="a halving needs"):
        halving(steps, rates)
