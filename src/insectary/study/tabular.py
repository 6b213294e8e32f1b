"""Tabular agents that learn by trial and error, many side by side."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def tried(
    values: Floats, options: Ints | int, explore: float, generator: np.random.Generator
) -> Ints:
    """An action for each agent: the best by its values, or now and then any, alike.

    Args:
        values: Of each action, shape (agents, actions).
        options: How many of the first actions there are, for each agent or for all.
        explore: Chance of any action.
        generator: Draws actions and their turns.
    """
    agents = values.shape[0]
    anything = np.asarray(generator.random(agents) * options).astype(np.int64)
    explores = generator.random(agents) < explore
    return np.where(explores, anything, values.argmax(axis=1))


def learn_from(table: Floats, at: tuple[Any, ...], target: Floats, rate: Floats | float) -> None:
    """Move the values at these places towards what they turned out to be worth, in place."""
    table[at] += rate * (target - table[at])
