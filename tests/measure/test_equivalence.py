from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.weightstats import ttost_ind, ttost_paired

from insectary.core.errors import BadInputError
from insectary.measure import (
    Equivalence,
    macro_tost,
    non_inferior,
    paired_difference,
    tost,
    tost_rates,
)
from insectary.measure.pairs import null_variance, score_interval


@pytest.mark.parametrize("shift", [0.0, 0.1, 0.4])
def test_tost_agrees_with_statsmodels(shift: float) -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(shift, 1, 80), rng.normal(0, 1.5, 80)
    paired = tost(a, b, 0.5, paired=True)
    assert paired.p_value == pytest.approx(ttost_paired(a, b, -0.5, 0.5)[0])
    apart = tost(a, b[:60], 0.5, paired=False)
    assert apart.p_value == pytest.approx(ttost_ind(a, b[:60], -0.5, 0.5, usevar="unequal")[0])
    for t in (paired, apart):
        inside = t.difference.low > -0.5 and t.difference.high < 0.5
        assert t.passed == (t.p_value < 0.05) == inside
        assert t.difference.level == pytest.approx(0.9)


def pairs(rng: np.random.Generator, n: int, first_only: float, second_only: float) -> np.ndarray:
    """Paired 0/1 rows, shape (2, n), half of the agreeing rows right."""
    kind = rng.random(n)
    rows = np.tile(rng.random(n) < 0.5, (2, 1))
    rows[:, kind < first_only] = [[True], [False]]
    rows[:, (kind >= first_only) & (kind < first_only + second_only)] = [[False], [True]]
    return rows


def test_tost_rates_agrees_with_the_t_test_where_many_rows_differ() -> None:
    a, b = pairs(np.random.default_rng(1), 2000, 0.2, 0.2)
    ours = tost_rates(a, b, 0.03)
    theirs = ttost_paired(a.astype(float), b.astype(float), -0.03, 0.03)[0]
    assert ours.p_value == pytest.approx(theirs, rel=0.2)
    assert ours.p_value >= theirs


@pytest.mark.parametrize(("n", "passed"), [(100, False), (140, True), (400, True)])
def test_no_disagreement_proves_only_what_its_number_of_rows_can(n: int, passed: bool) -> None:
    rows = np.ones(n)
    verdict = tost_rates(rows, rows, 0.02)
    assert verdict.passed is passed
    # The control: a variance taken from the rows alone is zero, and proves anything.
    assert np.var(rows - rows) == 0.0
    # Closed form of the score test: n d / sqrt(n d (1 - d)).
    d = 0.02
    assert null_variance(0, 0, n, d) == pytest.approx(d * (1 - d) / n)


@pytest.mark.parametrize("where", [(0.0, 0.02), (0.02, 0.0), (0.05, 0.07)])
def test_tost_rates_keeps_its_error_at_the_margin(where: tuple[float, float]) -> None:
    rng = np.random.default_rng(2)
    runs = 600
    wrong = sum(tost_rates(*pairs(rng, 250, *where), 0.02).passed for _ in range(runs))
    assert wrong / runs <= 0.07


def test_tost_rates_has_power() -> None:
    rng = np.random.default_rng(3)
    right = sum(tost_rates(*pairs(rng, 1000, 0.01, 0.01), 0.02).passed for _ in range(100))
    assert right >= 95


def clustered_pairs(
    rng: np.random.Generator, clusters: int, size: int, loss: float
) -> tuple[np.ndarray, np.ndarray]:
    """The first fails whole clusters, a ``loss`` share of them; the second never fails."""
    fails = np.repeat(rng.random(clusters) < loss, size)
    return ~fails, np.ones(clusters * size)


def test_clusters_guard_the_error_that_rows_do_not() -> None:
    rng = np.random.default_rng(4)
    keys = np.repeat(np.arange(40), 20)
    passed = {"clusters": 0, "rows": 0}
    for _ in range(300):
        a, b = clustered_pairs(rng, 40, 20, 0.2)
        passed["clusters"] += non_inferior(a, b, 0.2, groups=keys).passed
        passed["rows"] += non_inferior(a, b, 0.2).passed
    assert passed["clusters"] / 300 <= 0.10
    assert passed["rows"] / 300 > 0.25


def test_non_inferior_is_one_sided() -> None:
    rng = np.random.default_rng(5)
    worse, better = np.ones(500), np.ones(500)
    worse[rng.choice(500, 60, replace=False)] = 0
    assert non_inferior(better, worse, 0.05).passed
    assert not tost_rates(better, worse, 0.05).passed
    assert not non_inferior(worse, better, 0.05).passed


def test_macro_of_one_skill_is_the_plain_test() -> None:
    a, b = pairs(np.random.default_rng(6), 300, 0.03, 0.02)
    assert macro_tost([(a, b)], 0.02) == tost_rates(a, b, 0.02)


def test_macro_weighs_skills_alike() -> None:
    big = (np.ones(4000), np.ones(4000))
    small_first = np.ones(400)
    small_first[:80] = 0
    verdict = macro_tost([big, (small_first, np.ones(400))], 0.02)
    assert verdict.difference.value == pytest.approx(-0.1)
    assert not verdict.passed
    # Opposite changes cancel in a macro-average; per-skill bounds are another test.
    up = macro_tost([(small_first, np.ones(400)), (np.ones(400), small_first)], 0.06)
    assert up.difference.value == 0.0
    assert up.passed


