"""The log-rank score, against SciPy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from insectary.core.errors import BadInputError
from insectary.measure import log_rank


def by_scipy(*groups: tuple[tuple[int, ...], int]) -> float:
    times = range(1, 1 + len(groups[0][0]))
    lots = [
        stats.CensoredData(np.repeat(times, events), right=np.full(n - sum(events), times[-1]))
        for events, n in groups
    ]
    return float(stats.logrank(*lots).statistic)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (((3, 0, 5, 1), 40), ((0, 1, 1, 0), 35)),
        (((0, 0, 0, 2), 20), ((4, 4, 4, 4), 20)),
        (((10, 0, 0, 0), 10), ((0, 0, 0, 6), 7)),
    ],
)
def test_it_is_scipys(
    first: tuple[tuple[int, ...], int], second: tuple[tuple[int, ...], int]
) -> None:
    found = log_rank(*first, *second)
    assert found == pytest.approx(by_scipy(first, second))
    assert log_rank(*second, *first) == pytest.approx(-found)


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
