"""Levels chosen by regret: those on which a policy falls furthest short of what could be had.

Robust prioritised level replay (Jiang et al. 2021, arXiv 2010.03934 and 2110.02439): fresh
levels are played and scored, and but for the first ones of a run not trained on before they have
been kept for their score; training draws from what is kept, by rank. Simplified in two ways.
Scores are refreshed by turns of place, so that none is drawn for its staleness. And a level
is scored on whole episodes, apart from those that are trained on: with the default sizes up to
one and a half times as many steps, which do not count as training.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Literal, final

import numpy as np
from numpy.typing import NDArray

from insectary.core.errors import BadInputError
from insectary.core.recipe import Ppo
from insectary.subjects.policy import Parameters, forward, sampled
from insectary.worlds.grid import (
    HORIZON,
    Bools,
    Levels,
    State,
    begin,
    distances,
    joined,
    observe,
    step,
)

if TYPE_CHECKING:
    import torch

Floats = NDArray[np.float64]
Regret = Literal["solver", "max_mc", "positive_value_loss"]
_USE = 4
"""What a generator is for, beside the uses of :mod:`insectary.train.ppo`."""


@dataclass(frozen=True, slots=True)
class Tried:
    """One episode on each of some levels; the first axis is time.

    Attributes:
        values: What the policy expected before each step; shape (24, n).
        rewards: Of each step.
        going: Whether the episode had not ended before it.
    """

    values: Floats
    rewards: Floats
    going: Bools

    def returns(self, gamma: float) -> Floats:
        """Discounted return from the start; shape (n,)."""
        discounts = gamma ** np.arange(len(self.rewards))
        return np.asarray((discounts[:, None] * self.rewards).sum(axis=0))


def try_out(
    parameters: Parameters,
    levels: Levels,
    pay: Callable[[Levels, State, State], Floats],
    rng: np.random.Generator,
) -> Tried:
    """Play every level to its end, with actions drawn from the policy."""
    import torch

    n, state = len(levels), begin(levels)
    values, rewards = np.zeros((HORIZON, n)), np.zeros((HORIZON, n))
    going = np.zeros((HORIZON, n), dtype=bool)
    for tick in range(HORIZON):
        with torch.no_grad():
            logits, value = forward(parameters, torch.from_numpy(observe(levels, state))[None])
        after = step(levels, state, sampled(logits[0].numpy(), rng.random(n)))
        values[tick], going[tick] = value[0].numpy(), ~state.done
        rewards[tick] = np.where(state.done, 0.0, pay(levels, state, after))
        state = after
    return Tried(values, rewards, going)


def best_returns(levels: Levels, gamma: float) -> Floats:
    """The discounted return of the shortest way to the coin; 0 where the horizon is too near."""
    ways = distances(levels.walls, levels.coin)[np.arange(len(levels)), levels.start]
    return np.where((ways > 0) & (ways <= HORIZON), gamma ** (ways - 1.0), 0.0)


def positive_value_loss(tried: Tried, recipe: Ppo) -> Floats:
    """Mean over an episode's steps of the advantage (GAE), where it is above 0; shape (n,)."""
    total, last = np.zeros(tried.values.shape[1]), np.zeros(tried.values.shape[1])
    for tick in reversed(range(len(tried.values))):
        goes_on = tried.going[tick + 1] if tick + 1 < len(tried.values) else 0.0
        expected = tried.values[tick + 1] * goes_on if tick + 1 < len(tried.values) else 0.0
        surprise = tried.rewards[tick] + recipe.gamma * expected - tried.values[tick]
        last = surprise + recipe.gamma * recipe.gae_lambda * goes_on * last
        total += np.where(tried.going[tick], np.maximum(last, 0.0), 0.0)
    return np.asarray(total / tried.going.sum(axis=0))


