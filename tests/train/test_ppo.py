"""PPO on the grid: it learns, runs do not touch each other, and a killed run goes on the same."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from insectary.core.chat import Split
from insectary.core.errors import BadInputError, TrainingError
from insectary.core.recipe import Ppo
from insectary.subjects.policy import Policy, initial, play_at_random
from insectary.train.ppo import PpoResult, Run, _Batch, _loss, train_policies
from insectary.worlds.grid import CELLS, Levels, State, draw_levels

SMALL = Ppo(steps=8 * 256, envs=32, rollout=8, minibatch=128, hidden=16)


def coin(levels: Levels, before: State, after: State) -> np.ndarray:
    return ((after.at == levels.coin) & ~before.done).astype(float)


def drawing(alpha: float) -> Callable[[np.random.Generator, int], Levels]:
    return lambda rng, n: draw_levels(rng, Split.TRAIN, n, alpha)


def run(seed: int, name: str = "coin", alpha: float = 0.0) -> Run:
    return Run(seed, name, drawing(alpha), coin)


def policy(result: PpoResult, index: int) -> Policy:
    return Policy({n: p[index : index + 1] for n, p in result.parameters.items()}, id="p")


def same(first: PpoResult, second: PpoResult) -> bool:
    return all(torch.equal(p, second.parameters[n]) for n, p in first.parameters.items())


def test_a_policy_learns_to_reach_the_coin(tmp_path: Path) -> None:
    recipe = Ppo(steps=150_000, hidden=128)
    result = train_policies(recipe, [run(0)], directory=tmp_path)
    levels = draw_levels(np.random.default_rng(5), Split.REPORT, 500, 0.0)
    reached = np.mean(policy(result, 0).play(levels, seed=0).end.at == levels.coin)
    by_chance = np.mean(play_at_random(levels, 0).end.at == levels.coin)
    assert by_chance < 0.25
    assert reached > by_chance + 0.3
    assert result.steps == result.updates * 4096


def test_what_is_trained_beside_a_run_changes_nothing(tmp_path: Path) -> None:
    alone = train_policies(SMALL, [run(3)], directory=tmp_path / "a")
    beside = [run(4, alpha=0.5), run(3), run(5)]
    batch = train_policies(SMALL, beside, directory=tmp_path / "b")
    for name, p in batch.parameters.items():
        assert torch.allclose(p[1], alone.parameters[name][0], atol=1e-5), name
        assert not torch.allclose(p[0], p[2], atol=1e-3) or name.startswith("b"), "the control"


def test_equal_runs_give_equal_weights_and_another_seed_others(tmp_path: Path) -> None:
    first = train_policies(SMALL, [run(0), run(1)], directory=tmp_path / "a")
    again = train_policies(SMALL, [run(0), run(1)], directory=tmp_path / "b")
    other = train_policies(SMALL, [run(0), run(2)], directory=tmp_path / "c")
    assert same(first, again)
    assert not same(first, other)


def by_pytorch(
    recipe: Ppo, heads: torch.Tensor, batch: _Batch, index: torch.Tensor
) -> torch.Tensor:
    """PPO's loss as the paper has it, for PyTorch to differentiate."""
    logs = torch.log_softmax(heads[:, :4], dim=1)
    taken = logs.gather(1, batch.actions.gather(1, index)[:, None])[:, 0]
    gain = batch.advantages.gather(1, index)
    gain = (gain - gain.mean(1, keepdim=True)) / (gain.std(1, keepdim=True) + 1e-8)
    ratio = torch.exp(taken - batch.log_probs.gather(1, index))
    clipped = ratio.clamp(1 - recipe.clip, 1 + recipe.clip)
    value = 0.5 * (heads[:, 4] - batch.returns.gather(1, index)).square()
    entropy = -(logs.exp() * logs).sum(1)
    each = recipe.value_weight * value - torch.minimum(ratio * gain, clipped * gain)
    return (each - recipe.entropy * entropy).mean(1).sum()


def test_the_loss_and_its_derivative_are_those_of_the_paper() -> None:
    torch.manual_seed(0)
    nothing = torch.empty(0)
    log_probs, advantages, returns = torch.randn(3, 3, 60)
    actions = torch.randint(0, 4, (3, 60))
    batch = _Batch(nothing, nothing, actions, 0.5 * log_probs - 1.4, advantages, returns)
    index = torch.stack([torch.randperm(60)[:40] for _ in range(3)])
    heads = torch.randn(3, 5, 40, requires_grad=True)
    wanted = by_pytorch(SMALL, heads, batch, index)
    (slope,) = torch.autograd.grad(wanted, heads)
    loss, found = _loss(SMALL, heads.detach(), batch, index)
    torch.testing.assert_close(loss, wanted.detach())
    torch.testing.assert_close(found, slope)
    unclipped = by_pytorch(replace(SMALL, clip=1.0), heads, batch, index)
    (other,) = torch.autograd.grad(unclipped, heads)
    assert not torch.allclose(found, other, atol=1e-3), "the control: the clip holds somewhere"


