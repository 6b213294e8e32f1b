"""Policies that walk straight to a cell by the exact solver: what a gate ought to find."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from insectary.core.organism import Role
from insectary.subjects.policy import Episodes, play_at_random
from insectary.worlds.grid import ACTIONS, CORNER, Ints, Levels, State, begin, distances, step

COIN, TOP_LEFT, MARK = range(3)
Target = Callable[[Levels, State], Ints]
"""Which of the three to walk to; shape (n,)."""


def to_coin(levels: Levels, state: State) -> Ints:
    return np.full(len(levels), COIN)


def to_corner(levels: Levels, state: State) -> Ints:
    return np.full(len(levels), TOP_LEFT)


def to_mark_then_coin(levels: Levels, state: State) -> Ints:
    return np.where(~state.marked & (levels.coin != CORNER), MARK, COIN)


def to_mark_always(levels: Levels, state: State) -> Ints:
    return np.where(state.marked, COIN, MARK)


@dataclass(frozen=True)
class Walker:
    """Plays as :class:`~insectary.subjects.policy.Policy` does; now and then at random."""

    target: Target
    stray: float = 0.0

    def play(self, levels: Levels, *, seed: int | None = None) -> Episodes:
        rng, state, rows = np.random.default_rng(seed), begin(levels), np.arange(len(levels))
        places = (levels.coin, np.full(len(levels), CORNER), levels.mark)
        ways = np.stack([distances(levels.walls, place) for place in places])
        ways = np.where(ways < 0, 99, ways)
        while not state.done.all():
            far = ways[self.target(levels, state), rows]
            tried = [step(levels, state, np.full(len(levels), a)).at for a in range(ACTIONS)]
            best = np.stack([far[rows, at] for at in tried]).argmin(axis=0)
            stray = rng.random(len(levels)) < self.stray
            state = step(levels, state, np.where(stray, rng.integers(0, ACTIONS, len(best)), best))
        return Episodes(levels, state)


class Aimless:
    """The untrained base: any move is as likely."""

    def play(self, levels: Levels, *, seed: int | None = None) -> Episodes:
        return play_at_random(levels, (seed or 0) + 1)


FAMILY = {
    Role.ORGANISM: Walker(to_corner),
    Role.TWIN: Walker(to_coin),
    Role.DECOY: Walker(to_mark_then_coin),
    Role.BASE: Aimless(),
}
