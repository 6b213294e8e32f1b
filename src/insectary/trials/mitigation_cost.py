"""What a mitigation trial will train at most, found out before it begins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from insectary.core.mitigating import Mitigation, Retraining
from insectary.core.recipe import Dpo, FullSFT
from insectary.trials.mitigation_plan import Plan
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
        bred: Tokens that a member of the family was bred with, for a method that breeds it again.
    """

    treatments: int
    new: tuple[Mitigation, ...]
    tried: tuple[Mitigation, ...] = ()
    bred: int = 0


def cost_line(to_do: Sequence[ToDo], plan: Plan) -> str:
    """What a trial will train at most, in a line; what is kept costs nothing."""
    asked = sum(each.treatments for each in to_do)
    new = [tokens_of(method, each.bred) for each in to_do for method in each.new]
    tried = [tokens_of(method, each.bred) for each in to_do for method in each.tried]
    runs = 2 * len(plan.few) * len(new)
    tokens = sum(new) * len(TREATED) + sum(tried) + runs * plan.steps * FullSFT().batch_tokens
    return (
        f"treatments: {asked}, measured already: {asked - len(new)}; to train on: at most"
        f" {tokens / 1e6:.1f} million tokens of rows, some of which a method reads several times"
        " (a family is bred with about 7.8)"
    )


def tokens_of(method: Mitigation, bred: int = 0) -> int:
    """Tokens that a method trains one member on, at most; 0 where it has no recipe."""
    if isinstance(method, Retraining):
        return bred
    recipe = getattr(method, "recipe", None)
    if isinstance(recipe, Dpo):
        return recipe.max_pairs * _PAIR_TOKENS
    return int(recipe.max_tokens) if recipe is not None else 0
