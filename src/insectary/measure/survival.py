"""How long until something happens: two groups in which it does not happen to all."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from insectary.core.errors import BadInputError


def log_rank(first: Sequence[int], n_first: int, second: Sequence[int], n_second: int) -> float:
    """Standard normal score of the log-rank test: above 0 where it comes sooner in the first group.

    Whoever it has not happened to is followed to the end. Where it happens to nobody, or a group
    is empty, the score is 0. Source: Mantel 1966, Cancer Chemotherapy Reports 50, by SciPy.

    Args:
        first: To how many of the first group it happens at the first time, the second, ...
        n_first: Of how many.
        second: Of the second group, at the same times.
        n_second: Of how many.

    Raises:
        BadInputError: unless the times are the same, and no more than all of a group are told.
    """
    from scipy import stats

    groups = ((first, n_first), (second, n_second))
    for lot, size in groups:
        if len(lot) != len(first) or min(lot, default=0) < 0 or sum(lot) > size:
            raise BadInputError(f"log-rank: {[*lot]} of {size}, beside {len(first)} times")
    if not sum(first) + sum(second) or not n_first or not n_second:
        return 0.0
    times = np.arange(len(first))
    followed = [
        stats.CensoredData(np.repeat(times, lot), right=np.full(size - sum(lot), times[-1]))
        for lot, size in groups
    ]
    return float(stats.logrank(*followed).statistic)
