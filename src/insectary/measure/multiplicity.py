"""Many tests at once: p values that keep the chance of any false claim at the level."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from insectary.core.errors import BadInputError


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p values, in the order given; step-down, valid under any dependence.

    Source: Holm 1979, Scandinavian Journal of Statistics 6.

    Raises:
        BadInputError: if one is not between 0 and 1.
    """
    p = np.asarray(p_values, dtype=np.float64)
    if p.ndim != 1 or not ((p >= 0) & (p <= 1)).all():
        raise BadInputError("p values must be numbers from 0 to 1")
    order = np.argsort(p, kind="stable")
    steps = p[order] * np.arange(len(p), 0, -1)
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return [float(x) for x in adjusted]
