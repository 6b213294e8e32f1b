from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics

from insectary.core.errors import BadInputError
from insectary.measure import (
    auroc,
    average_precision,
    empirical_rank,
    ppv,
    ppv_measurement,
    rate,
    roc_curve,
    threshold_at_fpr,
    tpr_at_fpr,
)

# Few distinct values, so that ties are the rule.
scored_rows = st.lists(
    st.tuples(st.integers(-4, 4), st.booleans()), min_size=2, max_size=40
).filter(lambda rows: 0 < sum(label for _, label in rows) < len(rows))


@given(scored_rows)
def test_ranking_agrees_with_scikit_learn(rows: list[tuple[int, bool]]) -> None:
    scores, labels = np.array([s for s, _ in rows], float), np.array([y for _, y in rows])
    assert auroc(scores, labels) == pytest.approx(metrics.roc_auc_score(labels, scores))
    assert average_precision(scores, labels) == pytest.approx(
        metrics.average_precision_score(labels, scores)
    )
    for ours, theirs in zip(
        roc_curve(scores, labels),
        metrics.roc_curve(labels, scores, drop_intermediate=False),
        strict=True,
    ):
        assert ours == pytest.approx(theirs)


@given(scored_rows)
def test_auroc_is_mann_whitney_and_mirrors(rows: list[tuple[int, bool]]) -> None:
    scores, labels = np.array([s for s, _ in rows], float), np.array([y for _, y in rows])
    u = stats.mannwhitneyu(scores[labels], scores[~labels]).statistic
    assert auroc(scores, labels) == pytest.approx(u / (labels.sum() * (~labels).sum()))
    assert auroc(-scores, labels) == pytest.approx(1 - auroc(scores, labels))
    assert auroc(scores, ~labels) == pytest.approx(1 - auroc(scores, labels))
    # Any rising function of the scores, ranks among a reference included, keeps it.
    assert auroc(np.exp(scores), labels) == pytest.approx(auroc(scores, labels))
    assert auroc(empirical_rank(scores, scores), labels) == pytest.approx(auroc(scores, labels))


def test_auroc_by_closed_form() -> None:
    rng = np.random.default_rng(0)
    scores = np.concatenate([rng.normal(1, 1, 20000), rng.normal(0, 1, 20000)])
    assert auroc(scores, np.arange(40000) < 20000) == pytest.approx(
        stats.norm.cdf(1 / 2**0.5), abs=0.01
    )


@given(
    st.lists(st.integers(0, 30), min_size=19, max_size=200), st.sampled_from([0.05, 0.1, 0.25, 0.5])
)
def test_threshold_keeps_the_false_alarm_rate_with_ties(benign: list[int], fpr: float) -> None:
    threshold = threshold_at_fpr(benign, fpr)
    assert np.mean(np.array(benign) > threshold) <= fpr


def test_threshold_holds_on_fresh_benign_rows() -> None:
    rng = np.random.default_rng(1)
    alarms = [
        float(np.mean(rng.random(2000) > threshold_at_fpr(rng.random(199), 0.01)))
        for _ in range(2000)
    ]
    assert np.mean(alarms) == pytest.approx(0.01, abs=0.0006)
    # The control: the plain empirical quantile does not hold on fresh rows.
    naive = [
        float(np.mean(rng.random(500) > np.quantile(rng.random(99), 0.99))) for _ in range(500)
    ]
    assert np.mean(naive) > 0.015


def test_tpr_uses_only_the_separate_benign_rows() -> None:
    benign = np.arange(999.0)
    m = tpr_at_fpr([2000.0, 990.0, 989.0, 5.0], benign, 0.01)
    # Nine of 999 may be above: the threshold is 989, and equal is not above.
    assert threshold_at_fpr(benign, 0.01) == 989.0
    assert (m.value, m.n) == (0.5, 4)
    assert (m.low, m.high) == (rate(2, 4).low, rate(2, 4).high)


def test_tpr_with_all_scores_tied_flags_nothing() -> None:
    assert tpr_at_fpr(np.ones(50), np.ones(1000), 0.01).value == 0.0


def test_tpr_clustered_is_wider() -> None:
    positives = np.repeat([2.0, -2.0], 50)
    benign = np.linspace(-1, 1, 200)
    keys = np.repeat(np.arange(10), 10)
    plain, clustered = tpr_at_fpr(positives, benign), tpr_at_fpr(positives, benign, groups=keys)
    assert clustered.value == plain.value == 0.5
    assert clustered.high - clustered.low > 2 * (plain.high - plain.low)


def test_too_few_benign_rows_say_how_many_are_needed() -> None:
    with pytest.raises(BadInputError, match="at least 99"):
        tpr_at_fpr([1.0], np.arange(98.0), 0.01)
    assert threshold_at_fpr(np.arange(99.0), 0.01) == 98.0


def test_empirical_rank() -> None:
    assert empirical_rank([-1, 0, 0.5, 1, 9], [0, 0, 1, 1]) == pytest.approx(
        [0, 0.25, 0.5, 0.75, 1]
    )


def test_ppv_by_hand_and_with_interval() -> None:
    # 1 in 1,000, 99 % caught, 1 % false alarms: one alarm in eleven is true.
    assert ppv(0.99, 0.01, 0.001) == pytest.approx(0.0902, abs=1e-4)
    assert ppv(1.0, 0.0, 0.1) == 1.0
    tpr, fpr = rate(95, 100), rate(10, 1000)
    m = ppv_measurement(tpr, fpr, 0.01)
    assert m.low < m.value == ppv(0.95, 0.01, 0.01) < m.high
    assert m.low == ppv(tpr.low, fpr.high, 0.01)
    assert m.level == pytest.approx(0.9)


@pytest.mark.parametrize(
    "call",
    [
        lambda: auroc([], []),
        lambda: auroc([1.0], [1]),
        lambda: auroc([1.0, 2.0], [1, 1]),
        lambda: auroc([1.0, 2.0], [0, 0]),
        lambda: auroc([1.0, np.nan], [0, 1]),
        lambda: auroc([1.0, np.inf], [0, 1]),
        lambda: auroc([1.0, 2.0], [0, 1, 1]),
        lambda: auroc([1.0, 2.0], [1, 2]),
        lambda: average_precision([1.0, 2.0], [1, 1]),
        lambda: roc_curve([1.0, 2.0], [0, 0]),
        lambda: empirical_rank([], [1.0]),
        lambda: empirical_rank([1.0], []),
        lambda: tpr_at_fpr([], np.arange(100.0)),
        lambda: tpr_at_fpr([1.0], []),
        lambda: threshold_at_fpr(np.arange(100.0), 0.0),
        lambda: threshold_at_fpr(np.arange(100.0), 1.0),
        lambda: ppv(0.0, 0.0, 0.5),
        lambda: ppv(1.1, 0.0, 0.5),
        lambda: ppv(0.5, 0.5, -0.1),
        lambda: ppv_measurement(rate(1, 2, level=0.4), rate(1, 2, level=0.4), 0.5),
    ],
)
def test_bad_input_is_one_clear_error(call) -> None:
    with pytest.raises(BadInputError):
        call()
