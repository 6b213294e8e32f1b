"""Tests whose good outcome is "no difference that matters".

A large p-value of an ordinary test never shows that two things are alike. Here
the null hypothesis is that they differ by the margin or more, and ``passed``
means that this was rejected: the 90 % interval (at alpha 0.05) lies inside the
margins. Source: Schuirmann 1987, J. Pharmacokinetics and Biopharmaceutics 15.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from insectary.core.errors import BadInputError
from insectary.core.outcome import Measurement
from insectary.measure.arrays import (
    Floats,
    Groups,
    binary_vector,
    finite_vector,
    group_codes,
    same_length,
)
from insectary.measure.distributions import t_quantile, t_upper_tail
from insectary.measure.pairs import invert, null_variance


@dataclass(frozen=True, slots=True)
class Equivalence:
    """Verdict of an equivalence or non-inferiority test.

    Attributes:
        difference: First minus second; its level is 1 - 2 alpha.
        margin: The difference that would matter, above 0.
        p_value: Of the null hypothesis that the difference is the margin or worse.
        passed: True if the p-value is below alpha.
    """

    difference: Measurement
    margin: float
    p_value: float
    passed: bool


@dataclass(frozen=True, slots=True)
class _Skill:
    """What the tests need to know of paired 0/1 rows."""

    rows: int
    first_only: int
    second_only: int
    clusters: int
    seen_variance: float
    """Of the mean difference, from the spread between clusters."""

    @property
    def difference(self) -> float:
        """Share of the first minus share of the second."""
        return (self.first_only - self.second_only) / self.rows

    def variance(self, supposed: float) -> float:
        """The larger of what is seen and what ``supposed`` as truth would give."""
        return max(
            self.seen_variance,
            null_variance(self.first_only, self.second_only, self.rows, supposed),
        )


def tost(
    first: ArrayLike,
    second: ArrayLike,
    margin: float,
    *,
    paired: bool,
    groups: Groups | None = None,
    alpha: float = 0.05,
) -> Equivalence:
    """Are two means equivalent within ``margin``? For lengths, scores and the like.

    Two one-sided t tests: paired with a cluster-robust standard error, or
    unpaired with unequal variances (Welch). For 0/1 rows use
    :func:`tost_rates`, which stays honest where hardly any row differs.

    Args:
        first: Shape (rows,).
        second: Shape (rows,); when not paired its length may differ.
        margin: Largest difference that does not matter, in the unit of the rows.
        paired: Whether row i of both belongs together.
        groups: Cluster key per pair; None if pairs are independent.
        alpha: Level of each one-sided test.

    Raises:
        BadInputError: on bad arrays, a margin not above 0, clusters of unpaired
            rows, fewer than two clusters, or rows that do not vary at all.
    """
    _check_test(margin, alpha, math.inf)
    a, b = finite_vector(first, "first"), finite_vector(second, "second")
    if paired:
        same_length(a, b, "first and second")
        difference, rows = float(np.mean(a - b)), a.size
        variance, clusters = _clustered_variance(a - b, groups)
        degrees, method = clusters - 1.0, f"paired t, {clusters} clusters"
    else:
        if groups is not None:
            raise BadInputError("tost: groups are for paired rows; pair the rows or leave them out")
        variance, degrees = _welch(a, b)
        difference, rows = float(a.mean() - b.mean()), a.size + b.size
        method = "Welch t"
    # Rounding leaves a little spread where there is none.
    if math.sqrt(variance) <= 1e-12 * max(np.abs(a).max(), np.abs(b).max()):
        raise BadInputError(
            "tost: the rows do not vary, so the difference has no standard error;"
            " for 0/1 rows use tost_rates()"
        )
    error = math.sqrt(variance)
    reach = t_quantile(1 - alpha, degrees) * error
    p_value = t_upper_tail((margin - abs(difference)) / error, degrees)
    interval = Measurement(
        difference, difference - reach, difference + reach, rows, method, round(1 - 2 * alpha, 9)
    )
    return Equivalence(interval, margin, p_value, p_value < alpha)


def tost_rates(
    first: ArrayLike,
    second: ArrayLike,
    margin: float,
    *,
    groups: Groups | None = None,
    alpha: float = 0.05,
) -> Equivalence:
    """Are two rates over the same items equivalent within ``margin``?

    The standard error is the larger of the one seen between clusters and
    Tango's under the null hypothesis, against Student's t with as many degrees
    of freedom as clusters less one. So no disagreement at all over 100 items
    does not prove equivalence within 2 points, and over 400 it does.

    Args:
        first: 0/1 per item, shape (items,).
        second: 0/1 per item, the same items in the same order.
        margin: Largest difference of the rates that does not matter, in (0, 1).
        groups: Cluster key per item; None if items are independent.
        alpha: Level of each one-sided test.

    Raises:
        BadInputError: on bad arrays, margin or alpha, or fewer than two clusters.
    """
    _check_test(margin, alpha, 1.0)
    return _equivalent([_skill(first, second, groups, "")], margin, alpha)


def non_inferior(
    candidate: ArrayLike,
    reference: ArrayLike,
    margin: float,
    *,
    groups: Groups | None = None,
    alpha: float = 0.05,
) -> Equivalence:
    """Is the candidate's rate at most ``margin`` below the reference's?

    One-sided; being better never fails. Standard error as in :func:`tost_rates`.

    Args:
        candidate: 0/1 per item, 1 is good, shape (items,).
        reference: 0/1 per item, the same items in the same order.
        margin: Largest loss that does not matter, in (0, 1).
        groups: Cluster key per item; None if items are independent.
        alpha: Level of the test.

    Raises:
        BadInputError: on bad arrays, margin or alpha, or fewer than two clusters.
    """
    _check_test(margin, alpha, 1.0)
    skills = [_skill(candidate, reference, groups, "")]
    p_value = _p_value(skills, -margin)
    return Equivalence(_interval(skills, alpha), margin, p_value, p_value < alpha)


def macro_tost(
    skills: Sequence[tuple[ArrayLike, ArrayLike]],
    margin: float,
    *,
    groups: Sequence[Groups] | None = None,
    alpha: float = 0.05,
) -> Equivalence:
    """Are two macro-averages over skills equivalent within ``margin``?

    Each skill counts alike, whatever its number of items; the skills' standard
    errors (see :func:`tost_rates`) add up in squares. Degrees of freedom after
    Satterthwaite 1946, Biometrics Bulletin 2.

    Args:
        skills: Per skill the two arrays of 0/1 per item, items paired.
        margin: Largest difference of the averages that does not matter, in (0, 1).
        groups: Per skill one cluster key per item; None if items are independent.
        alpha: Level of each one-sided test.

    Raises:
        BadInputError: if there is no skill, or on a skill's bad arrays (its
            number is named), margin or alpha.
    """
    _check_test(margin, alpha, 1.0)
    if not skills:
        raise BadInputError("macro_tost: no skill given")
    if groups is not None and len(groups) != len(skills):
        raise BadInputError(f"macro_tost: {len(groups)} groups for {len(skills)} skills")
    return _equivalent(
        [
            _skill(first, second, None if groups is None else groups[i], f"skill {i}: ")
            for i, (first, second) in enumerate(skills)
        ],
        margin,
        alpha,
    )


def _equivalent(skills: list[_Skill], margin: float, alpha: float) -> Equivalence:
    """Both one-sided tests; the worse one counts."""
    p_value = max(_p_value(skills, -margin), _p_value(skills, margin))
    return Equivalence(_interval(skills, alpha), margin, p_value, p_value < alpha)


def _p_value(skills: list[_Skill], supposed: float) -> float:
    """How likely the average is to lie so far inside, were ``supposed`` the truth."""
    variance, degrees = _macro_variance(skills, supposed)
    inside = _macro_difference(skills) - supposed
    return t_upper_tail(math.copysign(1.0, -supposed) * inside / math.sqrt(variance), degrees)


def _interval(skills: list[_Skill], alpha: float) -> Measurement:
    """All differences that the one-sided tests at ``alpha`` keep."""
    difference = _macro_difference(skills)

    # Scaled by its own quantile, each supposed difference has its own degrees of freedom.
    def scaled(supposed: float) -> float:
        variance, degrees = _macro_variance(skills, supposed)
        return variance * t_quantile(1 - alpha, degrees) ** 2

    low, high = invert(difference, 1.0, scaled)
    clusters = sum(s.clusters for s in skills)
    return Measurement(
        difference,
        low,
        high,
        sum(s.rows for s in skills),
        f"paired score and cluster t, {clusters} clusters",
        round(1 - 2 * alpha, 9),
    )


def _macro_difference(skills: list[_Skill]) -> float:
    """Mean over skills of first minus second."""
    return sum(s.difference for s in skills) / len(skills)


def _macro_variance(skills: list[_Skill], supposed: float) -> tuple[float, float]:
    """Variance of the macro-average and its degrees of freedom."""
    parts = [s.variance(supposed) / len(skills) ** 2 for s in skills]
    total = sum(parts)
    if total == 0.0:  # only at the far ends, where a difference of 1 leaves no chance
        return 0.0, float(min(s.clusters for s in skills) - 1)
    spread = sum(p * p / (s.clusters - 1) for p, s in zip(parts, skills, strict=True))
    return total, total * total / spread


def _skill(first: ArrayLike, second: ArrayLike, groups: Groups | None, where: str) -> _Skill:
    """Count the disagreements and the spread between clusters."""
    a = binary_vector(first, f"{where}first").astype(np.float64)
    b = binary_vector(second, f"{where}second").astype(np.float64)
    same_length(a, b, f"{where}first and second")
    difference = a - b
    variance, clusters = _clustered_variance(difference, groups, f"{where}groups")
    first_only, second_only = int((difference > 0).sum()), int((difference < 0).sum())
    return _Skill(a.size, first_only, second_only, clusters, variance)


def _clustered_variance(
    values: Floats, groups: Groups | None, name: str = "groups"
) -> tuple[float, int]:
    """Cluster-robust variance of a mean, and the number of clusters."""
    codes, count = group_codes(range(values.size) if groups is None else groups, values.size, name)
    if count < 2:
        raise BadInputError(f"{name}: at least two clusters are needed to see any spread")
    sums = np.bincount(codes, weights=values - values.mean(), minlength=count)
    return count / (count - 1) * float(np.sum(sums**2)) / values.size**2, count


def _welch(a: Floats, b: Floats) -> tuple[float, float]:
    """Variance of the difference of two means, and Welch's degrees of freedom."""
    if a.size < 2 or b.size < 2:
        raise BadInputError("tost: unpaired rows need at least two on each side")
    parts = (float(a.var(ddof=1)) / a.size, float(b.var(ddof=1)) / b.size)
    total = sum(parts)
    spread = parts[0] ** 2 / (a.size - 1) + parts[1] ** 2 / (b.size - 1)
    return total, total * total / spread if spread > 0 else math.inf


def _check_test(margin: float, alpha: float, largest: float) -> None:
    """Refuse margins and levels that make no test."""
    if not 0.0 < margin < largest:
        bound = "above 0" if largest == math.inf else f"between 0 and {largest:g}"
        raise BadInputError(f"margin must be {bound}, got {margin}")
    if not 0.0 < alpha < 0.5:
        raise BadInputError(f"alpha lies between 0 and 0.5, got {alpha}")
