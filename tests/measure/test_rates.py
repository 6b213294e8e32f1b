from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from insectary.core.errors import BadInputError, UnknownNameError
from insectary.measure import (
    clustered_rate,
    exact_interval,
    rate,
    rule_of_three,
    wilson_interval,
)

COUNTS = [(0, 1), (1, 1), (0, 400), (1, 400), (37, 50), (399, 400), (400, 400), (5, 1000)]


@pytest.mark.parametrize(("k", "n"), COUNTS)
@pytest.mark.parametrize("level", [0.8, 0.95, 0.99])
def test_intervals_agree_with_scipy_and_statsmodels(k: int, n: int, level: float) -> None:
    test = stats.binomtest(k, n)
    for method, ours, theirs in (
        ("exact", exact_interval, "beta"),
        ("wilson", wilson_interval, "wilson"),
    ):
        expected = test.proportion_ci(level, method=method)
        assert ours(k, n, level) == pytest.approx((expected.low, expected.high), abs=1e-10)
        other = proportion_confint(k, n, 1 - level, method=theirs)
        assert ours(k, n, level) == pytest.approx(other, abs=1e-10)


@given(st.integers(1, 3000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_rates_lie_in_their_interval_and_in_0_to_1(counts: tuple[int, int]) -> None:
    k, n = counts
    for method in ("clopper-pearson", "wilson"):
        m = rate(k, n, method=method, seeds=(1, 2))
        assert 0 <= m.low <= m.value <= m.high <= 1
        assert (m.n, m.seeds, m.method) == (n, (1, 2), method)
        mirror = rate(n - k, n, method=method)
        assert (1 - mirror.high, 1 - mirror.low) == pytest.approx((m.low, m.high), abs=1e-9)


def coverage(interval, n: int, true_rate: float) -> float:
    """Exact coverage: the chance of each count times whether its interval holds the rate."""
    chances = stats.binom.pmf(np.arange(n + 1), n, true_rate)
    held = [low <= true_rate <= high for low, high in (interval(k, n) for k in range(n + 1))]
    return float(chances[np.asarray(held)].sum())


def wald(k: int, n: int) -> tuple[float, float]:
    half = 1.96 * (k / n * (1 - k / n) / n) ** 0.5
    return k / n - half, k / n + half


def test_exact_interval_never_undercovers_wilson_on_average_does_not() -> None:
    rates = (0.002, 0.01, 0.03, 0.1, 0.3, 0.5, 0.77, 0.95, 0.99)
    exact = [coverage(exact_interval, 200, p) for p in rates]
    wilson = [coverage(wilson_interval, 200, p) for p in rates]
    assert min(exact) >= 0.95
    assert 0.94 <= np.mean(wilson) <= 0.97
    # The control: the same check finds the textbook interval out.
    assert coverage(wald, 200, 0.01) < 0.9


def beta_clusters(
    rng: np.random.Generator, clusters: int, size: int, mean: float, correlation: float
) -> np.ndarray:
    """0/1 rows, shape (clusters, size), with the given correlation within a cluster."""
    strength = (1 - correlation) / correlation
    rates = rng.beta(mean * strength, (1 - mean) * strength, clusters)
    return rng.random((clusters, size)) < rates[:, None]


@pytest.mark.parametrize(
    ("clusters", "size", "mean", "correlation"),
    [(6, 20, 0.5, 0.3), (20, 10, 0.2, 0.3), (50, 20, 0.9, 0.3), (50, 20, 0.03, 0.1)],
)
def test_clustered_rate_covers_where_the_item_level_interval_does_not(
    clusters: int, size: int, mean: float, correlation: float
) -> None:
    rng = np.random.default_rng(clusters)
    keys = np.repeat(np.arange(clusters), size)
    held, naive = 0, 0
    for _ in range(500):
        rows = beta_clusters(rng, clusters, size, mean, correlation).ravel()
        m = clustered_rate(rows, keys)
        held += m.low <= mean <= m.high
        low, high = exact_interval(int(rows.sum()), rows.size)
        naive += low <= mean <= high
    assert held / 500 >= 0.925
    assert naive / 500 < 0.85


def test_clustered_rate_costs_little_where_clusters_do_not_matter() -> None:
    rng = np.random.default_rng(0)
    rows = rng.random(1000) < 0.3
    m = clustered_rate(rows, np.repeat(np.arange(100), 10))
    exact = rate(int(rows.sum()), 1000)
    assert m.value == exact.value
    assert exact.high - exact.low <= m.high - m.low < 1.4 * (exact.high - exact.low)


@pytest.mark.parametrize("k", [0, 60])
def test_without_variance_the_exact_interval_rules(k: int) -> None:
    rows = np.zeros(60)
    rows[:k] = 1
    m = clustered_rate(rows, ["a", "b", "c"] * 20)
    assert (m.low, m.high) == exact_interval(k, 60)
    # Equal rates in every cluster: no row is counted twice for that.
    even = clustered_rate([0, 1] * 30, np.repeat(np.arange(30), 2))
    assert (even.low, even.high) == exact_interval(30, 60)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 5)), min_size=2, max_size=60))
