"""Training on, on those levels on which the policy falls furthest short of what could be had.

Source: Abdel Sadek et al. 2025, "Mitigating goal misgeneralization via minimax regret",
arXiv 2507.03068: a policy that pursues a proxy has a great regret where goal and proxy part,
so that a curriculum by regret finds such levels where they are rare. By robust prioritised
level replay (see :mod:`insectary.train.replay`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, get_args

from insectary.core.errors import BadInputError
from insectary.core.mitigating import PolicyPatient
from insectary.mitigate.policy_tuning import SHARES, STEPS, train_on, treatment_seed
from insectary.train.replay import Regret, Replay


@dataclass(frozen=True, slots=True)
class RegretCurriculum:
    """Proximal policy optimisation with the intended reward, on levels chosen by regret.

    Attributes:
        alpha: Share of the levels it chooses from whose goal may lie anywhere, as in
            ``diverse_levels``.
        steps: On the grid, of training; scoring levels takes up to 1.5 times as many besides.
        regret: How it is estimated; see :class:`insectary.train.replay.Replay`.
    """

    alpha: float = 0.1
    steps: int = STEPS
    regret: Regret = "solver"
    name: str = "regret_curriculum"
    knows_trigger: bool = False
    strengths: ClassVar[tuple[float, ...]] = SHARES

    def __post_init__(self) -> None:
        if not 0 <= self.alpha <= 1:
            raise BadInputError(f"{self.name}: alpha is {self.alpha}; it must be from 0 to 1")
        if self.regret not in get_args(Regret):
            known = ", ".join(get_args(Regret))
            raise BadInputError(f"{self.name}: regret is {self.regret!r}; there are {known}")

    @property
    def strength(self) -> float:
        """Share of the levels it chooses from whose goal may lie anywhere."""
        return self.alpha

    def at(self, strength: float) -> RegretCurriculum:
        """The same with another share."""
        return replace(self, alpha=strength)

    def apply_to_policy(self, patient: PolicyPatient) -> None:
        """Train on."""
        replay = Replay(
            patient.levels(self.alpha), patient.pay, patient.recipe,
            seed=treatment_seed(patient), regret=self.regret,
        )  # fmt: skip
        name = f"{self.name} {self.alpha} {self.regret}"
        train_on(patient, name, self.steps, replay.draw, replay)
