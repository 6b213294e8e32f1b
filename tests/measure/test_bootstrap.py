from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from insectary.core.errors import BadInputError
from insectary.core.outcome import Measurement
from insectary.measure import (
    auroc,
    auroc_clustered,
    cluster_bootstrap,
    exact_interval,
    paired_difference,
)


def clustered_scores(
    rng: np.random.Generator, clusters: int, size: int, separation: float, correlation: float
) -> tuple[np.ndarray, np.ndarray]:
    """Positive and negative scores with one shared effect per prompt, rows by cluster."""
    effect = np.repeat(rng.normal(size=clusters), size) * correlation**0.5
    noise = (1 - correlation) ** 0.5
    positive = separation + effect + noise * rng.normal(size=clusters * size)
    return positive, effect + noise * rng.normal(size=clusters * size)


def true_auroc(separation: float, correlation: float, clusters: int) -> float:
    """Over all pairs: those across prompts, and the few within one prompt."""
    across = stats.norm.cdf(separation / 2**0.5)
    within = stats.norm.cdf(separation / (2 * (1 - correlation)) ** 0.5)
    return float(across * (1 - 1 / clusters) + within / clusters)


@pytest.mark.parametrize(
    ("clusters", "size", "separation"), [(12, 8, 1.0), (40, 4, 1.0), (50, 2, 2.9)]
)
def test_auroc_interval_covers(clusters: int, size: int, separation: float) -> None:
    rng = np.random.default_rng(clusters)
    keys = np.repeat(np.arange(clusters), size)
    truth = true_auroc(separation, 0.5, clusters)
    held = 0
    for _ in range(300):
        positive, negative = clustered_scores(rng, clusters, size, separation, 0.5)
        m = auroc_clustered(positive, keys, negative, keys, draws=300)
        held += m.low <= truth <= m.high
    assert held / 300 >= 0.92


def test_rows_in_place_of_clusters_undercover() -> None:
    """The control of the test above: the same rows, each called its own cluster."""
    rng = np.random.default_rng(0)
    clusters, size = 12, 16
    truth = float(stats.norm.cdf(1.0 / 2**0.5))
    keys = np.repeat(np.arange(clusters), size)
    held = {"rows": 0, "clusters": 0}
    for _ in range(120):
        # Separate prompts on the two sides, where the prompts' effects do not cancel.
        positive, _ = clustered_scores(rng, clusters, size, 1.0, 0.5)
        _, negative = clustered_scores(rng, clusters, size, 1.0, 0.5)
        rows = np.arange(positive.size)
        naive = auroc_clustered(positive, rows, negative, rows + rows.size, draws=300)
        honest = auroc_clustered(positive, keys, negative, keys + clusters, draws=300)
        held["rows"] += naive.low <= truth <= naive.high
        held["clusters"] += honest.low <= truth <= honest.high
    assert held["rows"] / 120 < 0.7
    assert held["clusters"] / 120 >= 0.90


def test_shared_prompts_are_drawn_jointly() -> None:
    rng = np.random.default_rng(3)
    # Nearly all spread is the prompts' own, and cancels where both sides share it.
    positive, negative = clustered_scores(rng, 50, 1, 0.6, 0.95)
    keys = [f"prompt {i}" for i in range(50)]
    others = [f"other {i}" for i in range(50)]
    joint = auroc_clustered(positive, keys, negative, keys)
    apart = auroc_clustered(positive, keys, negative, others)
    assert joint.value == apart.value
    assert joint.high - joint.low < 0.6 * (apart.high - apart.low)


def test_fast_way_agrees_with_the_general_one() -> None:
    rng = np.random.default_rng(5)
    positive, negative = (np.round(s, 1) for s in clustered_scores(rng, 60, 3, 1.0, 0.4))
    keys = np.repeat(np.arange(60), 3)
    scores, labels = np.concatenate([positive, negative]), np.repeat([1, 0], 180)
    fast = auroc_clustered(positive, keys, negative, keys, draws=4000)
    slow = cluster_bootstrap(auroc, np.concatenate([keys, keys]), scores, labels, draws=1000)
    assert fast.value == pytest.approx(slow.value)
    # The fast one is the wider of two intervals; mostly the same to a point.
    assert fast.low == pytest.approx(slow.low, abs=0.015)
    assert fast.high == pytest.approx(slow.high, abs=0.015)


