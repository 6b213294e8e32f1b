"""What a mitigation trial will train at most, found out before it begins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from insectary.core.mitigating import Retraining, Treating
from insectary.core.recipe import Dpo, FullSFT, Grpo, Ppo
from insectary.mitigate.noop import NoOp
from insectary.trials.mitigation_plan import Plan, PolicyPlan
from insectary.trials.treatment_kept import TREATED

_ROW_TOKENS = 64
"""A prompt with its answer has about as many, and a pair is two of them."""


@dataclass(frozen=True, slots=True)
class ToDo:
    """What one method will have done to one family.

    Attributes:
        treatments: How many are asked for.
        new: Those of them that are not kept.
        tried: Strengths to be tried on the organism, so that one can be chosen.
        bred: Tokens that a member of the family was bred with, for a method that breeds it again.
    """

    treatments: int
    new: tuple[Treating, ...]
    tried: tuple[Treating, ...] = ()
    bred: int = 0

    @classmethod
    def choosing(cls, every: tuple[Treating, ...], bred: int = 0) -> ToDo:
        """A method whose strength has yet to be chosen: the costliest may be the one."""
        costliest = max(every, key=lambda each: tokens_of(each, bred))
        return cls(1, (costliest,), every if len(every) > 1 else (), bred)


def grown_back(methods: Sequence[Treating]) -> int:
    """How many of them regrowth may follow: where nothing was done, there is nothing to regrow."""
    return sum(not isinstance(method, NoOp) for method in methods)


def regrowth_tokens(plan: Plan) -> int:
    """Tokens of regrowth after one treatment: organism and twin, at each number of rows."""
    return 2 * len(plan.few) * plan.steps * FullSFT().batch_tokens


def tokens_to_train(to_do: Sequence[ToDo], plan: Plan) -> int:
    """Tokens that are trained on at most: treatments, strengths that are tried, regrowth."""
    new = [tokens_of(method, each.bred) for each in to_do for method in each.new]
    tried = [tokens_of(method, each.bred) for each in to_do for method in each.tried]
    runs = sum(grown_back(each.new) for each in to_do)
    return sum(new) * len(TREATED) + sum(tried) + runs * regrowth_tokens(plan)


def cost_line(to_do: Sequence[ToDo], plan: Plan) -> str:
    """What a trial will train at most, in a line; what is kept costs nothing."""
    asked = sum(each.treatments for each in to_do)
    new = sum(len(each.new) for each in to_do)
    tokens = tokens_to_train(to_do, plan)
    return (
        f"treatments: {asked}, measured already: {asked - new}; to train on: at most"
        f" {tokens / 1e6:.1f} million tokens of rows, some of which a method reads several times"
        " (a family is bred with about 7.8)"
    )


def tokens_of(method: Treating, bred: int = 0) -> int:
    """Tokens that a method trains one member on, at most; 0 where it has no recipe."""
    if isinstance(method, Retraining):
        return bred
    recipe = getattr(method, "recipe", None)
    if isinstance(recipe, Dpo):
        return recipe.max_pairs * 2 * _ROW_TOKENS
    if isinstance(recipe, Grpo):
        return recipe.max_steps * recipe.batch_prompts * recipe.group * _ROW_TOKENS
    return int(recipe.max_tokens) if recipe is not None else 0


def policy_cost_line(to_do: Sequence[ToDo], plan: PolicyPlan) -> str:
    """The same of policies, in steps on the grid."""
    asked = sum(each.treatments for each in to_do)
    new = [steps_of(method) for each in to_do for method in each.new]
    tried = [steps_of(method) for each in to_do for method in each.tried]
    runs = 2 * sum(grown_back(each.new) for each in to_do)
    steps = sum(new) * len(TREATED) + sum(tried) + runs * plan.steps
    bred = len(TREATED) * Ppo().steps
    return (
        f"treatments of policies: {asked}, measured already: {asked - len(new)}; to train: at most"
        f" {steps / 1e6:.1f} million steps on the grid (a family is bred with {bred / 1e6:.0f})"
    )


def steps_of(method: Treating) -> int:
    """Steps that a method trains one policy for; 0 where it says nothing of them."""
    return int(getattr(method, "steps", 0))
