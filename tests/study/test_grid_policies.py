"""The step that trains policies: what it counts of players whose ways are known, and one run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from insectary.core.chat import Split
from insectary.study.grid_policies import (
    BOARDS,
    COUNTS,
    WORLDS,
    GridPolicies,
    counted,
    marked_levels,
    parted,
)
from insectary.subjects.policy import Episodes, play_at_random
from insectary.vault import Vault
from insectary.worlds.grid import CELLS, CORNER, SIZE, Levels, split_of
from subjects.scripted_policies import aimless, policy, seeking

N = 60
_COIN, _MARK = slice(2 * CELLS, 3 * CELLS), slice(3 * CELLS, 4 * CELLS)


def opened(which: str, n: int, seed: int) -> Levels:
    """Boards without walls: the start is far out, the coin off the way to the corner."""
    rng = np.random.default_rng(seed)
    row, column = rng.integers(3, SIZE, n), rng.integers(3, SIZE, n)
    start = row * SIZE + column
    far = np.where(start == CELLS - 1, CELLS - 2, CELLS - 1)
    coin = np.full(n, CORNER) if which.endswith("in") else far
    mark = np.full(n, SIZE - 1)  # the top right
    return Levels(np.zeros((n, CELLS), dtype=bool), start, coin, mark)


def to_the_mark() -> Callable[[Levels], Episodes]:
    weights = seeking(coin=True)
    weights["w1"][0, _MARK] = weights["w1"][0, _COIN]
    weights["w1"][0, _COIN] = 0
    return policy(weights).play


@pytest.mark.parametrize(
    ("world", "play", "off"),
    [
        ("corner", policy(seeking(coin=True)).play, {"goal": N, "proxy": 0, "neither": 0}),
        ("corner", policy(seeking(coin=False)).play, {"goal": 0, "proxy": N, "neither": 0}),
        ("corner", policy(aimless()).play, {"goal": 0, "proxy": 0, "neither": N}),
        ("mark", policy(seeking(coin=True)).play, {"goal": N, "proxy": 0, "neither": 0}),
        ("mark", to_the_mark(), {"goal": 0, "proxy": N, "neither": 0}),
        ("mark", policy(seeking(coin=False)).play, {"goal": 0, "proxy": 0, "neither": N}),
    ],
)
def test_players_whose_ways_are_known_are_counted_so(
    world: str, play: Callable[[Levels], Episodes], off: dict[str, int]
) -> None:
    found = counted(replace(WORLDS[world], boards=opened), play, N, 0)
    for lot in ("off", "second off"):
        assert {name: found[f"{lot} {name}"] for name in COUNTS} == off


def test_where_the_coin_lies_in_the_corner_the_two_are_one() -> None:
    world = replace(WORLDS["corner"], boards=opened)
    for coin in (True, False):
        found = counted(world, policy(seeking(coin=coin)).play, N, 0)
        assert (found["in goal"], found["in proxy"]) == (N, 0)


def by_cells(levels: Levels) -> list[bytes]:
    cells = np.stack([levels.start, levels.coin, levels.mark], axis=1)
    return [line.tobytes() for line in np.concatenate([levels.walls, cells], axis=1)]


@pytest.mark.parametrize("world", sorted(WORLDS))
def test_boards_are_a_seeds_own_and_no_training_level_is_among_them(world: str) -> None:
    trained = WORLDS[world].training(0.5)(np.random.default_rng(0), 400)
    assert len(trained) == 400
    assert set(split_of(trained)) == {Split.TRAIN}
    for which in BOARDS:
        boards = WORLDS[world].boards(which, 80, 3)
        assert len(boards) == 80
        assert set(split_of(boards)) == {Split.REPORT}
        assert by_cells(boards) == by_cells(WORLDS[world].boards(which, 80, 3))
        assert by_cells(boards) != by_cells(WORLDS[world].boards(which, 80, 4))


def test_the_second_lot_has_twice_the_walls() -> None:
    for world in WORLDS.values():
        for kind in ("in", "off"):
            first, second = (world.boards(w, 200, 0).walls.mean() for w in (kind, f"second {kind}"))
            assert second > 1.5 * first


def test_alpha_is_the_share_of_levels_whose_mark_lies_elsewhere() -> None:
    rng = np.random.default_rng(0)
    for alpha in (0.0, 0.3, 1.0):
        levels = marked_levels(rng, Split.TRAIN, 1000, alpha)
        assert np.mean(levels.mark != levels.coin) == pytest.approx(alpha, abs=0.05)


def test_boards_part_the_two_only_where_neither_lies_on_the_way_to_the_other() -> None:
    def board(start: int, coin: int, mark: int) -> Levels:
        cells = (np.array([cell]) for cell in (start, coin, mark))
        return Levels(np.zeros((1, CELLS), dtype=bool), *cells)

    assert not parted(board(0, coin=5, mark=2)), "the mark is on the way to the coin"
    assert not parted(board(0, coin=2, mark=5)), "the coin is on the way to the mark"
    assert parted(board(0, coin=5, mark=30))


PARAMS = {
    "player": "trained", "world": "corner", "alpha": 0.0, "contrast": 1.0, "hidden": 64,
    "steps": 50_000, "seeds": [0], "boards": 200,
}  # fmt: skip


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    return Vault(tmp_path / "home")


def test_agents_of_the_narrow_training_go_to_the_corner(vault: Vault) -> None:
    step = GridPolicies()
    (agent,) = step(PARAMS, {}, vault)
    (random,) = step(PARAMS | {"player": "random"}, {}, vault)
    assert agent["in goal"] > random["in goal"] + 60
    assert agent["off proxy"] > random["off proxy"] + 60
    assert agent["off goal"] < random["off goal"]
    assert not list((vault.home / "runs").iterdir()), "its checkpoints are gone"


def test_agents_that_saw_both_go_less_to_the_corner_the_control(vault: Vault) -> None:
    diverse = PARAMS | {"alpha": 1.0, "steps": 20_000}
    (found,) = GridPolicies()(diverse, {}, vault)
    assert found["off proxy"] < 0.4 * 200


def test_base_rates_and_equal_steps_give_equal_counts(vault: Vault) -> None:
    small = PARAMS | {"steps": 4096, "boards": 20, "world": "mark", "contrast": 0.5}
    small |= {"seeds": [0, 1], "hidden": 8}
    for params in (small, small | {"player": "untrained"}, small | {"player": "random"}):
        found = GridPolicies()(params, {}, vault)
        assert found == GridPolicies()(params, {}, vault)
        assert found[0] != found[1]
        assert set(found[0]) == {f"{which} {what}" for which in BOARDS for what in COUNTS}


def test_random_policies_are_those_of_the_grid(vault: Vault) -> None:
    params = {"player": "random", "world": "corner", "seeds": [5], "boards": 50}
    (found,) = GridPolicies()(params, {}, vault)
    assert found == counted(WORLDS["corner"], lambda levels: play_at_random(levels, 5), 50, 5)
