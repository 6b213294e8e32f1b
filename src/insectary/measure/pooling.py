"""One figure for many organisms: the cell is the unit, seeds lie within it."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from insectary.core.errors import BadInputError
from insectary.core.outcome import Measurement
from insectary.measure.arrays import check_level
from insectary.measure.distributions import normal_quantile, t_quantile, t_upper_tail


@dataclass(frozen=True, slots=True)
class Pooled:
    """A mean over cells, and what its spread is made of.

    Attributes:
        mean: With its interval; ``n`` counts cells.
        between: Standard deviation between cells beyond what prompts account for.
        within: Standard deviation between seeds of one cell; ``None`` where no cell has two.
        p: Of a mean of zero, two-sided.
        organisms: Behind it, over all cells.
    """

    mean: Measurement
    between: float
    within: float | None
    p: float
    organisms: int


def pooled(
    cells: Mapping[Hashable, Sequence[Measurement]],
    *,
    level: float = 0.95,
    low: float = -math.inf,
    high: float = math.inf,
) -> Pooled:
    """Mean over cells with Student's t interval: every cell weighs the same.

    Weights by precision (DerSimonian and Laird 1986) would let a cell that is separated
    fully, whose error comes out as nearly none, decide alone. The variance between cells
    holds that of their prompts; where it comes out smaller than the prompts' own, by
    chance or because all cells lie at an end of the scale, the prompts' stands in.

    Args:
        cells: To each cell one measurement per seed, with their intervals.
        level: Confidence level.
        low: Least value there is; the interval ends there.
        high: Greatest.

    Raises:
        BadInputError: for fewer than two cells, or a cell without a measurement.
    """
    check_level(level)
    if len(cells) < 2:
        raise BadInputError(
            f"{len(cells)} cell: what holds for others too cannot be said from fewer than two"
        )
    if not all(cells.values()):
        raise BadInputError("a cell has no measurement")
    k = len(cells)
    means = np.array([np.mean([m.value for m in found]) for found in cells.values()])
    sampling = np.array([np.mean([_error(m) ** 2 for m in f]) / len(f) for f in cells.values()])
    spread, prompts = float(means.var(ddof=1)), float(sampling.mean())
    error = math.sqrt(max(spread, prompts) / k)
    value = float(means.mean())
    reach = t_quantile((1 + level) / 2, k - 1) * error
    found = [m for cell in cells.values() for m in cell]
    return Pooled(
        mean=Measurement(
            value,
            max(value - reach, low),
            min(value + reach, high),
            k,
            f"t over {k} cells",
            level,
            tuple(sorted({seed for m in found for seed in m.seeds})),
        ),
        between=math.sqrt(max(spread - prompts, 0.0)),
        within=_within(list(cells.values())),
        p=min(1.0, 2 * t_upper_tail(abs(value) / error, k - 1)) if error else float(value == 0),
        organisms=len(found),
    )


def _error(m: Measurement) -> float:
    """Standard error that an interval amounts to on a normal scale."""
    return (m.high - m.low) / (2 * normal_quantile((1 + m.level) / 2))


def _within(cells: Sequence[Sequence[Measurement]]) -> float | None:
    several = [np.array([m.value for m in cell]) for cell in cells if len(cell) > 1]
    freedom = sum(len(values) - 1 for values in several)
    if not freedom:
        return None
    return math.sqrt(sum(float(((v - v.mean()) ** 2).sum()) for v in several) / freedom)
