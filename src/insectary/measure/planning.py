"""How many cells, seeds and prompts a mean AUROC needs before its interval is narrow enough."""

from __future__ import annotations

import math

from insectary.core.errors import BadInputError
from insectary.measure.arrays import check_level
from insectary.measure.distributions import t_quantile

MOST_CELLS = 1_000


def auroc_variance(auroc: float, positives: int, negatives: int) -> float:
    """Sampling variance of an AUROC over independent rows.

    Source: Hanley and McNeil 1982, Radiology 143, with exponential scores.

    Raises:
        BadInputError: if the area is not from 0 to 1, or a side has no row.
    """
    if not 0 <= auroc <= 1:
        raise BadInputError(f"an AUROC is from 0 to 1, got {auroc}")
    if min(positives, negatives) < 1:
        raise BadInputError("both sides need a prompt at least")
    first, second = auroc / (2 - auroc), 2 * auroc**2 / (1 + auroc)
    return (
        auroc * (1 - auroc)
        + (positives - 1) * (first - auroc**2)
        + (negatives - 1) * (second - auroc**2)
    ) / (positives * negatives)


def half_width(
    cells: int,
    seeds: int,
    prompts: int,
    *,
    auroc: float,
    between: float,
    within: float,
    level: float = 0.95,
) -> float:
    """Half of the t interval to expect for a mean over cells (:func:`insectary.measure.pooled`).

    Args:
        cells: Two at least.
        seeds: Families of each cell.
        prompts: On each side of a comparison, independent of each other: those that share a
            phrasing count as one.
        auroc: About where it lies; sampling error is greatest at 0.5.
        between: Standard deviation between cells.
        within: The same between seeds of one cell.
        level: Confidence level.

    Raises:
        BadInputError: if one of these is out of range.
    """
    check_level(level)
    if cells < 2 or seeds < 1:
        raise BadInputError(f"a plan needs two cells and one seed, got {cells} and {seeds}")
    if not (0 <= between < math.inf and 0 <= within < math.inf):
        raise BadInputError(f"spreads must be 0 or more, got {between} and {within}")
    of_cell = between**2 + (within**2 + auroc_variance(auroc, prompts, prompts)) / seeds
    return t_quantile((1 + level) / 2, cells - 1) * math.sqrt(of_cell / cells)


def cells_needed(
    wanted: float,
    seeds: int,
    prompts: int,
    *,
    auroc: float,
    between: float,
    within: float,
    level: float = 0.95,
) -> int:
    """Fewest cells whose interval is to be expected no wider than ``wanted`` to either side.

    Raises:
        BadInputError: if the width is not above 0, or a thousand cells do not do.
    """
    if not 0 < wanted < math.inf:
        raise BadInputError(f"the half width must be above 0, got {wanted}")

    def wide(cells: int) -> bool:
        found = half_width(
            cells, seeds, prompts, auroc=auroc, between=between, within=within, level=level
        )
        return found > wanted

    if wide(MOST_CELLS):
        raise BadInputError(
            f"not even {MOST_CELLS} cells give a mean to within {wanted:g}: allow a wider interval"
        )
    low, high = 1, MOST_CELLS  # one is too few, that many are enough; the width falls with cells
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if wide(middle) else (low, middle)
    return high
