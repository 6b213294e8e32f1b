"""Probabilities from scores, and proper rules that say what they are worth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from insectary.core.errors import BadInputError
from insectary.measure.arrays import Floats, binary_vector, check_share, finite_vector, same_length

FLOOR = 1e-3
"""Probabilities are kept within this and one minus it, so that one wrong verdict costs at most
6.9 nats and no mean becomes infinite."""


@dataclass(frozen=True, slots=True)
class Logistic:
    """A fitted logistic curve on a standardised score.

    Attributes:
        centre: Mean of the scores that it was fitted on, and ...
        spread: ... their standard deviation; 1 where they do not differ.
        slope: Log-odds per standard deviation.
        intercept: Log-odds at the centre.
    """

    centre: float
    spread: float
    slope: float
    intercept: float

    def probability(self, scores: ArrayLike) -> Floats:
        """Probability of the positive class, shape as ``scores``, within the floor."""
        standard = (finite_vector(scores, "scores") - self.centre) / self.spread
        # By tanh, which cannot overflow.
        odds = self.intercept + self.slope * standard
        return within_floor(0.5 * (1.0 + np.tanh(odds / 2.0)))


def fit_logistic(scores: ArrayLike, labels: ArrayLike) -> Logistic:
    """Logistic regression on one score, with the usual ridge (scikit-learn's, C = 1).

    Without a ridge a score that separates the few models it is fitted on would be certain.
    Source: Platt 1999, Advances in Large Margin Classifiers.

    Args:
        scores: Shape (rows,).
        labels: 0 or 1, shape (rows,).

    Raises:
        BadInputError: on empty, unequal or non-finite arrays, or if a class is missing.
    """
    from sklearn.linear_model import LogisticRegression

    x, y = finite_vector(scores, "scores"), binary_vector(labels, "labels")
    same_length(x, y, "scores and labels")
    if y.all() or not y.any():
        raise BadInputError("labels: both classes are needed to fit a probability")
    centre, spread = float(x.mean()), float(x.std())
    # What differs by rounding alone does not differ.
    spread = spread if spread > 1e-12 * max(abs(centre), 1e-300) else 1.0
    fitted = LogisticRegression(C=1.0, tol=1e-8).fit(((x - centre) / spread)[:, None], y)
    return Logistic(centre, spread, float(fitted.coef_[0, 0]), float(fitted.intercept_[0]))


def within_floor(probabilities: ArrayLike) -> Floats:
    """Probabilities kept off 0 and 1 by :data:`FLOOR`."""
    clipped: Floats = np.clip(np.asarray(probabilities, dtype=np.float64), FLOOR, 1.0 - FLOOR)
    return clipped


def log_losses(probabilities: ArrayLike, labels: ArrayLike) -> Floats:
    """Log score of each row in nats, 0 at best: minus the log of what its label was given.

    Source: Good 1952, Journal of the Royal Statistical Society B 14.

    Raises:
        BadInputError: on unequal arrays, or a probability of 0 or 1 (see :func:`within_floor`).
    """
    p, y = _checked(probabilities, labels)
    given = np.where(y, p, 1.0 - p)
    if not given.all():
        raise BadInputError("a label was given probability 0, whose log score is infinite")
    losses: Floats = -np.log(given)
    return losses


def brier_losses(probabilities: ArrayLike, labels: ArrayLike) -> Floats:
    """Squared difference of each probability from its label, 0 at best.

    Source: Brier 1950, Monthly Weather Review 78.

    Raises:
        BadInputError: on unequal arrays, or what is no probability.
    """
    p, y = _checked(probabilities, labels)
    losses: Floats = (p - y) ** 2
    return losses


def _checked(probabilities: ArrayLike, labels: ArrayLike) -> tuple[Floats, Floats]:
    p, y = finite_vector(probabilities, "probabilities"), binary_vector(labels, "labels")
    same_length(p, y, "probabilities and labels")
    for end in (p.min(), p.max()):
        check_share(float(end), "a probability")
    return p, y.astype(np.float64)