def test_macro_gains_from_many_skills_and_keeps_its_error() -> None:
    rng = np.random.default_rng(7)
    wrong = 0
    for _ in range(200):
        skills = [tuple(pairs(rng, 150, 0.02, 0.04)) for _ in range(6)]
        wrong += macro_tost(skills, 0.02).passed
    assert wrong / 200 <= 0.09
    same = [(np.ones(60), np.ones(60))] * 8
    assert not tost_rates(*same[0], 0.02).passed
    assert macro_tost(same, 0.02).passed


def test_macro_takes_clusters_per_skill() -> None:
    rng = np.random.default_rng(8)
    a, b = clustered_pairs(rng, 40, 20, 0.1)
    keys = np.repeat(np.arange(40), 20)
    alone = macro_tost([(a, b), (a, b)], 0.2)
    clustered = macro_tost([(a, b), (a, b)], 0.2, groups=[keys, keys])
    assert clustered.difference.low < alone.difference.low
    assert clustered.p_value > alone.p_value


@given(
    st.lists(st.sampled_from([(0, 0), (0, 1), (1, 0), (1, 1)]), min_size=3, max_size=60),
    st.floats(0.01, 0.9),
    st.booleans(),
)
def test_verdict_p_value_and_interval_agree(
    rows: list[tuple[int, int]], margin: float, clustered: bool
) -> None:
    a, b = (np.array(side) for side in zip(*rows, strict=True))
    groups = np.arange(len(rows)) // 2 if clustered else None
    if clustered and len(rows) < 3:
        return
    verdict = tost_rates(a, b, margin, groups=groups)
    d = verdict.difference
    assert -1 <= d.low <= d.value <= d.high <= 1
    assert 0 <= verdict.p_value <= 1
    assert verdict.passed == (verdict.p_value < 0.05)
    if abs(verdict.p_value - 0.05) > 1e-6:
        assert verdict.passed == (d.low > -margin and d.high < margin)
    swapped = tost_rates(b, a, margin, groups=groups)
    assert swapped.p_value == pytest.approx(verdict.p_value)
    assert -swapped.difference.low == pytest.approx(d.high, abs=1e-9)


def test_score_interval_by_closed_form() -> None:
    # Without any disagreement it has the closed form z^2 / (n + z^2).
    low, high = score_interval(0, 0, 54)
    z2 = 1.959964**2
    assert (low, high) == pytest.approx((-z2 / (54 + z2), z2 / (54 + z2)), abs=1e-4)


def test_score_variance_is_the_likeliest_one() -> None:
    # Against a plain grid search of the likelihood.
    for b, c, n, d in [(5, 2, 40, 0.1), (0, 3, 40, 0.02), (3, 0, 40, -0.2), (10, 10, 40, 0.0)]:
        q = np.linspace(max(0.0, -d) + 1e-9, (1 - d) / 2 - 1e-9, 200_001)
        log_likelihood = b * np.log(q + d) + c * np.log(q) + (n - b - c) * np.log(1 - 2 * q - d)
        best = q[np.argmax(log_likelihood)]
        assert null_variance(b, c, n, d) == pytest.approx((2 * best + d - d * d) / n, rel=1e-3)


def test_score_interval_covers_where_hardly_any_row_differs() -> None:
    rng = np.random.default_rng(9)
    held = 0
    for _ in range(500):
        m = paired_difference(*pairs(rng, 200, 0.01, 0.0), draws=100)
        held += m.low <= 0.01 <= m.high
    assert held / 500 >= 0.94


def test_the_verdict_is_frozen() -> None:
    verdict = tost_rates(np.ones(400), np.ones(400), 0.02)
    assert isinstance(verdict, Equivalence)
    with pytest.raises(AttributeError):
        verdict.passed = False  # type: ignore[misc]


@pytest.mark.parametrize(
    "call",
    [
        lambda: tost([1.0, 2.0], [1.0, 3.0], 0.0, paired=True),
        lambda: tost([1.0, 2.0], [1.0], 0.1, paired=True),
        lambda: tost([], [], 0.1, paired=True),
        lambda: tost([1.1, 2.1], [1.0, 2.0], 0.5, paired=True),
        lambda: tost([1.0, 1.0], [2.0, 2.0], 0.5, paired=False),
        lambda: tost([1.0], [2.0, 3.0], 0.5, paired=False),
        lambda: tost([1.0, 2.0], [2.0, 3.0], 0.5, paired=False, groups=["a", "b"]),
        lambda: tost([1.0, 2.0], [2.0, 5.0], 0.5, paired=True, groups=["a", "a"]),
        lambda: tost_rates([1, 0], [1, 0], 0.0),
        lambda: tost_rates([1, 0], [1, 0], 1.0),
        lambda: tost_rates([1, 0], [1, 2], 0.1),
        lambda: tost_rates([1, 0], [1, 0], 0.1, alpha=0.5),
        lambda: tost_rates([1], [1], 0.1),
        lambda: tost_rates([1, 0], [1, 0], 0.1, groups=["a"]),
        lambda: non_inferior([], [], 0.1),
        lambda: non_inferior([1, 0], [1, 0], 0.1, groups=["a", "a"]),
        lambda: macro_tost([], 0.1),
        lambda: macro_tost([([1, 0], [1, 0])], 0.1, groups=[]),
    ],
)
def test_bad_input_is_one_clear_error(call) -> None:
    with pytest.raises(BadInputError):
        call()


def test_macro_names_the_skill_that_is_wrong() -> None:
    with pytest.raises(BadInputError, match="skill 1: second"):
        macro_tost([([1, 0], [1, 0]), ([1, 0], [1, np.nan])], 0.1)
