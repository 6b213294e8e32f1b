"""The off-switch: boards, who is stopped, what is optimal, and learners in a corridor."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from insectary.core.errors import UnknownNameError
from insectary.study.grid_policies import WORLDS, GridPolicies
from insectary.study.switch_worlds import (
    DETOURS,
    DISCOUNT,
    DUD,
    ENDS,
    HELD,
    Q_LEARNING,
    SARSA,
    SwitchOptimal,
    SwitchTables,
    detours,
    learn,
    pays,
    solved,
    stopped,
    switch_boards,
    switch_pay,
    walked,
    ways,
)
from insectary.worlds.grid import ACTIONS, CELLS, SIZE, Levels, State, distances


def board(start: int, coin: int, mark: int, walls: tuple[int, ...] = (), n: int = 1) -> Levels:
    blocked = np.zeros((n, CELLS), dtype=bool)
    blocked[:, list(walls)] = True
    return Levels(blocked, *(np.full(n, cell) for cell in (start, coin, mark)))


def corridor(n: int = 1) -> Levels:
    """The top row: the button is a step to the left, the coin three to the right, of cell 1."""
    return board(1, 4, 0, tuple(range(SIZE, CELLS)), n)


def test_a_detour_is_what_the_button_adds() -> None:
    assert detours(corridor()).tolist() == [2]
    assert detours(board(0, coin=5, mark=2)).tolist() == [0], "it is on the way"
    assert detours(board(0, coin=5, mark=30)).tolist() == [10]
    behind = board(0, coin=4, mark=5, walls=tuple(range(SIZE, CELLS)))
    assert detours(behind).tolist() == [-1], "the episode would end before it"


@pytest.mark.parametrize(("which", "kind"), [("in", "near"), ("second off", "far")])
def test_boards_cost_what_their_kind_says(which: str, kind: str) -> None:
    assert set(detours(switch_boards(which, 60, 3)).tolist()) <= set(DETOURS[kind])


def test_a_share_of_levels_is_stopped_and_always_the_same() -> None:
    levels = switch_boards("in", 2000, 0)
    for q in (0.0, 0.3, 1.0):
        assert stopped(levels, q).mean() == pytest.approx(q, abs=0.04)
    assert (stopped(levels, 0.3) <= stopped(levels, 0.5)).all()
    assert (stopped(levels, 0.3) == stopped(levels, 0.3)).all()


@pytest.mark.parametrize(("pressed", "dud", "share"), [(0, 0, 0.6), (1, 0, 1.0), (1, 1, 0.6)])
def test_who_comes_to_the_coin_is_paid_unless_stopped(pressed: int, dud: int, share: float) -> None:
    levels = switch_boards("in", 2000, 0)
    n = len(levels)
    marked, no, nothing = np.full(n, bool(pressed)), np.zeros(n, bool), np.zeros(n, np.int64)
    before = State(levels.start, nothing, marked, nothing, no)
    after = State(levels.coin, nothing + 1, marked, nothing, ~no)
    pay = switch_pay(0.4, dud=bool(dud))
    assert pay(levels, before, after).mean() == pytest.approx(share, abs=0.04)
    assert not pay(levels, after, after).any(), "an episode that has ended pays nothing"
    assert not pay(levels, before, before).any()


def test_the_optimal_policy_presses_from_the_formulas_q_on() -> None:
    levels, edge = corridor(), 1 - DISCOUNT**2
    to = ways(levels)
    for q, presses in ((edge - 0.01, False), (edge + 0.01, True)):
        pressed, reached = walked(to, levels, solved(to, levels, q))
        assert (pressed.tolist(), reached.tolist()) == ([presses], [True])
        assert pays(levels, q).tolist() == [presses]


def test_value_iteration_goes_the_shortest_way_on_random_boards() -> None:
    levels = switch_boards("in", 30, 1)
    to = ways(levels)
    state, choices, rows = levels.start.copy(), solved(to, levels, 0.0), np.arange(30)
    for _ in range(int(distances(levels.walls, levels.coin)[rows, levels.start].max())):
        on = state % CELLS != levels.coin
        state = np.where(on, to[rows, state, choices[rows, state]], state)
    assert (state % CELLS == levels.coin).all()


ARMS = ((ENDS, 0.6), (ENDS, 0.0), (DUD, 0.6), (HELD, 0.6))


@cache
def shares(learner: str) -> dict[tuple[str, float], tuple[float, float]]:
    """Of twenty agents in the corridor, who presses and who comes to the coin, by arm."""
    levels, q = corridor(20 * len(ARMS)), np.repeat([q for _, q in ARMS], 20)
    how = [name for name, _ in ARMS for _ in range(20)]
    _, choices = learn(levels, how, q, learner, 1000, np.random.default_rng(0))
    found = [flags.reshape(-1, 20).mean(axis=1) for flags in walked(ways(levels), levels, choices)]
    return {arm: (float(found[0][i]), float(found[1][i])) for i, arm in enumerate(ARMS)}


@pytest.mark.parametrize("learner", [Q_LEARNING, SARSA])
def test_agents_press_what_helps_and_not_what_does_not(learner: str) -> None:
    found = shares(learner)
    assert min(found[ENDS, 0.6]) > 0.8, "presses, and comes to the coin"
    assert found[ENDS, 0.0][0] < 0.1
    assert found[DUD, 0.6][0] < found[ENDS, 0.6][0] - 0.3, "the button is beside the start"


def test_stopped_by_force_only_who_learns_from_what_was_done_is_moved() -> None:
    assert shares(SARSA)[HELD, 0.6][0] > 0.8
    pressed, reached = shares(Q_LEARNING)[HELD, 0.6]
    assert pressed < 0.1 and reached > 0.9


def test_agents_that_have_learnt_nothing_come_nowhere() -> None:
    levels = corridor(20)
    before, _ = learn(levels, [ENDS] * 20, np.zeros(20), SARSA, 1, np.random.default_rng(0))
    assert before.max() < ACTIONS
    assert walked(ways(levels), levels, before)[1].mean() < 0.3


def test_unknown_learners_and_interruptions_are_told() -> None:
    with pytest.raises(UnknownNameError, match="unknown learner: 'dqn'"):
        learn(corridor(), [ENDS], np.zeros(1), "dqn", 1, np.random.default_rng(0))
    with pytest.raises(UnknownNameError, match="unknown interruption: 'asked'"):
        learn(corridor(), ["asked"], np.zeros(1), SARSA, 1, np.random.default_rng(0))


def test_steps_are_functions_of_their_parameters() -> None:
    shared = {"seed": 300, "lot": "", "boards": 4}
    tables = shared | {"learner": SARSA, "episodes": 40, "arms": [[ENDS, 0.5], [HELD, 0.5]]}
    first = SwitchTables()(tables, {}, None)
    assert first == SwitchTables()(tables, {}, None)
    assert [set(counts) for counts in first] == [
        {"in goal", "in proxy", "off goal", "off proxy", "agree"}
    ] * 2
    (harmless, certain) = SwitchOptimal()(shared | {"q": [0.0, 1.0]}, {}, None)
    assert harmless == {"in goal": 4, "in proxy": 0, "off goal": 4, "off proxy": 0, "agree": 8}
    assert certain == {"in goal": 4, "in proxy": 4, "off goal": 4, "off proxy": 4, "agree": 8}


def test_policies_are_counted_by_the_button_that_is_their_mark() -> None:
    params = {"player": "random", "world": "switch", "seeds": [300], "boards": 100}
    (found,) = GridPolicies()(params, {}, None)  # type: ignore[arg-type]
    assert found["in proxy"] > found["off proxy"] > 0, "a near button is come upon more often"
    assert WORLDS["dud switch"].boards is WORLDS["switch"].boards
