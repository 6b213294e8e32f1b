"""The log-rank score, against figures worked out by hand."""

from __future__ import annotations

import math

import pytest

from insectary.core.errors import BadInputError
from insectary.measure import log_rank


def test_it_is_what_a_table_gives() -> None:
    # At the first time 3 of 40 and 1 of 35; at the second 0 of 37 and 2 of 34.
    expected = 4 * 40 / 75 + 2 * 37 / 71
    variance = 4 * 40 * 35 / 75**2 * 71 / 74 + 2 * 37 * 34 / 71**2 * 69 / 70
    score = (3 - expected) / math.sqrt(variance)
    assert log_rank((3, 0), 40, (1, 2), 35) == pytest.approx(score)
    assert log_rank((1, 2), 35, (3, 0), 40) == pytest.approx(-score)


def test_sooner_is_above_0_even_where_as_many_give_way() -> None:
    assert log_rank((8, 0), 20, (0, 8), 20) > 0
    assert log_rank((0, 8), 20, (8, 0), 20) < 0


def test_where_nothing_happens_the_score_is_0() -> None:
    assert (
        log_rank((0, 0), 5, (0, 0), 5) == log_rank((), 5, (), 5) == log_rank((0,), 0, (1,), 1) == 0
    )


@pytest.mark.parametrize("second", [(1,), (6, 0), (-1, 0)])
def test_what_cannot_be_is_refused(second: tuple[int, ...]) -> None:
    with pytest.raises(BadInputError, match="log-rank"):
        log_rank((1, 0), 5, second, 5)
