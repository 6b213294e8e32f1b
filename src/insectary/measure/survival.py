"""How long until something happens: two groups in which it does not happen to all."""

from __future__ import annotations

import math
from collections.abc import Sequence

from insectary.core.errors import BadInputError


def log_rank(first: Sequence[int], n_first: int, second: Sequence[int], n_second: int) -> float:
    """Standard normal score of the log-rank test: above 0 where it comes sooner in the first group.

    Whoever it has not happened to is followed to the end. Where it happens to nobody the
    score is 0. Source: Mantel 1966, Cancer Chemotherapy Reports 50.

    Args:
        first: To how many of the first group it happens at the first time, the second, ...
        n_first: Of how many.
        second: Of the second group, at the same times.
        n_second: Of how many.

    Raises:
        BadInputError: unless the times are the same, and no more than all of a group are told.
    """
    for lot, size in ((first, n_first), (second, n_second)):
        if len(lot) != len(first) or min(lot, default=0) < 0 or sum(lot) > size:
            raise BadInputError(f"log-rank: {[*lot]} of {size}, beside {len(first)} times")
    above = variance = 0.0
    for k, other in zip(first, second, strict=True):
        n, events = n_first + n_second, k + other
        if n > 1:
            expected = events * n_first / n
            above += k - expected
            variance += expected * n_second / n * (n - events) / (n - 1)
        n_first, n_second = n_first - k, n_second - other
    return above / math.sqrt(variance) if variance else 0.0
