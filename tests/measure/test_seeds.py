"""Tests over seeds: against SciPy, published examples, and every order counted by hand."""

from __future__ import annotations

from itertools import permutations, product

import numpy as np
import pytest
from scipy import stats

from insectary.core.errors import BadInputError
from insectary.measure import jonckheere, page, seed_mean, signed_rank

# Hollander and Wolfe 1999, table 6.6: pieces an hour of men with no, rough and exact
# knowledge of their rate. J is 79, of which 54 are to be expected.
PIECES = (
    (40, 35, 38, 43, 44, 41),
    (38, 40, 47, 44, 40, 42),
    (48, 40, 45, 43, 46, 44),
)


def test_the_mean_over_seeds_has_students_interval() -> None:
    values = np.random.default_rng(0).normal(0.3, 0.1, 8)
    found = seed_mean(values, seeds=range(8))
    low, high = stats.t.interval(0.95, 7, loc=values.mean(), scale=stats.sem(values))
    assert (found.value, found.low, found.high) == pytest.approx((values.mean(), low, high))
    assert (found.n, found.seeds) == (8, tuple(range(8)))


def test_one_seed_has_no_interval() -> None:
    with pytest.raises(BadInputError, match="two or more"):
        seed_mean([0.4])


@pytest.mark.parametrize("n", [3, 5, 8, 20])
def test_signed_ranks_are_scipys_where_nothing_ties(n: int) -> None:
    for seed in range(5):
        d = np.random.default_rng(seed).normal(0.4, 1, n)
        wanted = stats.wilcoxon(d, alternative="greater", method="exact").pvalue
        assert signed_rank(d) == pytest.approx(wanted, rel=1e-12)


def test_signed_ranks_count_every_sign_where_ranks_tie() -> None:
    d = np.array([0.1, 0.1, -0.1, 0.3, 0.0, 0.3, 0.5])
    kept = d[d != 0]
    ranks = stats.rankdata(np.abs(kept))
    seen = ranks[kept > 0].sum()
    signs = [np.dot(s, ranks) >= seen for s in product((0, 1), repeat=kept.size)]
    assert signed_rank(d) == pytest.approx(np.mean(signs), rel=1e-12)


def test_eight_seeds_reach_a_hundredth_and_five_do_not() -> None:
    assert signed_rank(np.arange(1, 9)) == 1 / 256
    assert signed_rank(np.arange(1, 6)) == 1 / 32
    assert signed_rank(-np.arange(1, 9)) == 1.0
    assert signed_rank([0.0, 0.0]) == 1.0


def test_jonckheere_gives_the_textbooks_example() -> None:
    # The variance under ties, by the formula of section 6.2: 153 without them.
    variance = 153 - 258 / 72 + 360 * 30 / (36 * 18 * 17 * 16) + 90 * 22 / (8 * 18 * 17)
    assert jonckheere(PIECES) == pytest.approx(stats.norm.sf((79 - 54) / variance**0.5))


def test_jonckheere_of_two_groups_is_mann_and_whitneys() -> None:
    low, high = PIECES[0], PIECES[2]
    wanted = stats.mannwhitneyu(
        high, low, alternative="greater", method="asymptotic", use_continuity=False
    ).pvalue
    assert jonckheere((low, high)) == pytest.approx(wanted)


def test_jonckheere_is_near_the_share_of_all_orders() -> None:
    groups = ((1.0, 2.0, 2.0), (2.0, 3.0, 1.5), (4.0, 3.0, 2.5))

    def statistic(a: tuple[float, ...]) -> float:
        parts = (a[:3], a[3:6], a[6:])
        pairs = [(x, y) for i in range(3) for j in range(i + 1, 3)
                 for x in parts[i] for y in parts[j]]  # fmt: skip
        return sum((x < y) + (x == y) / 2 for x, y in pairs)

    values = tuple(x for group in groups for x in group)
    generator = np.random.default_rng(0)
    drawn = [statistic(tuple(generator.permutation(values))) for _ in range(1000)]
    share = np.mean(np.array(drawn) >= statistic(values))
    assert jonckheere(groups) == pytest.approx(share, abs=0.02)
    assert jonckheere(groups[::-1]) > 0.95


def test_jonckheere_sees_nothing_in_one_tie() -> None:
    assert jonckheere(([1, 1], [1, 1])) == 1.0


@pytest.mark.parametrize(("seeds", "settings"), [(4, 3), (8, 4), (5, 6)])
def test_page_is_scipys_exact_one(seeds: int, settings: int) -> None:
    table = np.random.default_rng(seeds).random((seeds, settings)) + np.arange(settings) * 0.2
    wanted = stats.page_trend_test(table, method="exact").pvalue
    assert page(table) == pytest.approx(wanted, rel=1e-9)


def test_page_counts_every_order_where_a_row_ties() -> None:
    row = np.array([1.0, 2.0, 2.0, 3.0])
    ranks = stats.rankdata(row)
    at_least = [np.dot(order, [1, 2, 3, 4]) >= np.dot(ranks, [1, 2, 3, 4])
                for order in permutations(ranks)]  # fmt: skip
    assert page([row]) == pytest.approx(np.mean(at_least))
    assert page([[1, 1, 1]]) == 1.0


@pytest.mark.parametrize(
    "call",
    [
        lambda: signed_rank([]),
        lambda: signed_rank([0.1, float("nan")]),
        lambda: jonckheere([[1, 2]]),
        lambda: jonckheere([[1], [2]]),
        lambda: page([[1, 2]]),
        lambda: page([1, 2, 3]),
        lambda: page([[1, 2, float("inf")]]),
    ],
)
def test_what_is_no_data_is_refused(call: object) -> None:
    with pytest.raises(BadInputError):
        call()  # type: ignore[operator]
