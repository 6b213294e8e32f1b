"""Quantiles and tails of the distributions that intervals and tests need.

All use of SciPy by this room goes through this file; ``scipy.special`` loads
in a fraction of the time ``scipy.stats`` takes, so that is loaded where it is called.
"""

from __future__ import annotations

from numpy.typing import ArrayLike
from scipy import special


def beta_quantile(a: float, b: float, probability: float) -> float:
    """Quantile of the Beta(a, b) distribution; ``a`` and ``b`` above 0."""
    return float(special.betaincinv(a, b, probability))


def normal_quantile(probability: float) -> float:
    """Quantile of the standard normal distribution."""
    return float(special.ndtri(probability))


def normal_cdf(x: float) -> float:
    """Probability that a standard normal value is at most ``x``."""
    return float(special.ndtr(x))


def t_quantile(probability: float, degrees: float) -> float:
    """Quantile of Student's t with ``degrees`` degrees of freedom."""
    return float(special.stdtrit(degrees, probability))


def t_upper_tail(x: float, degrees: float) -> float:
    """Probability that a Student's t value is above ``x``."""
    return float(special.stdtr(degrees, -x))


def binomial_cdf(k: int, n: int, probability: float) -> float:
    """Probability of at most ``k`` events in ``n`` independent rows."""
    return float(special.bdtr(k, n, probability))


def kendall_upper_tail(x: ArrayLike, y: ArrayLike) -> float:
    """Probability of Kendall's tau as great or greater, asymptotic, with ties in both."""
    from scipy import stats

    return float(stats.kendalltau(x, y, method="asymptotic", alternative="greater").pvalue)
