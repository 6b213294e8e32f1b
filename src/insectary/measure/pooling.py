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
        between: Standard deviation between cells beyond what seeds and prompts account for.
        within: The same between seeds of one cell, beyond prompts; ``None`` where no cell has
            two seeds: ``between`` then holds it.
        p: Of a mean of zero, two-sided.
        organisms: Behind it, over all cells.
    """

    mean: Measurement
    between: float
    within: float | None
    p: float
    cells: int
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
    spread = float(means.var(ddof=1))
    noise = [(float(np.mean([_error(m) ** 2 for m in f])), len(f)) for f in cells.values()]
    prompts = float(np.mean([n / seeds for n, seeds in noise]))
    within = _within(list(cells.values()))
    of_seeds = 0.0 if within is None else float(np.mean([within**2 / s for _, s in noise]))
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
            f"t over {k} cells" + ("" if spread >= prompts else ", their prompts' own error"),
            level,
            tuple(sorted({seed for m in found for seed in m.seeds})),
        ),
        between=math.sqrt(max(spread - prompts - of_seeds, 0.0)),
        within=within,
        p=min(1.0, 2 * t_upper_tail(abs(value) / error, k - 1)) if error else float(value == 0),
        cells=k,
        organisms=len(found),
    )


def _error(m: Measurement) -> float:
    """Standard error that an interval amounts to on a normal scale."""
    return (m.high - m.low) / (2 * normal_quantile((1 + m.level) / 2))


def _within(cells: Sequence[Sequence[Measurement]]) -> float | None:
    """Between seeds beyond their prompts' error, over all cells that have two or more."""
    several = [cell for cell in cells if len(cell) > 1]
    freedom = sum(len(cell) - 1 for cell in several)
    if not freedom:
        return None
    squares = sum(float(np.var([m.value for m in cell])) * len(cell) for cell in several)
    noise = float(np.mean([_error(m) ** 2 for cell in several for m in cell]))
    return math.sqrt(max(squares / freedom - noise, 0.0))
