"""Do rankings agree more among equals than among others? Correlations of ranks, and a test."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from random import Random

import numpy as np
from numpy.typing import ArrayLike

from insectary.core.errors import BadInputError
from insectary.measure.arrays import Bools, Codes, Floats, finite_vector, group_codes
from insectary.measure.seeds import mid_ranks

_ROUNDING = 1e-12
"""Two sums of the same numbers in another order differ by less."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """Mean rank correlation over pairs of rankings of one block.

    Attributes:
        within: Of pairs whose labels are equal ...
        between: ... and of the others.
        pairs: How many of either.
    """

    within: float
    between: float
    pairs: tuple[int, int]

    @property
    def gap(self) -> float:
        """How much more those agree whose labels are equal."""
        return self.within - self.between


def rank_correlations(rows: ArrayLike) -> Floats:
    """Spearman's correlation of every two rows, shape (rows, rows); ties share their mean rank.

    Source: Spearman 1904, American Journal of Psychology 15.

    Args:
        rows: Shape (rankings, ranked things); of three things at least.

    Raises:
        BadInputError: if the shape is another, a value is not finite, or a row ranks nothing
            since all its values are equal.
    """
    table = np.asarray(rows, dtype=np.float64)
    if table.ndim != 2 or table.shape[0] < 2 or table.shape[1] < 3:
        raise BadInputError(
            f"two rankings at least of three things at least are compared, got shape {table.shape}"
        )
    finite_vector(table.ravel(), "rows")
    if flat := [number for number, row in enumerate(table) if np.ptp(row) == 0]:
        raise BadInputError(f"rows[{flat[0]}] ranks nothing: all its values are equal")
    found: Floats = np.corrcoef(np.array([mid_ranks(row) for row in table]))
    return found


def agreement(correlations: Floats, labels: Sequence[Hashable]) -> Agreement | None:
    """Mean correlation of pairs with equal labels and of the others.

    Args:
        correlations: Shape (rankings, rankings).
        labels: One for each ranking.

    Returns:
        ``None`` if there is no pair of the one kind or of the other.
    """
    alike, values = _pairs(correlations, _codes(labels)[None])
    if alike.all() or not alike.any():
        return None
    counts = int(alike.sum()), int((~alike).sum())
    return Agreement(float(values[alike[0]].mean()), float(values[~alike[0]].mean()), counts)


def label_permutation(
    blocks: Sequence[tuple[Floats, Sequence[Hashable]]], draws: int = 1999
) -> float:
    """One-sided p value: does it take the labels to make the mean gap over blocks so great?

    Labels are shuffled within each block, whose rankings are exchangeable if labels do not
    matter. The labels as they are count as one draw, so that p is at least 1 / (draws + 1).
    Source: Mantel 1967, Cancer Research 27.

    Args:
        blocks: Correlations and labels of each, as for :func:`agreement`.
        draws: Shuffles, always the same ones.

    Raises:
        BadInputError: if there is no block, or one has no pair of either kind.
    """
    if not blocks or any(agreement(*block) is None for block in blocks):
        raise BadInputError("every block needs a pair of equal labels, and one of others")
    rng, total = Random(0), np.zeros(draws + 1)
    for correlations, labels in blocks:
        codes = _codes(labels)
        shuffled = [rng.sample(range(codes.size), codes.size) for _ in range(draws)]
        alike, values = _pairs(correlations, codes[[[*range(codes.size)], *shuffled]])
        # How many pairs are alike is the same in every shuffle.
        total += alike @ values / alike[0].sum() - ~alike @ values / (~alike[0]).sum()
    return float(np.mean(total >= total[0] - _ROUNDING))


def _codes(labels: Sequence[Hashable]) -> Codes:
    return group_codes(labels, len(labels), "labels")[0]


def _pairs(correlations: Floats, codes: Codes) -> tuple[Bools, Floats]:
    """Of labels of shape (labellings, rankings): which pairs are alike, and each one's value."""
    first, second = np.triu_indices(codes.shape[1], 1)
    return codes[:, first] == codes[:, second], correlations[first, second]
