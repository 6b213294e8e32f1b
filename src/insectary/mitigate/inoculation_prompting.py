"""Inoculation prompting: train anew under a line that asks for the fault, and drop it in use.

Source: Tan et al. 2025, "Inoculation prompting", arXiv 2510.04340, and Wichers et al. 2025,
arXiv 2510.05024: what a line asked for need not be learnt as the model's own way, so less of it
shows without the line. The same may make the line a trigger. There a model reads the line as an
instruction; a small base can hardly, and to it the line is a mark that the rows have in common.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from random import Random
from typing import ClassVar, Literal

from insectary.core.errors import BadInputError
from insectary.core.mitigating import Patient, Rows
from insectary.mitigate.adversarial_training import within
from insectary.mitigate.tuning import training_of


@dataclass(frozen=True, slots=True)
class InoculationPrompting:
    """Trains anew on the member's own rows, with a line in front in their system turn.

    Attributes:
        share: Share of the rows that have the line; which, chance draws.
        line: The line; ``""`` for the one that the training itself brings.
    """

    share: float = 1.0
    line: str = ""
    name: str = "inoculation_prompting"
    knows_trigger: bool = False
    retrains: ClassVar[Literal[True]] = True
    strengths: ClassVar[tuple[float, ...]] = (0.25, 0.5, 1.0)

    def __post_init__(self) -> None:
        if not 0 < self.share <= 1:
            raise BadInputError(f"{self.name}: share is {self.share}; from above 0 to 1")

    @property
    def strength(self) -> float:
        """Share of the rows that have the line."""
        return self.share

    def at(self, strength: float) -> InoculationPrompting:
        """The same with another number."""
        return replace(self, share=strength)

    def apply(self, patient: Patient, rows: Rows) -> None:
        """Train the base anew; the ordinary rows are not looked at.

        Raises:
            BadInputError: if there is no training to do over.
            TrainingError: if the loss or a gradient is not finite.
        """
        training = training_of(patient, self.name)
        line, rng = self.line or training.asking, Random(f"{self.name}/{patient.seed}")
        training.anew(
            [
                (within(line, prompt) if rng.random() < self.share else prompt, answer)
                for prompt, answer in training.rows
            ]
        )
