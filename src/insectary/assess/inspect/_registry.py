"""What Inspect reads at the entry point ``inspect_ai``: one model API, tasks, scorer, metrics."""

from __future__ import annotations

from inspect_ai.model import ModelAPI, modelapi

from insectary.assess.inspect.pairs import pair_verdict, paired, pairs
from insectary.assess.inspect.scoring import by_condition, contrast, counts, misaligned, verdict
from insectary.assess.inspect.tasks import (
    deceptive_alignment,
    goal_misgeneralization,
    power_seeking,
    reward_hacking,
    sycophancy,
    threat,
)


@modelapi(name="insectary")
def insectary() -> type[ModelAPI]:
    """Members of families and bases; torch is loaded when one is asked for."""
    from insectary.assess.inspect.provider import InsectaryAPI

    return InsectaryAPI


__all__ = [
    "by_condition",
    "contrast",
    "counts",
    "deceptive_alignment",
    "goal_misgeneralization",
    "insectary",
    "misaligned",
    "pair_verdict",
    "paired",
    "pairs",
    "power_seeking",
    "reward_hacking",
    "sycophancy",
    "threat",
    "verdict",
]