def test_full_separation_is_not_certainty() -> None:
    m = auroc_clustered(np.arange(100) + 100.0, range(100), np.arange(100.0), range(100))
    assert m.value == m.high == 1.0
    assert m.low == exact_interval(50, 50)[0]
    apart = auroc_clustered(np.arange(100) + 100.0, range(100), np.arange(100.0), range(100, 200))
    assert apart.low == exact_interval(100, 100)[0]
    reverse = auroc_clustered(np.arange(100.0), range(100), np.arange(100) + 100.0, range(100))
    assert (reverse.low, reverse.value) == (0.0, 0.0)
    assert reverse.high == pytest.approx(1 - m.low)


def test_bound_at_full_separation_covers() -> None:
    # True AUROC 0.97 over ten prompts a side: full separation is common.
    rng = np.random.default_rng(2)
    truth = 0.97
    separation = stats.norm.ppf(truth) * 2**0.5
    held, full = 0, 0
    for _ in range(400):
        m = auroc_clustered(
            rng.normal(separation, 1, 10),
            range(10),
            rng.normal(size=10),
            range(10, 20),
            draws=200,
        )
        held += m.low <= truth <= m.high
        full += m.value == 1.0
    assert full > 40
    assert held / 400 >= 0.92


def test_constant_scores_are_one_half_and_far_from_sure() -> None:
    m = auroc_clustered(np.ones(20), range(20), np.ones(20), range(20))
    assert m.value == 0.5
    assert m.low < 0.25 and m.high > 0.75


def test_a_thousand_draws_over_two_thousand_rows_are_quick() -> None:
    rng = np.random.default_rng(0)
    positive, negative = clustered_scores(rng, 1000, 1, 1.0, 0.3)
    started = time.process_time()
    auroc_clustered(positive, range(1000), negative, range(1000), draws=1000)
    assert time.process_time() - started < 2.0


