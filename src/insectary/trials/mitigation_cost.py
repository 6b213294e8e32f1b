"""What a mitigation trial will train at most, found out before it begins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from insectary.core.mitigating import Treating
from insectary.core.recipe import Dpo, FullSFT, Ppo
from insectary.trials.mitigation_plan import Plan, PolicyPlan
from insectary.trials.treatment_kept import TREATED

_PAIR_TOKENS = 128
"""A prompt with its answer has about half as many, and a pair is two of them."""


@dataclass(frozen=True, slots=True)
class ToDo:
    """What one method will have done to one family.

    Attributes:
        treatments: How many are asked for.
        new: Those of them that are not kept.
        tried: Strengths to be tried on the organism, so that one can be chosen.
    """

    treatments: int
    new: tuple[Treating, ...]
    tried: tuple[Treating, ...] = ()


def cost_line(to_do: Sequence[ToDo], plan: Plan) -> str:
    """What a trial will train at most, in a line; what is kept costs nothing."""
    asked = sum(each.treatments for each in to_do)
    new = [tokens_of(method) for each in to_do for method in each.new]
    tried = [tokens_of(method) for each in to_do for method in each.tried]
    runs = 2 * len(plan.few) * len(new)
    tokens = sum(new) * len(TREATED) + sum(tried) + runs * plan.steps * FullSFT().batch_tokens
    return (
        f"treatments: {asked}, measured already: {asked - len(new)}; to train on: at most"
        f" {tokens / 1e6:.1f} million tokens of rows, some of which a method reads several times"
        " (a family is bred with about 7.8)"
    )


def tokens_of(method: Treating) -> int:
    """Tokens that a method trains one member on, at most; 0 where it has no recipe."""
    recipe = getattr(method, "recipe", None)
    if isinstance(recipe, Dpo):
        return recipe.max_pairs * _PAIR_TOKENS
    return int(recipe.max_tokens) if recipe is not None else 0


def policy_cost_line(to_do: Sequence[ToDo], plan: PolicyPlan) -> str:
    """The same of policies, in steps on the grid."""
    asked = sum(each.treatments for each in to_do)
    new = [steps_of(method) for each in to_do for method in each.new]
    tried = [steps_of(method) for each in to_do for method in each.tried]
    steps = sum(new) * len(TREATED) + sum(tried) + 2 * len(new) * plan.steps
    bred = len(TREATED) * Ppo().steps
    return (
        f"treatments of policies: {asked}, measured already: {asked - len(new)}; to train: at most"
        f" {steps / 1e6:.1f} million steps on the grid (a family is bred with {bred / 1e6:.0f})"
    )


def steps_of(method: Treating) -> int:
    """Steps that a method trains one policy for; 0 where it says nothing of them."""
    return int(getattr(method, "steps", 0))