def test_clustered_rate_is_never_narrower_than_exact(rows: list[tuple[bool, int]]) -> None:
    events, keys = zip(*rows, strict=True)
    if len(set(keys)) < 2:
        with pytest.raises(BadInputError, match="one key"):
            clustered_rate(events, keys)
        return
    m = clustered_rate(events, keys)
    low, high = exact_interval(sum(events), len(events))
    assert 0 <= m.low <= low <= m.value <= high <= m.high <= 1


def test_events_packed_in_one_cluster_widen_the_interval() -> None:
    keys = np.repeat(np.arange(50), 20)
    packed, spread = np.zeros(1000), np.zeros(1000)
    packed[:20] = 1
    spread[::50] = 1
    assert clustered_rate(packed, keys).high > 2 * clustered_rate(spread, keys).high


def test_rule_of_three() -> None:
    m = rule_of_three(300)
    assert (m.value, m.low, m.n) == (0.0, 0.0, 300)
    assert m.high == pytest.approx(0.01, rel=0.002)
    # On the safe side of the exact one-sided bound, and near it.
    exact = exact_interval(0, 300, 0.90)[1]
    assert exact <= m.high < 1.01 * exact
    assert rule_of_three(1).high == 1.0


@pytest.mark.parametrize(
    "call",
    [
        lambda: exact_interval(0, 0),
        lambda: exact_interval(-1, 5),
        lambda: wilson_interval(6, 5),
        lambda: wilson_interval(1, 5, 1.0),
        lambda: rate(1, 5, level=0.0),
        lambda: exact_interval(0.5, 5),  # type: ignore[arg-type]
        lambda: rule_of_three(0),
        lambda: clustered_rate([], []),
        lambda: clustered_rate([0, 2], ["a", "b"]),
        lambda: clustered_rate([0, np.nan], ["a", "b"]),
        lambda: clustered_rate([0, 1], ["a"]),
        lambda: clustered_rate([0, 1], [[], []]),
        lambda: clustered_rate(["yes", "no"], ["a", "b"]),
        lambda: clustered_rate([[0, 1]], ["a", "b"]),
    ],
)
def test_bad_input_is_one_clear_error(call) -> None:
    with pytest.raises(BadInputError):
        call()


def test_unknown_method_lists_the_known_ones() -> None:
    with pytest.raises(UnknownNameError, match="clopper-pearson, wilson"):
        rate(1, 2, method="wald")


def test_the_room_loads_without_heavy_packages() -> None:
    code = (
        "import sys, insectary.measure;"
        "print([m for m in ('torch', 'sklearn', 'scipy.stats', 'matplotlib') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
