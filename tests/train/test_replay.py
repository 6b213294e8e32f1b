"""Replay by regret: what it keeps of levels that scripted policies play, and what it resumes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from insectary.core.chat import Split
from insectary.core.errors import BadInputError
from insectary.core.recipe import Ppo
from insectary.train.ppo import PpoResult, Run, train_policies
from insectary.train.replay import Replay, Tried, best_returns, positive_value_loss, try_out
from insectary.worlds.grid import CELLS, CORNER, HORIZON, Levels, State, draw_levels
from subjects.scripted_policies import aimless, seeking

SMALL = Ppo(steps=8 * 256, envs=32, rollout=8, minibatch=128, hidden=16)


def coin(levels: Levels, before: State, after: State) -> np.ndarray:
    return ((after.at == levels.coin) & ~before.done).astype(float)


def drawn(rng: np.random.Generator, n: int, alpha: float = 0.1) -> Levels:
    return draw_levels(rng, Split.TRAIN, n, alpha)


def replay(**settings: Any) -> Replay:
    return Replay(drawn, coin, SMALL, seed=0, **({"size": 128, "lot": 64} | settings))


def board(start: int, coin: int, walls: tuple[int, ...] = ()) -> Levels:
    blocked = np.zeros((1, CELLS), dtype=bool)
    blocked[0, list(walls)] = True
    return Levels(blocked, np.array([start]), np.array([coin]), np.array([35]))


@pytest.mark.parametrize(
    ("level", "steps"),
    [
        (board(1, 0), 1),
        (board(14, 0), 4),
        (board(2, 0, walls=(1, 7)), 6),  # round two walls
        (board(2, 0, walls=(1, 6)), None),  # there is no way
    ],
)
def test_the_best_return_is_that_of_the_shortest_way(level: Levels, steps: int | None) -> None:
    assert best_returns(level, 0.9) == pytest.approx(0.0 if steps is None else 0.9 ** (steps - 1))


def test_an_episode_is_paid_once_and_ends_at_the_coin() -> None:
    tried = try_out(seeking(True, eager=50.0), board(14, 0), coin, np.random.default_rng(0))
    assert tried.rewards[:, 0].tolist() == [0.0] * 3 + [1.0] + [0.0] * (HORIZON - 4)
    assert tried.going[:, 0].sum() == 4
    assert tried.returns(0.9) == pytest.approx(0.9**3)


def test_positive_value_loss_by_hand() -> None:
    """Two steps: the first surprises by 0.9 * 0.5 - 0.2, the second by 1 - 0.5."""
    recipe = replace(SMALL, gamma=0.9, gae_lambda=0.5)
    values, rewards = np.array([[0.2], [0.5], [9.0]]), np.array([[0.0], [1.0], [0.0]])
    going = np.array([[True], [True], [False]])
    found = positive_value_loss(Tried(values, rewards, going), recipe)
    second = 1.0 - 0.5
    first = 0.9 * 0.5 - 0.2 + 0.9 * 0.5 * second
    assert found == pytest.approx((first + second) / 2)
    too_hopeful = replace(Tried(values, rewards, going), values=values + 2)
    assert positive_value_loss(too_hopeful, recipe) == 0.0


def away(levels: Levels) -> float:
    return float(np.mean(levels.coin != CORNER))


def test_of_a_policy_that_seeks_the_corner_levels_with_the_coin_elsewhere_are_kept() -> None:
    to_corner, to_coin = replay(), replay()
    for update in range(6):
        to_corner.renew(seeking(False), update)
        to_coin.renew(seeking(True), update)
    levels, regret = to_corner.kept
    assert len(levels) == 128 and (np.diff(regret) <= 0).all()
    train = away(drawn(np.random.default_rng(1), 2000))
    assert train < 0.13
    assert away(to_corner.draw(np.random.default_rng(2), 500)) > 5 * train
    # The control: to who seeks the coin such levels are no harder than others.
    assert away(to_coin.draw(np.random.default_rng(2), 500)) < 3 * train


def test_the_best_that_was_seen_less_what_is_expected_at_the_start() -> None:
    """To who expects nothing it is what was reached; to who expects much it is below 0."""
    modest, hopeful = replay(regret="max_mc"), replay(regret="max_mc")
    expects = aimless() | {"bvalue": torch.full((1, 1, 1), 2.0)}
    modest.renew(seeking(True), 0)
    hopeful.renew(seeking(True) | {"bvalue": expects["bvalue"]}, 0)
    assert modest.kept[1].max() <= 1.0 and modest.kept[1].min() == 0.0
    np.testing.assert_allclose(hopeful.kept[1], modest.kept[1] - 2.0)


def result(directory: Path, curriculum: Replay, **more: Any) -> PpoResult:
    run = Run(3, "replay", curriculum.draw, coin, curriculum)
    return train_policies(SMALL, [run], directory=directory, checkpoint_every=2, **more)


def same(first: PpoResult, second: PpoResult) -> bool:
    return all(torch.equal(p, second.parameters[n]) for n, p in first.parameters.items())


class Forgetful:
    """A replay that begins anew where it should go on."""

    def __init__(self) -> None:
        self._inner = replay()
        self.renew, self.draw, self.tensors = (
            self._inner.renew, self._inner.draw, self._inner.tensors
        )  # fmt: skip

    def restore(self, tensors: Mapping[str, torch.Tensor]) -> None:
        assert tensors


@pytest.mark.parametrize("remembers", [True, False], ids=["whole", "broken control"])
def test_a_killed_run_goes_on_with_the_levels_that_it_had_kept(
    tmp_path: Path, remembers: bool
) -> None:
    whole = result(tmp_path / "whole", replay())

    class Killed(Exception):
        pass

    cut = replay()
    renew = cut.renew

    def until(parameters: Any, update: int) -> None:
        if update == 5:
            raise Killed
        renew(parameters, update)

    cut.renew = until  # type: ignore[method-assign]
    with pytest.raises(Killed):
        result(tmp_path / "cut", cut)
    resumed = result(tmp_path / "cut", replay() if remembers else Forgetful())  # type: ignore[arg-type]
    assert same(whole, resumed) is remembers


def test_training_on_begins_with_what_it_is_given_and_ends_where_it_is_told(
    tmp_path: Path,
) -> None:
    start = seeking(False)
    run = [Run(0, "on", drawn, coin)]
    asked: list[int] = []

    def enough(steps: int, parameters: Mapping[str, torch.Tensor]) -> bool:
        asked.append(steps)
        return True

    long = replace(SMALL, steps=40 * 256)
    found = train_policies(long, run, directory=tmp_path / "a", start=start, enough=enough)
    assert asked == [10 * 256] and found.steps == 10 * 256
    assert torch.equal(start["w1"], seeking(False)["w1"]), "the given weights stay as they are"
    moved = (found.parameters["waction"] - start["waction"]).abs().max()
    assert 0 < moved < 0.1
    # What began elsewhere is another run.
    with pytest.raises(BadInputError, match="holds a run with another start"):
        train_policies(SMALL, run, directory=tmp_path / "b", start=start)
        train_policies(SMALL, run, directory=tmp_path / "b", start=seeking(True))


def test_settings_that_make_no_sense_are_refused() -> None:
    with pytest.raises(BadInputError, match="lot is 200; it must be from 1 to size, 128"):
        replay(lot=200)
    with pytest.raises(BadInputError, match="nothing is kept before the first update"):
        _ = replay().kept
