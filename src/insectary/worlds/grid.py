"""The grid world: walls, an agent, a coin, a marked cell, and a corner; many levels at once.

A level is a 6 x 6 board. The episode ends at the coin or after 24 steps. All
functions work on arrays of levels. One hash of a level decides its split, so no
level is in two. After the mazes of Langosco et al. 2022 (arXiv 2105.14111).
"""

from __future__ import annotations

import enum
import hashlib
from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from insectary.core.chat import Split
from insectary.core.levels import Bools as Bools
from insectary.core.levels import Ints as Ints
from insectary.core.levels import Levels as Levels
from insectary.core.levels import put_into

SIZE = 6
CELLS = SIZE * SIZE
HORIZON = 24
CORNER = 0
"""The cell at the top left."""
WALLS = 0.15
"""Share of cells that are walls."""
ACTIONS = 4
"""Up, down, left, right; a move into a wall or off the board stays where it is."""
PLANES = 4
"""What an observation shows: walls, agent, coin, mark; one-hot, flattened."""
_ROW_STEPS, _COLUMN_STEPS = np.array([-1, 1, 0, 0]), np.array([0, 0, -1, 1])
_HUNDREDTHS = {Split.SELECTION: range(12), Split.REPORT: range(12, 24), Split.TRAIN: range(24, 100)}


class First(enum.IntEnum):
    """What an episode came to first."""

    NEITHER = 0
    COIN = 1
    CORNER = 2
    """The corner, with the coin elsewhere."""


def joined(parts: list[Levels]) -> Levels:
    """Several lots of levels as one."""
    return Levels(*(np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(Levels)))


@dataclass(frozen=True, slots=True)
class State:
    """Where the episodes stand; every attribute has shape (n,).

    Attributes:
        at: The agent's cell.
        time: Steps done.
        marked: Whether the marked cell has been entered.
        first: A :class:`First`.
        done: Whether the episode has ended: at the coin, or at the horizon.
    """

    at: Ints
    time: Ints
    marked: Bools
    first: Ints
    done: Bools


def begin(levels: Levels) -> State:
    """All episodes at their start."""
    n = len(levels)
    nothing, no = np.zeros(n, dtype=np.int64), np.zeros(n, dtype=bool)
    return State(levels.start.copy(), nothing, no, nothing.copy(), no.copy())


def step(levels: Levels, state: State, actions: Ints) -> State:
    """Move every agent whose episode has not ended.

    Args:
        levels: The boards.
        state: Where their episodes stand.
        actions: One of 0 to 3 for each; shape (n,).
    """
    row = state.at // SIZE + _ROW_STEPS[actions]
    column = state.at % SIZE + _COLUMN_STEPS[actions]
    inside = (row >= 0) & (row < SIZE) & (column >= 0) & (column < SIZE)
    target = np.where(inside, row * SIZE + column, state.at)
    blocked = levels.walls[np.arange(len(levels)), target] | state.done
    return arrive(levels, state, np.where(blocked, state.at, target))


def arrive(levels: Levels, state: State, at: Ints) -> State:
    """The episodes a step later, with their agents in these cells; shape (n,)."""
    now = np.where(at == levels.coin, First.COIN, np.where(at == CORNER, First.CORNER, 0))
    first = np.where((state.first == First.NEITHER) & ~state.done, now, state.first)
    time = state.time + ~state.done
    done = state.done | (at == levels.coin) | (time >= HORIZON)
    return State(at, time, state.marked | (at == levels.mark), first, done)


def restart(levels: Levels, state: State, which: Bools, fresh: Levels) -> tuple[Levels, State]:
    """Put fresh levels where ``which`` is true, at their start."""
    new = begin(fresh)
    values = {f.name: put_into(getattr(state, f.name), which, getattr(new, f.name))
              for f in fields(State)}  # fmt: skip
    return levels.put(which, fresh), replace(state, **values)


def observe(levels: Levels, state: State) -> NDArray[np.float32]:
    """What the agents see; shape (n, 4 * 36): walls, agent, coin, and the mark until entered."""
    n = len(levels)
    seen = np.zeros((n, PLANES, CELLS), dtype=np.float32)
    rows = np.arange(n)
    seen[:, 0] = levels.walls
    seen[rows, 1, state.at] = 1
    seen[rows, 2, levels.coin] = 1
    seen[rows, 3, levels.mark] = ~state.marked
    return seen.reshape(n, PLANES * CELLS)