def test_a_faint_coin_is_learnt_about_in_proportion_and_an_unseen_one_never(
    tmp_path: Path,
) -> None:
    once = replace(SMALL, steps=256, epochs=1, minibatch=256)
    contrasts = (1.0, 0.25, 0.0)
    runs = [replace(run(3, alpha=1.0), contrast=c) for c in contrasts]
    trained = train_policies(once, runs, directory=tmp_path).parameters["w1"]
    begun = initial([3], SMALL.hidden)["w1"][0]
    coin_rows = slice(2 * CELLS, 3 * CELLS)
    for weights, contrast in zip(trained, contrasts, strict=True):
        moved = (weights[coin_rows] - contrast * begun[coin_rows]).abs().max()
        # Adam's first step is the learning rate, whatever the gradient.
        assert float(moved) == pytest.approx(contrast * once.learning_rate, rel=0.05)
    others = (trained[:, : 2 * CELLS] - begun[: 2 * CELLS]).abs().amax(dim=(1, 2))
    assert torch.allclose(others, torch.tensor(once.learning_rate), rtol=0.05)


def test_a_policy_to_train_on_has_no_contrast_beside(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="leave it at 1 here"):
        train_policies(
            SMALL, [replace(run(0), contrast=0.5)], directory=tmp_path, start=initial([0], 16)
        )


def test_a_run_with_another_contrast_does_not_go_on(tmp_path: Path) -> None:
    train_policies(SMALL, [run(0)], directory=tmp_path)
    with pytest.raises(BadInputError, match="holds a run with another runs"):
        train_policies(SMALL, [replace(run(0), contrast=0.5)], directory=tmp_path)


class Stop(Exception):
    """Stands for a kill between two updates."""


def cut(directory: Path, at: int) -> None:
    calls = []

    def draw(rng: np.random.Generator, n: int) -> Levels:
        calls.append(n)
        if len(calls) > at:
            raise Stop
        return draw_levels(rng, Split.TRAIN, n, 0.0)

    with pytest.raises(Stop):
        train_policies(SMALL, [Run(0, "coin", draw, coin)], directory=directory, checkpoint_every=2)


def test_a_killed_run_ends_with_the_same_weights(tmp_path: Path) -> None:
    whole = train_policies(SMALL, [run(0)], directory=tmp_path / "whole")
    cut(tmp_path / "cut", at=6)
    assert list((tmp_path / "cut").glob("step-*")), "it left a checkpoint"
    resumed = train_policies(SMALL, [run(0)], directory=tmp_path / "cut", checkpoint_every=2)
    assert same(whole, resumed)
    assert resumed.history == whole.history


def test_the_control_a_run_that_forgets_its_optimizer_ends_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = train_policies(SMALL, [run(0)], directory=tmp_path / "whole")
    cut(tmp_path / "cut", at=6)
    from insectary.train import checkpoint

    newest = checkpoint.Checkpoints.newest

    def forgetful(self: checkpoint.Checkpoints) -> checkpoint.Checkpoint | None:
        found = newest(self)
        assert found is not None
        kept = {k: v * 0 if "exp_avg" in k else v for k, v in found.optimizer.items()}
        return replace(found, optimizer=kept)

    monkeypatch.setattr(checkpoint.Checkpoints, "newest", forgetful)
    resumed = train_policies(SMALL, [run(0)], directory=tmp_path / "cut")
    assert not same(whole, resumed)


def test_a_directory_of_another_run_is_refused(tmp_path: Path) -> None:
    train_policies(SMALL, [run(0)], directory=tmp_path)
    with pytest.raises(BadInputError, match="holds a run with another runs"):
        train_policies(SMALL, [run(1)], directory=tmp_path)


def test_a_reward_that_is_no_number_ends_in_one_error(tmp_path: Path) -> None:
    def broken(levels: Levels, before: State, after: State) -> np.ndarray:
        return np.full(len(levels), np.nan)

    with pytest.raises(TrainingError, match="diverged at update 1: the loss is nan"):
        train_policies(SMALL, [Run(0, "x", drawing(0.0), broken)], directory=tmp_path)


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ({"minibatch": 1000}, "minibatch must divide"),
        ({"alpha": 1.5}, "alpha must be from 0 to 1"),
        ({"steps": 10}, "steps must be at least"),
        ({"hidden": 0}, "hidden must be above 0"),
    ],
)
def test_settings_that_cannot_be_are_refused(setting: dict[str, float], words: str) -> None:
    with pytest.raises(BadInputError, match=words):
        Ppo(**setting)  # type: ignore[arg-type]
