"""How long a treatment takes to halve a rate: what removing a behaviour costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from insectary.core.errors import BadInputError


@dataclass(frozen=True, slots=True)
class Halving:
    """What a curve of rates says of its half.

    Attributes:
        steps: Until the rate was half of what it began as, on straight lines between the
            measured steps; ``None`` where it never was, so that the last step is a lower bound.
        last: The last measured step.
        came_back: Whether it was above half again after that; what is hidden may return.
    """

    steps: float | None
    last: float
    came_back: bool

    @property
    def at_least(self) -> float:
        """``steps``, or the last step in its place."""
        return self.last if self.steps is None else self.steps


def halving(steps: Sequence[float], rates: Sequence[float]) -> Halving:
    """Steps to half of the first rate.

    Args:
        steps: Rising; the first is 0, before any treatment.
        rates: At each of them; the first is above 0.

    Raises:
        BadInputError: if these are not so.
    """
    rising = all(a < b for a, b in pairwise(steps))
    if len(steps) != len(rates) or len(steps) < 2 or steps[0] != 0 or not rising:
        raise BadInputError("a halving needs two rates or more, at rising steps from 0")
    if not 0 < rates[0] <= 1 or not all(0 <= rate <= 1 for rate in rates):
        raise BadInputError("a halving needs rates from 0 to 1, and a first one above 0")
    half = rates[0] / 2
    for number, (before, after) in enumerate(pairwise(rates), 1):
        if after <= half:
            share = (before - half) / (before - after)
            start, end = steps[number - 1 : number + 1]
            came_back = any(rate > half for rate in rates[number:])
            return Halving(start + share * (end - start), steps[-1], came_back)
    return Halving(None, steps[-1], False)