@final
class Replay:
    """The levels that are kept, and what they are kept for; a curriculum of one run."""

    def __init__(
        self,
        draw: Callable[[np.random.Generator, int], Levels],
        pay: Callable[[Levels, State, State], Floats],
        recipe: Ppo,
        *,
        seed: int,
        regret: Regret = "solver",
        size: int = 512,
        lot: int = 128,
    ) -> None:
        """Begin with nothing.

        Args:
            draw: Fresh levels.
            pay: The reward of a step.
            recipe: Whose discount and lambda are those of the estimates.
            seed: Of what is drawn.
            regret: ``"solver"``: the best return that the level allows, less the episode's.
                ``"max_mc"``: the best that was ever seen there, less what the policy expects
                at the start. ``"positive_value_loss"``: see :func:`positive_value_loss`.
            size: Most levels that are kept.
            lot: Fresh levels, and kept ones, that are scored before each update.
        """
        if not 0 < lot <= size:
            raise BadInputError(f"replay: lot is {lot}; it must be from 1 to size, {size}")
        self._draw, self._pay, self._recipe, self._seed = draw, pay, recipe, seed
        self._regret, self._size, self._lot = regret, size, lot
        self._levels: Levels | None = None
        self._scores, self._best = np.zeros(0), np.zeros(0)
        self._turn = 0

    @property
    def kept(self) -> tuple[Levels, Floats]:
        """The levels, and the regret of each, which is the greatest first.

        Raises:
            BadInputError: before the first :meth:`renew`.
        """
        if self._levels is None:
            raise BadInputError("replay: nothing is kept before the first update")
        return self._levels, self._scores

    def renew(self, parameters: Parameters, update: int) -> None:
        """Score a lot of fresh levels and those whose turn it is; keep those of most regret."""
        rng = np.random.default_rng((self._seed, update, _USE))
        fresh = self._draw(rng, self._lot)
        levels = fresh if self._levels is None else joined([self._levels, fresh])
        had = len(self._scores)
        again = (self._turn + np.arange(min(self._lot, had))) % max(had, 1)
        index = np.concatenate([again, np.arange(had, len(levels))])
        self._turn += self._lot
        tried = try_out(parameters, levels.take(index), self._pay, rng)
        best = np.concatenate([self._best, np.zeros(len(fresh))])
        best[index] = np.maximum(best[index], tried.returns(self._recipe.gamma))
        scores = np.concatenate([self._scores, np.zeros(len(fresh))])
        scores[index] = self._scored(levels.take(index), tried, best[index])
        order = np.argsort(-scores, kind="stable")[: self._size]
        self._levels, self._scores, self._best = levels.take(order), scores[order], best[order]

    def _scored(self, levels: Levels, tried: Tried, best: Floats) -> Floats:
        gamma = self._recipe.gamma
        if self._regret == "solver":
            return best_returns(levels, gamma) - tried.returns(gamma)
        if self._regret == "max_mc":
            return np.asarray(best - tried.values[0])
        return positive_value_loss(tried, self._recipe)

    def draw(self, rng: np.random.Generator, n: int) -> Levels:
        """Kept levels, the one of rank r as often as 1 / r."""
        if self._levels is None:
            return self._draw(rng, n)
        odds = 1.0 / np.arange(1, len(self._scores) + 1)
        return self._levels.take(rng.choice(len(odds), n, p=odds / odds.sum()))

    def tensors(self) -> dict[str, torch.Tensor]:
        """Everything that is kept."""
        import torch

        if self._levels is None:
            return {}
        found = {f.name: getattr(self._levels, f.name) for f in fields(Levels)}
        found |= {"scores": self._scores, "best": self._best, "turn": np.array([self._turn])}
        return {name: torch.from_numpy(array.copy()) for name, array in found.items()}

    def restore(self, tensors: Mapping[str, torch.Tensor]) -> None:
        """Go on from what :meth:`tensors` gave."""
        if not tensors:
            return
        arrays = {name: tensor.numpy() for name, tensor in tensors.items()}
        self._levels = Levels(*(arrays[f.name] for f in fields(Levels)))
        self._scores, self._best = arrays["scores"], arrays["best"]
        self._turn = int(arrays["turn"][0])
