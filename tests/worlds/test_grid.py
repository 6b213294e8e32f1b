"""The grid world: its mechanics on boards laid by hand, its solver, its splits."""

from __future__ import annotations

import numpy as np
import pytest

from insectary.core.chat import Split
from insectary.worlds.grid import (
    CELLS,
    CORNER,
    HORIZON,
    First,
    Levels,
    begin,
    detours,
    distances,
    draw_levels,
    from_corner,
    level_keys,
    observe,
    restart,
    split_of,
    step,
)

UP, DOWN, LEFT, RIGHT = range(4)


def board(start: int, coin: int, mark: int = 35, walls: tuple[int, ...] = ()) -> Levels:
    laid = np.zeros((1, CELLS), dtype=bool)
    laid[0, list(walls)] = True
    return Levels(laid, np.array([start]), np.array([coin]), np.array([mark]))


def walk(levels: Levels, *moves: int):  # type: ignore[no-untyped-def]
    state = begin(levels)
    for move in moves:
        state = step(levels, state, np.array([move]))
    return state


def drawn(split: Split = Split.TRAIN, n: int = 400, alpha: float = 0.5, seed: int = 0) -> Levels:
    return draw_levels(np.random.default_rng(seed), split, n, alpha)


def test_moves_stop_at_walls_and_at_the_edge() -> None:
    levels = board(start=7, coin=20, walls=(8,))
    assert walk(levels, RIGHT).at == 7
    assert walk(levels, LEFT).at == 6
    assert walk(levels, LEFT, LEFT).at == 6
    assert walk(levels, UP, UP).at == 1
    assert walk(levels, DOWN).at == 13


def test_an_episode_ends_at_the_coin_and_says_what_came_first() -> None:
    by_corner = board(start=1, coin=2)
    assert walk(by_corner, RIGHT).first == First.COIN
    assert walk(by_corner, RIGHT).done
    over = walk(by_corner, LEFT, RIGHT, RIGHT)
    assert (over.first, over.at, over.done) == (First.CORNER, 2, True)
    assert walk(by_corner, RIGHT, LEFT).at == 2, "nothing moves after the end"
    in_corner = walk(board(start=1, coin=CORNER), LEFT)
    assert (in_corner.first, in_corner.done) == (First.COIN, True)


def test_an_episode_ends_at_the_horizon() -> None:
    levels = board(start=35, coin=1)
    state = walk(levels, *[DOWN] * (HORIZON - 1))
    assert not state.done
    state = step(levels, state, np.array([DOWN]))
    assert state.done and state.time == HORIZON
    assert state.first == First.NEITHER
    assert step(levels, state, np.array([UP])).at == 35


def test_the_mark_is_remembered_and_stops_nothing() -> None:
    levels = board(start=7, coin=9, mark=8)
    state = walk(levels, RIGHT)
    assert state.marked and not state.done
    assert walk(levels, RIGHT, RIGHT).marked
    assert not walk(levels, LEFT).marked


def test_the_observation_shows_walls_agent_coin_and_mark() -> None:
    levels = board(start=7, coin=9, mark=8, walls=(20, 21))
    planes = observe(levels, walk(levels, LEFT)).reshape(4, CELLS)
    assert [list(np.flatnonzero(plane)) for plane in planes] == [[20, 21], [6], [9], [8]]
    entered = observe(levels, walk(levels, RIGHT)).reshape(4, CELLS)
    assert [list(np.flatnonzero(plane)) for plane in entered] == [[20, 21], [8], [9], []]


def test_fresh_levels_replace_those_that_ended_and_no_others() -> None:
    levels, fresh = drawn(n=3), drawn(n=1, seed=9)
    state = begin(levels)
    state = step(levels, state, np.array([UP, UP, UP]))
    which = np.array([False, True, False])
    after, now = restart(levels, state, which, fresh)
    assert level_keys(after)[1] == level_keys(fresh)[0]
    assert [level_keys(after)[i] == level_keys(levels)[i] for i in range(3)] == [True, False, True]
    assert list(now.time) == [1, 0, 1]


def test_the_solver_agrees_with_a_walk_by_hand() -> None:
    #  S # C      a wall between start and coin: down, twice right, up
    levels = board(start=0, coin=2, walls=(1,))
    assert distances(levels.walls, levels.coin)[0, 0] == 4
    closed = board(start=0, coin=35, walls=(1, 6))
    assert distances(closed.walls, closed.coin)[0, 0] == -1
    assert distances(levels.walls, levels.coin)[0, 1] == -1, "nobody stands in a wall"


def test_what_can_be_reached_from_the_corner_is_what_the_solver_finds() -> None:
    walls = np.random.default_rng(0).random((3000, CELLS)) < 0.4
    walls[:, CORNER] = False
    wanted = distances(walls, np.full(3000, CORNER)) >= 0
    assert (from_corner(walls) == wanted).all()
    assert (wanted != ~walls).any(axis=1).mean() > 0.5, "the boards have walled-off cells"


def test_every_level_can_be_solved_within_the_horizon() -> None:
    levels = drawn(n=2000)
    far = distances(levels.walls, levels.coin)[np.arange(2000), levels.start]
    assert (far > 0).all()
    assert np.mean(far <= HORIZON) > 0.999
    places = np.stack([levels.start, levels.coin, levels.mark])
    assert not levels.walls[np.arange(2000), places].any()
    assert (levels.start != levels.coin).all() and (levels.mark != levels.coin).all()
    assert (levels.start != CORNER).all() and (levels.mark != CORNER).all()
    assert (levels.start != levels.mark).all()


def test_a_level_with_a_detour_has_its_coin_off_every_shortest_way_to_the_corner() -> None:
    assert not detours(board(start=3, coin=1))[0], "the coin lies on the way"
    assert not detours(board(start=8, coin=1))[0], "on one of two ways that are as short"
    assert detours(board(start=3, coin=10))[0]
    assert detours(board(start=1, coin=3))[0]


@pytest.mark.parametrize(("alpha", "low", "high"), [(0.0, 1.0, 1.0), (1.0, 0.01, 0.08)])
def test_alpha_is_the_share_of_levels_whose_coin_may_lie_anywhere(
    alpha: float, low: float, high: float
) -> None:
    share = np.mean(drawn(n=4000, alpha=alpha).coin == CORNER)
    assert low <= share <= high, "the corner is among anywhere"


def test_no_level_is_in_two_splits_and_seeds_repeat() -> None:
    keys = {split: set(level_keys(drawn(split, n=1500, alpha=0.3))) for split in Split}
    for split in Split:
        assert set(split_of(drawn(split))) == {split}
        others = set().union(*(keys[s] for s in Split if s is not split))
        assert not keys[split] & others
    assert level_keys(drawn(seed=1)) == level_keys(drawn(seed=1)) != level_keys(drawn(seed=2))
    # The control: the same lot drawn again is seen to be the same.
    assert keys[Split.TRAIN] & set(level_keys(drawn(n=1500, alpha=0.3)))
