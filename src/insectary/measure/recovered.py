"""Interval of a difference, from the intervals of its two terms alone."""

from __future__ import annotations

import math

from insectary.core.errors import BadInputError
from insectary.core.outcome import Measurement


def difference(first: Measurement, second: Measurement) -> Measurement:
    """First minus second, with an interval recovered from theirs by squaring and adding.

    Source: Zou and Donner 2008, Statistics in Medicine 27 (MOVER); on two rates with Wilson's
    intervals it is method 10 of Newcombe 1998, Statistics in Medicine 17. It takes the two for
    independent. Where they rise and fall together, as two rates on the same prompts do, the
    interval is wider than it need be.

    Raises:
        BadInputError: if the two intervals are of different levels.
    """
    if first.level != second.level:
        raise BadInputError(
            f"difference: intervals of levels {first.level:g} and {second.level:g}; give one level"
        )
    value = first.value - second.value
    down = math.hypot(first.value - first.low, second.high - second.value)
    up = math.hypot(first.high - first.value, second.value - second.low)
    return Measurement(
        value, value - down, value + up, min(first.n, second.n), "squares of both", first.level
    )
