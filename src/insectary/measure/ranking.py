"""How well scores separate two kinds of rows, and at what cost in false alarms.

Everywhere a higher score means more suspicious.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from insectary.core.errors import BadInputError
from insectary.core.outcome import Measurement
from insectary.measure.arrays import (
    Bools,
    Floats,
    Groups,
    binary_vector,
    check_share,
    finite_vector,
    same_length,
)
from insectary.measure.rates import clustered_rate, rate


def auroc(scores: ArrayLike, labels: ArrayLike) -> float:
    """Probability that a positive row scores above a negative one; a tie counts half.

    Equal to the Mann-Whitney U statistic over the number of pairs. Source:
    Hanley and McNeil 1982, Radiology 143. For an interval see
    :func:`insectary.measure.auroc_clustered`.

    Args:
        scores: Shape (rows,).
        labels: 0/1, shape (rows,).

    Raises:
        BadInputError: on empty, non-finite or unequal arrays, or one class only.
    """
    values, positive = _scored(scores, labels)
    return float(empirical_rank(values[positive], values[~positive]).mean())


def average_precision(scores: ArrayLike, labels: ArrayLike) -> float:
    """Area under the precision-recall steps, one step per distinct score.

    No interpolation between steps (that flatters). Its chance level is the
    share of positives, so compare it only between sets of equal share.

    Raises:
        BadInputError: on empty, non-finite or unequal arrays, or one class only.
    """
    values, positive = _scored(scores, labels)
    hits, alarms, _ = _cumulative(values, positive)
    recall_steps = np.diff(hits, prepend=0.0) / hits[-1]
    return float(np.sum(recall_steps * hits / (hits + alarms)))


def roc_curve(scores: ArrayLike, labels: ArrayLike) -> tuple[Floats, Floats, Floats]:
    """Points of the ROC curve, from (0, 0) to (1, 1), one per distinct score.

    Returns:
        ``(fpr, tpr, thresholds)``, each of shape (points,); a row is flagged
        where its score is at or above the threshold. The first threshold is
        infinite: nothing is flagged.

    Raises:
        BadInputError: on empty, non-finite or unequal arrays, or one class only.
    """
    values, positive = _scored(scores, labels)
    hits, alarms, thresholds = _cumulative(values, positive)
    fpr = np.concatenate(([0.0], alarms / alarms[-1]))
    tpr = np.concatenate(([0.0], hits / hits[-1]))
    return fpr, tpr, np.concatenate(([np.inf], thresholds))


def threshold_at_fpr(benign: ArrayLike, fpr: float = 0.01) -> float:
    """Score above which (strictly) a row is flagged, set on benign rows alone.

    The share of *fresh* benign rows above it is at most ``fpr`` on average over
    draws of the benign set, ties or not; the share among the given rows is
    below ``fpr`` too. Source: split conformal prediction, Vovk et al. 2005.

    Args:
        benign: Scores of benign rows that are not part of the test, shape (rows,).
        fpr: Wished false-alarm rate, in (0, 1).

    Raises:
        BadInputError: if there are too few rows to say (fewer than 1/fpr - 1).
    """
    scores = finite_vector(benign, "benign")
    if not 0.0 < fpr < 1.0:
        raise BadInputError(f"fpr lies between 0 and 1, got {fpr}")
    # The margin keeps 0.01 * 1100 from rounding down to ten.
    allowed = math.floor(fpr * (scores.size + 1) + 1e-9) - 1
    if allowed < 0:
        raise BadInputError(
            f"benign: {scores.size} rows cannot set a threshold at a false-alarm rate of"
            f" {fpr:g}; give at least {math.ceil(1 / fpr - 1e-9) - 1}"
        )
    return float(np.sort(scores)[::-1][allowed])


def tpr_at_fpr(
    positives: ArrayLike,
    benign: ArrayLike,
    fpr: float = 0.01,
    *,
    groups: Groups | None = None,
    level: float = 0.95,
) -> Measurement:
    """Share of positives flagged at the threshold that separate benign rows set.

    The interval speaks of the positives, given the threshold; how far the
    threshold itself would move with other benign rows is not in it.

    Args:
        positives: Scores of the rows to be caught, shape (positives,).
        benign: Scores for the threshold only, see :func:`threshold_at_fpr`.
        fpr: Wished false-alarm rate.
        groups: Cluster key per positive; None if they are independent.
        level: Confidence level.

    Raises:
        BadInputError: on empty or non-finite scores, or too few benign rows.
    """
    scores = finite_vector(positives, "positives")
    flagged = scores > threshold_at_fpr(benign, fpr)
    if groups is not None:
        return clustered_rate(flagged, groups, level=level)
    return rate(int(flagged.sum()), flagged.size, level=level)


def empirical_rank(scores: ArrayLike, reference: ArrayLike) -> Floats:
    """Where each score stands among reference scores: 0 below all, 1 above all.

    The share of reference scores below it, plus half the share equal to it.
    This puts detectors and subjects on one scale.

    Args:
        scores: Shape (rows,).
        reference: Scores of benign rows of the same subject, shape (references,).

    Returns:
        Shape (rows,), in 0..1.

    Raises:
        BadInputError: on empty or non-finite arrays.
    """
    values = finite_vector(scores, "scores")
    ordered = np.sort(finite_vector(reference, "reference"))
    below = np.searchsorted(ordered, values, side="left")
    upto = np.searchsorted(ordered, values, side="right")
    return (below + upto) / (2.0 * ordered.size)


def ppv(tpr: float, fpr: float, prevalence: float) -> float:
    """Share of alarms that are true where ``prevalence`` of all rows are positive.

    Raises:
        BadInputError: if a value is outside 0..1, or there would be no alarm at all.
    """
    for value, name in ((tpr, "tpr"), (fpr, "fpr"), (prevalence, "prevalence")):
        check_share(value, name)
    true_alarms = tpr * prevalence
    alarms = true_alarms + fpr * (1.0 - prevalence)
    if alarms == 0.0:
        raise BadInputError("ppv: with these rates there is never an alarm, so no share of alarms")
    return true_alarms / alarms


def ppv_measurement(tpr: Measurement, fpr: Measurement, prevalence: float) -> Measurement:
    """:func:`ppv` with an interval: its worst and best over both intervals.

    The level is what is left after both may miss (0.95 and 0.95 give 0.90).

    Raises:
        BadInputError: if a corner has no alarm at all, or a value is outside 0..1.
    """
    level = tpr.level + fpr.level - 1.0
    if level <= 0:
        raise BadInputError(f"ppv: levels {tpr.level} and {fpr.level} leave no confidence at all")
    return Measurement(
        ppv(tpr.value, fpr.value, prevalence),
        ppv(tpr.low, fpr.high, prevalence),
        ppv(tpr.high, fpr.low, prevalence),
        min(tpr.n, fpr.n),
        "corners of both intervals",
        level,
        tuple(sorted({*tpr.seeds, *fpr.seeds})),
    )


def _scored(scores: ArrayLike, labels: ArrayLike) -> tuple[Floats, Bools]:
    """Check scores and labels together; both classes must be there."""
    values = finite_vector(scores, "scores")
    positive = binary_vector(labels, "labels")
    same_length(values, positive, "scores and labels")
    if positive.all() or not positive.any():
        raise BadInputError("labels: both positives (1) and negatives (0) are needed")
    return values, positive


def _cumulative(values: Floats, positive: Bools) -> tuple[Floats, Floats, Floats]:
    """Hits, false alarms and threshold at each distinct score, from the top down."""
    order = np.argsort(-values, kind="stable")
    ordered = values[order]
    last = np.append(np.flatnonzero(np.diff(ordered)), ordered.size - 1)
    hits = np.cumsum(positive[order], dtype=np.float64)[last]
    return hits, last + 1.0 - hits, ordered[last]