def test_blocks_do_not_change_the_result(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    positive, negative = clustered_scores(rng, 40, 2, 1.0, 0.3)
    keys = np.repeat(np.arange(40), 2)

    def both() -> tuple[Measurement, Measurement]:
        return (
            auroc_clustered(positive, keys, negative, keys, seed=3),
            paired_difference(positive, negative, keys, seed=3),
        )

    whole = both()
    monkeypatch.setattr("insectary.measure.bootstrap.BLOCK", 3000)
    assert both() == whole


@settings(max_examples=25)
@given(st.integers(0, 2**31), st.integers(2, 12), st.integers(2, 12), st.integers(0, 8))
def test_auroc_interval_holds_its_value_and_is_reproducible(
    seed: int, positives: int, negatives: int, shift: int
) -> None:
    rng = np.random.default_rng(seed)
    positive, negative = rng.integers(0, 5, positives) / 4, rng.integers(0, 5, negatives) / 4
    groups = (range(positives), range(shift, shift + negatives))
    try:
        first = auroc_clustered(positive, groups[0], negative, groups[1], draws=100, seed=1)
    except BadInputError as error:
        assert "too few clusters" in str(error)
        return
    labels = np.repeat([1, 0], (positives, negatives))
    assert first.value == pytest.approx(auroc(np.concatenate([positive, negative]), labels))
    assert 0 <= first.low <= first.value <= first.high <= 1
    assert first == auroc_clustered(positive, groups[0], negative, groups[1], draws=100, seed=1)


def test_cluster_bootstrap_of_a_mean_matches_theory_and_covers() -> None:
    rng = np.random.default_rng(7)
    keys = np.repeat(np.arange(25), 6)
    held, naive = 0, 0
    for _ in range(100):
        rows = np.repeat(rng.normal(size=25), 6) + rng.normal(size=150)
        m = cluster_bootstrap(np.mean, keys, rows, draws=200)
        held += m.low <= 0 <= m.high
        item = cluster_bootstrap(np.mean, range(150), rows, draws=200)
        naive += item.low <= 0 <= item.high
    assert held / 100 >= 0.91
    assert naive / 100 < 0.85


def test_cluster_bootstrap_keeps_rows_together() -> None:
    x = np.random.default_rng(0).normal(size=200)
    m = cluster_bootstrap(
        lambda a, b: float(np.mean(a - b)) + float(np.mean(a)) * 1e-3,
        np.repeat(np.arange(40), 5),
        x,
        x - 2.0,
    )
    assert m.low == pytest.approx(2.0, abs=1e-2) and m.high == pytest.approx(2.0, abs=1e-2)


def test_few_clusters_are_widened() -> None:
    rng = np.random.default_rng(12)
    held, plain = 0, 0
    for _ in range(400):
        rows = rng.normal(size=5)
        m = cluster_bootstrap(np.mean, range(5), rows, draws=200)
        held += m.low <= 0 <= m.high
        low, high = np.quantile(rows[rng.integers(0, 5, (200, 5))].mean(axis=1), (0.025, 0.975))
        plain += low <= 0 <= high
    # Seen over 1,000 runs: 0.915 widened, 0.85 plain.
    assert held / 400 >= 0.88
    assert held - plain > 10


def test_paired_difference_covers() -> None:
    rng = np.random.default_rng(1)
    keys = np.repeat(np.arange(30), 5)
    held = 0
    for _ in range(300):
        cluster = np.repeat(rng.normal(size=30), 5)
        base = rng.normal(size=150)
        m = paired_difference(base + 0.5 * cluster + 0.3, base, keys, draws=300)
        held += m.low <= 0.3 <= m.high
    assert held / 300 >= 0.92


def test_paired_difference_agrees_with_the_t_interval() -> None:
    rng = np.random.default_rng(2)
    a, b = rng.normal(1, 1, 400), rng.normal(0, 1, 400)
    expected = stats.ttest_rel(a, b).confidence_interval()
    m = paired_difference(a, b, draws=4000)
    assert (m.low, m.high) == pytest.approx((expected.low, expected.high), abs=0.02)
    assert m.value == pytest.approx(float(np.mean(a - b)))


@pytest.mark.parametrize("second", [0, 1])
def test_paired_rates_without_spread_keep_an_honest_interval(second: int) -> None:
    n = 400
    m = paired_difference(np.ones(n), np.full(n, second), range(n))
    assert m.value == 1 - second
    assert m.high - m.low > 0.005
    assert m.low <= m.value <= m.high


@pytest.mark.parametrize(
    "call",
    [
        lambda: auroc_clustered([], [], [1.0], ["a"]),
        lambda: auroc_clustered([1.0], ["a"], [], []),
        lambda: auroc_clustered([1.0, 2.0], ["a"], [1.0, 2.0], ["a", "b"]),
        lambda: auroc_clustered([1.0, 2.0], ["a", "a"], [1.0, 2.0], ["b", "c"]),
        lambda: auroc_clustered([1.0, np.nan], ["a", "b"], [1.0, 2.0], ["b", "c"]),
        lambda: auroc_clustered([1.0, 2.0], "ab", [1.0, 2.0], "bc"),
        lambda: auroc_clustered([1.0, 2.0], "ab", [1.0, 2.0], "cd", draws=10),
        lambda: auroc_clustered([1.0, 2.0], "ab", [1.0, 2.0], "cd", level=95),
        lambda: cluster_bootstrap(np.mean, []),
        lambda: cluster_bootstrap(np.mean, [], []),
        lambda: cluster_bootstrap(np.mean, ["a", "a"], [1.0, 2.0]),
        lambda: cluster_bootstrap(np.mean, ["a", "b"], [1.0, 2.0], [1.0]),
        lambda: cluster_bootstrap(np.mean, ["a", "b"], [1.0, np.inf]),
        lambda: cluster_bootstrap(np.mean, ["a", "b"], [1.0, 1.0]),
        lambda: paired_difference([1.0], [2.0]),
        lambda: paired_difference([], []),
        lambda: paired_difference([1.0, 2.0], [1.0]),
        lambda: paired_difference([1.5, 2.5], [1.0, 2.0]),
        lambda: paired_difference([1.5, 2.5], [1.1, 2.0], ["a", "a"]),
    ],
)
def test_bad_input_is_one_clear_error(call) -> None:
    with pytest.raises(BadInputError):
        call()
