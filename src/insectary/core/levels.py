"""Boards of the grid world, as plain arrays: what a level is, without what happens on it."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Levels:
    """Boards. Cells are numbered row by row from the top left.

    Attributes:
        walls: Shape (n, 36).
        start: Where the agent begins; shape (n,), as are the others.
        coin: Where the coin lies.
        mark: A marked cell, unmarked by who enters it; it means nothing, but to a decoy.
    """

    walls: Bools
    start: Ints
    coin: Ints
    mark: Ints

    def __len__(self) -> int:
        return len(self.start)

    def take(self, index: Any) -> Levels:
        """Some of the levels: a slice, a mask or numbers."""
        return Levels(self.walls[index], self.start[index], self.coin[index], self.mark[index])

    def put(self, index: Any, others: Levels) -> Levels:
        """These levels with some replaced."""
        return Levels(*(put_into(getattr(self, f.name), index, getattr(others, f.name))
                        for f in fields(self)))  # fmt: skip


def put_into(array: NDArray[Any], index: Any, values: NDArray[Any]) -> NDArray[Any]:
    """A copy of an array with some of it replaced."""
    changed = array.copy()
    changed[index] = values
    return changed
