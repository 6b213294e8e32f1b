"""Tests in which a training seed is one observation: few of them, and none assumed normal."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import permutations

import numpy as np
from numpy.typing import ArrayLike

from insectary.core.errors import BadInputError
from insectary.core.outcome import Measurement
from insectary.measure.arrays import Floats, check_level, finite_vector
from insectary.measure.distributions import kendall_upper_tail, t_quantile

_MOST_SEEDS = 500
"""Beyond that the exact table of signed ranks would be large, and nobody trains so many."""


def seed_mean(values: ArrayLike, *, seeds: Sequence[int] = (), level: float = 0.95) -> Measurement:
    """Mean over seeds with Student's t interval.

    Args:
        values: One number per seed, shape (seeds,); differences, where seeds are paired.
        seeds: Which ones, for the record.
        level: Confidence level.

    Raises:
        BadInputError: for fewer than two seeds: one shows no spread.
    """
    check_level(level)
    found = finite_vector(values, "values")
    if found.size < 2:
        raise BadInputError("one seed says nothing of the spread between seeds; train two or more")
    reach = t_quantile((1 + level) / 2, found.size - 1) * float(found.std(ddof=1))
    reach /= math.sqrt(found.size)
    mean = float(found.mean())
    method = f"t over {found.size} seeds"
    return Measurement(mean, mean - reach, mean + reach, found.size, method, level, tuple(seeds))


def signed_rank(differences: ArrayLike) -> float:
    """One-sided p value of Wilcoxon's signed-rank test: do differences lie above 0?

    Exact, ties included: all ways to sign the ranks are counted. Zeros are left out, as
    Wilcoxon has it; with nothing but zeros p is 1. Source: Wilcoxon 1945, Biometrics
    Bulletin 1. The least p with 8 seeds is 1/256, with 5 it is 1/32.

    Args:
        differences: One per seed, shape (seeds,).

    Raises:
        BadInputError: if they are empty, not finite or more than 500.
    """
    found = finite_vector(differences, "differences")
    if found.size > _MOST_SEEDS:
        raise BadInputError(f"differences: {found.size} seeds, more than {_MOST_SEEDS}")
    found = found[found != 0]
    # Doubled, so that the mean rank of a tie is a whole number too.
    ranks = (2 * mid_ranks(np.abs(found))).astype(np.int64)
    ways = np.zeros(int(ranks.sum()) + 1)
    ways[0] = 1.0
    for rank in ranks:  # half of the ways leave this rank out, half put it on the plus side
        ways[rank:] = (ways[rank:] + ways[: ways.size - rank]) / 2
        ways[:rank] /= 2
    return min(1.0, float(ways[int(ranks[found > 0].sum()) :].sum()))


def jonckheere(groups: Sequence[ArrayLike]) -> float:
    """One-sided p value of the Jonckheere–Terpstra test: do values rise from group to group?

    It is Kendall's test of a value against the number of its group, by normal approximation
    with the variance under ties. Observations are taken for independent; where the same seeds
    stand in every group use :func:`page`. Sources: Jonckheere 1954, Biometrika 41; Terpstra
    1952, Indagationes Mathematicae 14.

    Args:
        groups: In the order in which values should rise; two at least, of any lengths.

    Raises:
        BadInputError: if there are fewer than two groups or three values, or one is bad.
    """
    if len(groups) < 2:
        raise BadInputError(f"a trend needs two groups at least, got {len(groups)}")
    found = [finite_vector(group, f"groups[{i}]") for i, group in enumerate(groups)]
    values = np.concatenate(found)
    if values.size < 3:
        raise BadInputError("a trend needs three values at least")
    if np.ptp(values) == 0:
        return 1.0
    return kendall_upper_tail(np.repeat(np.arange(len(found)), [g.size for g in found]), values)


def page(rows: ArrayLike) -> float:
    """One-sided p value of Page's test: do values rise along the columns, row by row?

    The statistic is Page's L with mean ranks in ties. Its distribution is exact up to ties:
    every order of a row is as likely as every other. Source: Page 1963, JASA 58.

    Args:
        rows: Shape (seeds, settings): what each seed gave at each setting of the dial, in
            the order in which values should rise; at most 7 settings.

    Raises:
        BadInputError: if the shape is another, or a value is not finite.
    """
    table = np.asarray(rows, dtype=np.float64)
    if table.ndim != 2 or not 3 <= table.shape[1] <= 7 or table.shape[0] < 1:
        raise BadInputError(f"Page's test needs seeds by 3 to 7 settings, got shape {table.shape}")
    finite_vector(table.ravel(), "rows")
    places = np.arange(1, table.shape[1] + 1)
    total = 0
    ways = np.ones(1)
    for row in table:
        ranks = (2 * mid_ranks(row)).astype(np.int64)
        total += int(ranks @ places)
        # Each row's own ranks are shuffled, so that ties count for what they are.
        sums = np.array(list(permutations(ranks.tolist()))) @ places
        ways = np.convolve(ways, np.bincount(sums) / sums.size)
    return min(1.0, float(ways[total:].sum()))


def mid_ranks(values: Floats) -> Floats:
    """Ranks from 1 up; those that tie share their mean."""
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(count)
    ranks: Floats = (last - (count - 1) / 2)[place]
    return ranks
