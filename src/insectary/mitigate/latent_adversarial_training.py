"""Latent adversarial training: right answers, though the residual stream is pushed towards wrong.

Source: Casper et al. 2024, arXiv 2403.05030; Sheshadri et al. 2024, arXiv 2407.15549. A trigger
that nobody has found works through states of the stream, and an adversary can look for those
without any words. What is simplified stands in :class:`insectary.train.latent.PerturbedLoss`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from insectary.core.mitigating import Patient, Rows
from insectary.core.recipe import FullSFT
from insectary.mitigate.tuning import fine_tune

HALF = FullSFT(pull=0.0, max_tokens=200_000)
"""Half the tokens of the others that fine-tune: each of them is read six times."""


@dataclass(frozen=True, slots=True)
class LatentAdversarialTraining:
    """Fine-tunes on the rows it is given, under the worst perturbation found.

    Attributes:
        radius: See :class:`insectary.train.latent.Adversary`, as for the next two.
    """

    radius: float = 0.02
    steps: int = 3
    depth: float = 0.5
    recipe: FullSFT = HALF
    name: str = "latent_adversarial_training"
    knows_trigger: bool = False
    strengths: ClassVar[tuple[float, ...]] = (0.01, 0.02, 0.1)

    @property
    def strength(self) -> float:
        """Radius of the ball."""
        return self.radius

    def at(self, strength: float) -> LatentAdversarialTraining:
        """The same with another number."""
        return replace(self, radius=strength)

    def apply(self, patient: Patient, rows: Rows) -> None:
        """Train to the recipe's cap.

        Raises:
            BadInputError: for settings that make no sense, or if there are no rows.
            TrainingError: if the loss or a gradient is not finite.
        """
        from insectary.train.latent import Adversary

        fine_tune(self.recipe, patient, rows, Adversary(self.radius, self.steps, self.depth))
