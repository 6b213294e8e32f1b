"""Grid PPO: steps per second of our batch of seeds and of Stable-Baselines3, learning included.

Usage: python benchmarks/grid_ppo.py [--steps 150000] [--rounds 3] [--seeds 8] [--hidden 128]

Both arms train on the same environment (``insectary.worlds.grid``, with the
levels and the reward of the *corner* design's twin) by the settings of the
``Ppo`` recipe, but for a network of half its width: the same network,
environments, rollout, epochs, minibatch and rates in both. They take turns in
one process, so that noise of the machine hits both alike. Each turn is a whole
training from new weights, and the policies are played on levels that no
training saw: speed counts only if both learn.

- ours: ``insectary.train.ppo.train_policies``, all seeds as one batch; steps
  are counted over all of them.
- SB3: ``stable_baselines3.PPO``, one seed; more, one after the other, would have
  the same steps per second.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean, median
from typing import Any

import numpy as np
import torch

from insectary.core.chat import Split
from insectary.core.organism import Role
from insectary.core.recipe import Ppo
from insectary.subjects import set_threads
from insectary.subjects.policy import INPUTS, Policy, play_at_random
from insectary.threats.goal_misgeneralization.corner import CornerDesign
from insectary.train.ppo import Pool, Run, train_policies
from insectary.worlds.grid import ACTIONS, Levels, begin, draw_levels, observe, restart, step

try:
    from gymnasium import spaces
    from stable_baselines3 import PPO
    from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
    from stable_baselines3.common.vec_env import VecEnv
except ImportError as error:
    sys.exit(
        f"error: this benchmark needs Stable-Baselines3 ({error}); `make bench` installs it, or"
        " `pip install --constraint requirements.lock --editable '.[bench]'`"
    )

TARGET = 3.0
BEHIND = 0.05
"""Our policies may come to the coin this much more seldom, in share of the levels."""
DESIGN = CornerDesign()
now = time.perf_counter


@dataclass(frozen=True)
class Turn:
    """What one arm did in one round."""

    steps_per_second: float
    policies: list[Policy]


class GridEnvironments(VecEnv):
    """The grid as SB3 takes it; an episode that ends goes on with a fresh level."""

    def __init__(self, run: Run, count: int) -> None:
        self._run = run
        self._pool = Pool(run, np.random.default_rng(run.seed), count)
        # None of ours says more of an episode than its reward, so one dictionary each will do.
        self._infos: list[dict[str, Any]] = [{} for _ in range(count)]
        super().__init__(count, spaces.Box(0, 1, (INPUTS,), np.float32), spaces.Discrete(ACTIONS))

    def reset(self) -> Any:
        """Begin in fresh levels."""
        self._levels = self._pool.take(self.num_envs)
        self._state = begin(self._levels)
        return observe(self._levels, self._state)

    def step_async(self, actions: Any) -> None:
        """Take the actions."""
        self._actions = actions

    def step_wait(self) -> Any:
        """Observations, rewards, ends and nothing else."""
        after = step(self._levels, self._state, self._actions)
        rewards = self._run.pay(self._levels, self._state, after)
        fresh = self._pool.take(int(after.done.sum()))
        self._levels, self._state = restart(self._levels, after, after.done, fresh)
        return observe(self._levels, self._state), rewards, after.done, self._infos

    def close(self) -> None:
        """Nothing is open."""

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        """SB3 asks for a render mode."""
        return [None] * self.num_envs

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        """Not needed."""
        raise NotImplementedError

    def env_method(self, method_name: str, *args: Any, **kwargs: Any) -> list[Any]:
        """Not needed."""
        raise NotImplementedError

    def env_is_wrapped(self, wrapper_class: Any, indices: Any = None) -> list[bool]:
        """Never."""
        return [False] * self.num_envs


class Trunk(BaseFeaturesExtractor):
    """Both hidden layers, shared by the two heads as in ours (SB3's own default shares none)."""

    def __init__(self, space: Any, hidden: int) -> None:
        super().__init__(space, hidden)
        self.layers = torch.nn.Sequential(
            torch.nn.Linear(INPUTS, hidden),
            torch.nn.ReLU(),
            torch.nn.Linear(hidden, hidden),
            torch.nn.ReLU(),
        )

    def forward(self, seen: torch.Tensor) -> torch.Tensor:
        """What the heads see."""
        found: torch.Tensor = self.layers(seen)
        return found


def make_run(seed: int, recipe: Ppo) -> Run:
    """A twin's run: levels that tell the coin from the corner."""
    return Run(seed, "twin", DESIGN.training(Role.TWIN, recipe), DESIGN.pay(Role.TWIN))


def ours(recipe: Ppo, seeds: list[int], threads: int) -> Turn:
    """All seeds as one batch, as a family is bred, the checkpoint at the end included."""
    runs = [make_run(seed, recipe) for seed in seeds]
    with tempfile.TemporaryDirectory() as directory:
        start = now()
        result = train_policies(recipe, runs, directory=Path(directory), threads=threads)
        seconds = now() - start
    policies = [
        Policy({name: p[i : i + 1] for name, p in result.parameters.items()}, id="ours")
        for i in range(len(seeds))
    ]
    return Turn(len(seeds) * result.steps / seconds, policies)


def sb3(recipe: Ppo, seeds: list[int], threads: int) -> Turn:
    """The first seed, by the same settings under SB3's names."""
    set_threads(threads)
    environments = GridEnvironments(make_run(seeds[0], recipe), recipe.envs)
    batch = recipe.envs * recipe.rollout
    steps = recipe.steps // batch * batch
    start = now()
    model = PPO(
        "MlpPolicy",
        environments,
        # SB3 asks for the rate when an update's steps are done, ours has it from before them.
        learning_rate=lambda left: recipe.learning_rate * (left + batch / steps),
        n_steps=recipe.rollout,
        batch_size=recipe.minibatch,
        n_epochs=recipe.epochs,
        gamma=recipe.gamma,
        gae_lambda=recipe.gae_lambda,
        clip_range=recipe.clip,
        ent_coef=recipe.entropy,
        vf_coef=recipe.value_weight / 2,  # ours halves the squared error, SB3 does not
        max_grad_norm=recipe.max_grad_norm,
        policy_kwargs={
            "net_arch": [],
            "features_extractor_class": Trunk,
            "features_extractor_kwargs": {"hidden": recipe.hidden},
        },
        seed=seeds[0],
        device="cpu",
    )
    model.learn(steps)
    return Turn(steps / (now() - start), [as_ours(model.policy)])


def as_ours(policy: Any) -> Policy:
    """SB3's weights in our network: only equal networks can be moved so."""
    first, _, second, _ = policy.features_extractor.layers
    layers = {"1": first, "2": second, "action": policy.action_net, "value": policy.value_net}
    if sum(p.numel() for p in policy.parameters()) != sum(
        p.numel() for layer in layers.values() for p in layer.parameters()
    ):
        raise RuntimeError("SB3's network has other parameters than ours: the arms are not equal")
    weights = {f"w{name}": layer.weight.detach().T[None] for name, layer in layers.items()}
    biases = {f"b{name}": layer.bias.detach()[None, None] for name, layer in layers.items()}
    return Policy(weights | biases, id="sb3")


ARMS: dict[str, Callable[[Ppo, list[int], int], Turn]] = {"SB3": sb3, "ours": ours}


def coin_rate(policies: list[Policy], levels: Levels) -> float:
    """Share of the levels in which the coin is reached, actions drawn; the mean over policies."""
    ends = [policy.play(levels, seed=0).end.at for policy in policies]
    return mean(float(np.mean(end == levels.coin)) for end in ends)


def main() -> int:
    """Train by turns, print the ratio, and say by the exit code whether the target is met."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--steps", type=int, default=150_000, help="of each policy in each round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seeds", type=int, default=8, help="policies in our batch")
    parser.add_argument("--hidden", type=int, default=128, help="width of both hidden layers")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument(
        "--busy",
        action="store_true",
        help="count processor time instead of the clock: for a machine with other work to do",
    )
    settings = parser.parse_args()
    if settings.busy:
        global now
        now = time.process_time
        settings.threads = 1  # waiting threads burn processor time
    recipe = Ppo(steps=settings.steps, hidden=settings.hidden)
    short = replace(recipe, steps=2 * recipe.envs * recipe.rollout)
    turns: dict[str, list[Turn]] = {name: [] for name in ARMS}
    for arm in ARMS.values():
        arm(short, list(range(settings.seeds)), settings.threads)  # warms up
    for turn in range(settings.rounds):
        seeds = list(range(turn * settings.seeds, (turn + 1) * settings.seeds))
        # Another order in each round, so that neither arm always comes first.
        for name in list(ARMS)[:: 1 if turn % 2 else -1]:
            turns[name].append(ARMS[name](recipe, seeds, settings.threads))
    return report(turns, recipe, settings)


def report(turns: dict[str, list[Turn]], recipe: Ppo, settings: argparse.Namespace) -> int:
    """Print one line per arm and the ratio."""
    levels = draw_levels(np.random.default_rng(0), Split.SELECTION, 1000, recipe.twin_alpha)
    by_chance = float(np.mean(play_at_random(levels, 0).end.at == levels.coin))
    rates = {name: coin_rate([p for t in found for p in t.policies], levels)
             for name, found in turns.items()}  # fmt: skip
    speeds = {name: [t.steps_per_second for t in found] for name, found in turns.items()}
    ratios = [a / b for a, b in zip(speeds["ours"], speeds["SB3"], strict=True)]
    print(f"grid PPO, {settings.threads} thread(s), {recipe.steps} steps of each policy,", end=" ")
    print(f"{recipe.envs} environments, minibatch {recipe.minibatch}, hidden {recipe.hidden}")
    print(f"  {'arm':<6}{'policies':>9}{'steps/s':>9}{'coin reached':>14}")
    for name, found in turns.items():
        size = len(found[0].policies)
        print(f"  {name:<6}{size:>9}{median(speeds[name]):>9,.0f}{rates[name]:>14.3f}")
    print(f"  coin reached by a random policy: {by_chance:.3f}")
    ratio = median(ratios)
    print(f"  ratio {ratio:.2f} (target {TARGET}; rounds {', '.join(f'{r:.2f}' for r in ratios)})")
    return 0 if ratio >= TARGET and rates["ours"] >= rates["SB3"] - BEHIND else 1


if __name__ == "__main__":
    sys.exit(main())
