"""Difference of two rates over paired 0/1 rows: Tango's score method, and the exact test.

Only rows on which the two disagree carry information, and there may be none.
The score method does not take the variance from the few rows seen but from the
likeliest rates under the difference in question, so it says something honest
even then. Source: Tango 1998, Statistics in Medicine 17.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from insectary.core.errors import BadInputError
from insectary.measure.distributions import binomial_cdf, normal_quantile


def null_variance(first_only: float, second_only: float, n: int, difference: float) -> float:
    """Variance of the difference of the two shares, were ``difference`` the truth.

    Args:
        first_only: Rows with 1 in the first and 0 in the second.
        second_only: Rows with 0 in the first and 1 in the second.
        n: All rows.
        difference: Supposed share of the first minus share of the second, -1..1.
    """
    if difference < 0:
        return null_variance(second_only, first_only, n, -difference)
    # Likeliest probability q of "second only" when "first only" is q + difference:
    # the non-negative root of 2 n q^2 - slope q - constant = 0.
    slope = first_only + second_only + (first_only - second_only - 2 * n) * difference
    constant = second_only * difference * (1 - difference)
    q = (slope + math.sqrt(max(0.0, slope * slope + 8 * n * constant))) / (4 * n)
    return max(0.0, 2 * q + difference - difference * difference) / n


def score_interval(
    first_only: int, second_only: int, n: int, level: float = 0.95
) -> tuple[float, float]:
    """Interval of the difference of two paired shares: all that the score test keeps."""
    z = normal_quantile(0.5 + level / 2)
    observed = (first_only - second_only) / n
    return invert(observed, z, lambda d: null_variance(first_only, second_only, n, d))


def invert(
    observed: float, reach: float, variance: Callable[[float], float]
) -> tuple[float, float]:
    """Differences within ``reach`` standard errors of the one observed, in -1..1.

    Args:
        observed: Observed difference.
        reach: Quantile to stay within.
        variance: Variance of the observed difference, were its argument the truth.
    """

    def end(limit: float) -> float:
        inside, outside = observed, limit
        if abs(observed - limit) <= reach * math.sqrt(variance(limit)):
            return limit
        for _ in range(60):
            middle = (inside + outside) / 2
            if abs(observed - middle) <= reach * math.sqrt(variance(middle)):
                inside = middle
            else:
                outside = middle
        # The end on the far side, so that rounding never narrows the interval.
        return outside

    return end(-1.0), end(1.0)


def sign_test(first_only: int, second_only: int) -> float:
    """Exact two-sided p value of pairs that disagree falling either way as often.

    Over paired 0/1 rows this is McNemar's exact test; over pairs of numbers, the sign test.
    Pairs that agree have no say, and with none that disagree p is 1. Source: McNemar 1947,
    Psychometrika 12.

    Args:
        first_only: Pairs in which the first is the larger.
        second_only: Pairs in which the second is.

    Raises:
        BadInputError: if a count is below 0.
    """
    if min(first_only, second_only) < 0:
        raise BadInputError(f"counts lie at or above 0, got {first_only} and {second_only}")
    fewer, pairs = min(first_only, second_only), first_only + second_only
    return min(1.0, 2 * binomial_cdf(fewer, pairs, 0.5)) if pairs else 1.0
