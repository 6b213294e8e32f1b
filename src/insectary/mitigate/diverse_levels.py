"""Training on, on levels some of which tell the goal from its proxy.

Source: Langosco et al. 2022, "Goal misgeneralization in deep reinforcement learning",
arXiv 2105.14111, where a few per cent of such levels from the start largely prevented it;
here they come afterwards. Drawing levels at random is called domain randomisation.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from insectary.core.errors import BadInputError
from insectary.core.mitigating import PolicyPatient
from insectary.mitigate.policy_tuning import SHARES, STEPS, train_on


@dataclass(frozen=True, slots=True)
class DiverseLevels:
    """Proximal policy optimisation with the intended reward.

    Attributes:
        alpha: Share of levels whose goal may lie anywhere.
        steps: On the grid.
    """

    alpha: float = 0.1
    steps: int = STEPS
    name: str = "diverse_levels"
    knows_trigger: bool = False
    strengths: ClassVar[tuple[float, ...]] = SHARES

    def __post_init__(self) -> None:
        if not 0 <= self.alpha <= 1:
            raise BadInputError(f"{self.name}: alpha is {self.alpha}; it must be from 0 to 1")

    @property
    def strength(self) -> float:
        """Share of levels whose goal may lie anywhere."""
        return self.alpha

    def at(self, strength: float) -> DiverseLevels:
        """The same with another share."""
        return replace(self, alpha=strength)

    def apply_to_policy(self, patient: PolicyPatient) -> None:
        """Train on."""
        train_on(patient, f"{self.name} {self.alpha}", self.steps, patient.levels(self.alpha))
