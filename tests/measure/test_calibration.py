"""Probabilities and proper rules against scikit-learn, SciPy and statsmodels."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import optimize, stats
from sklearn.metrics import brier_score_loss, log_loss
from statsmodels.stats.contingency_tables import mcnemar

from insectary.core.errors import BadInputError
from insectary.measure import (
    brier_losses,
    fit_logistic,
    log_losses,
    sign_test,
    within_floor,
)
from insectary.measure.calibration import FLOOR

DRAW = np.random.default_rng(0)
LABELS = DRAW.random(80) < 0.3
SCORES = 5.0 + 3.0 * (DRAW.standard_normal(80) + 1.5 * LABELS)


def test_the_curve_is_the_penalised_likelihoods_best() -> None:
    fitted = fit_logistic(SCORES, LABELS)
    x = (SCORES - SCORES.mean()) / SCORES.std()
    signs = np.where(LABELS, 1.0, -1.0)

    def loss(w: np.ndarray) -> float:
        return float(np.logaddexp(0.0, -signs * (w[0] * x + w[1])).sum() + 0.5 * w[0] ** 2)

    best = optimize.minimize(loss, np.zeros(2), tol=1e-10).x
    assert (fitted.slope, fitted.intercept) == pytest.approx(tuple(best), abs=1e-4)
    expected = 1 / (1 + np.exp(-(best[0] * x + best[1])))
    assert fitted.probability(SCORES) == pytest.approx(within_floor(expected), abs=1e-4)


def test_scores_that_never_differ_give_the_share_of_positives() -> None:
    fitted = fit_logistic(np.full(40, 0.1 + 0.2), np.arange(40) < 10)
    assert fitted.probability([0.3]) == pytest.approx([0.25], abs=1e-4)


def test_what_separates_fully_is_not_certain_and_far_scores_do_not_overflow() -> None:
    fitted = fit_logistic([0, 0, 0, 1, 1, 1], [0, 0, 0, 1, 1, 1])
    assert 0.7 < fitted.probability([1.0])[0] < 0.95
    assert fitted.probability([1e6, -1e6]).tolist() == [1 - FLOOR, FLOOR]


def test_losses_are_scikit_learns() -> None:
    p = fit_logistic(SCORES, LABELS).probability(SCORES)
    assert log_losses(p, LABELS).mean() == pytest.approx(log_loss(LABELS, p))
    assert brier_losses(p, LABELS).mean() == pytest.approx(brier_score_loss(LABELS, p))


def test_what_cannot_be_scored_is_said() -> None:
    with pytest.raises(BadInputError, match="both classes"):
        fit_logistic([1.0, 2.0], [1, 1])
    with pytest.raises(BadInputError, match="infinite"):
        log_losses([0.0, 0.5], [1, 0])
    with pytest.raises(BadInputError, match=r"0\.\.1"):
        brier_losses([1.5], [1])
    with pytest.raises(BadInputError, match="at or above 0"):
        sign_test(-1, 2)


@pytest.mark.parametrize(("first", "second"), [(0, 0), (5, 0), (7, 2), (3, 3), (40, 61)])
def test_the_sign_test_is_mcnemars(first: int, second: int) -> None:
    if first + second:
        exact = stats.binomtest(first, first + second, 0.5).pvalue
        assert sign_test(first, second) == pytest.approx(exact)
    table = [[10, first], [second, 20]]
    assert sign_test(first, second) == pytest.approx(mcnemar(table, exact=True).pvalue)