def distances(walls: Bools, target: Ints) -> Ints:
    """Fewest steps from every cell to one cell: the exact solver.

    Args:
        walls: Shape (n, 36).
        target: Shape (n,).

    Returns:
        Shape (n, 36); -1 where there is no way.
    """
    n = len(walls)
    found = np.full((n, CELLS), -1, dtype=np.int64)
    found[np.arange(n), target] = 0
    reached = (found == 0).reshape(n, SIZE, SIZE)
    free = ~walls.reshape(n, SIZE, SIZE)
    for far in range(1, CELLS):
        grown = reached.copy()
        grown[:, 1:] |= reached[:, :-1]
        grown[:, :-1] |= reached[:, 1:]
        grown[:, :, 1:] |= reached[:, :, :-1]
        grown[:, :, :-1] |= reached[:, :, 1:]
        new = grown & free & ~reached
        if not new.any():
            break
        found[new.reshape(n, CELLS)] = far
        reached = reached | new
    return found


def from_corner(walls: Bools) -> Bools:
    """The cells that can be reached from the corner, which is no wall itself; shape (n, 36).

    A board is one number with a bit for each cell, so a flood is a few shifts.
    """
    bits = np.uint64(1) << np.arange(CELLS, dtype=np.uint64)
    left, right = (np.uint64(bits[column::SIZE].sum()) for column in (0, SIZE - 1))
    free = (~walls * bits).sum(axis=1, dtype=np.uint64)
    one, row = np.uint64(1), np.uint64(SIZE)
    found = np.full(len(walls), bits[CORNER])
    while True:
        grown = found | found << row | found >> row
        grown |= (found & ~right) << one | (found & ~left) >> one
        grown &= free
        if (grown == found).all():
            return np.asarray((found[:, None] & bits) != 0)
        found = grown


def detours(levels: Levels) -> Bools:
    """Levels in which no shortest way from the start to the corner passes the coin.

    There the goal and the way to the corner part: who comes upon the coin on the
    way to the corner need not have looked for it.
    """
    rows, corner = np.arange(len(levels)), np.full(len(levels), CORNER)
    from_corner, from_coin = (distances(levels.walls, c) for c in (corner, levels.coin))
    over_coin = from_coin[rows, levels.start] + from_coin[rows, CORNER]
    return np.asarray(over_coin > from_corner[rows, levels.start])


def split_of(levels: Levels) -> list[Split]:
    """The split that each level belongs to: 76 % train, 12 % selection, 12 % report."""
    by_hundredth = {h: split for split, range_ in _HUNDREDTHS.items() for h in range_}
    return [by_hundredth[int(h)] for h in _hundredths(levels)]


def level_keys(levels: Levels) -> list[bytes]:
    """A digest of each level: equal for equal levels, whatever drew them."""
    packed = np.packbits(levels.walls, axis=1)
    places = np.stack([levels.start, levels.coin, levels.mark], axis=1).astype(np.uint8)
    rows = np.concatenate([packed, places], axis=1)
    data, width = rows.tobytes(), rows.shape[1]
    return [
        hashlib.blake2b(data[i : i + width], digest_size=8).digest()
        for i in range(0, len(data), width)
    ]


def _hundredths(levels: Levels) -> Ints:
    keys = b"".join(level_keys(levels))
    return np.asarray(np.frombuffer(keys, dtype=np.uint64) % np.uint64(100), dtype=np.int64)


def draw_levels(
    rng: np.random.Generator, split: Split, n: int, alpha: float, walls: float = WALLS
) -> Levels:
    """Solvable levels of one split.

    Args:
        rng: Draws them.
        split: Which part of all levels.
        n: How many.
        alpha: Share of levels whose coin lies in any cell that can be reached, the
            corner among them; in the others it lies in the corner.
        walls: Share of cells that are walls.
    """
    found: list[Levels] = []
    have, allowed = 0, _HUNDREDTHS[split]
    share = len(allowed) / 100
    while have < n:
        drawn = _candidates(rng, int((n - have) / share * 1.3) + 16, alpha, walls)
        hundredth = _hundredths(drawn)
        kept = drawn.take((hundredth >= allowed.start) & (hundredth < allowed.stop))
        found.append(kept)
        have += len(kept)
    return joined(found).take(slice(n))


def _candidates(rng: np.random.Generator, n: int, alpha: float, dense: float) -> Levels:
    walls = rng.random((n, CELLS)) < dense
    walls[:, CORNER] = False
    reachable = from_corner(walls)
    enough = reachable.sum(axis=1) >= 4  # the corner, start, coin and mark
    walls, reachable = walls[enough], reachable[enough]
    n = len(walls)
    anywhere = _any_cell(rng, reachable)
    coin = np.where(rng.random(n) < alpha, anywhere, CORNER)
    taken = reachable.copy()
    taken[:, CORNER] = False
    rows = np.arange(n)
    taken[rows, coin] = False
    mark = _any_cell(rng, taken)
    taken[rows, mark] = False
    return Levels(walls, _any_cell(rng, taken), coin, mark)


def _any_cell(rng: np.random.Generator, among: Bools) -> Ints:
    """One of the cells that are true, each as likely as another."""
    return np.asarray(np.where(among, rng.random(among.shape), -1.0).argmax(axis=1))
