"""The training on by reward that mitigations of policies consist of."""

from __future__ import annotations

from dataclasses import replace

from insectary.core.mitigating import PolicyPatient
from insectary.train.curriculum import Curriculum
from insectary.train.ppo import Draw, Run, train_policies

STEPS = 1_000_000
"""On the grid: a twelfth of what a policy is bred with."""
SHARES = (0.01, 0.1, 0.5)
"""What the dial is set to: the share of levels whose goal may lie anywhere."""
_SEED = 1000
"""Added to a treatment's seed, so that no level is drawn as breeding drew it."""


def treatment_seed(patient: PolicyPatient) -> int:
    """Of what a treatment draws."""
    return _SEED + patient.seed


def train_on(
    patient: PolicyPatient, name: str, steps: int, draw: Draw, curriculum: Curriculum | None = None
) -> None:
    """Train a policy on with its own recipe; resumes if it was broken off.

    Args:
        patient: Whose parameters are replaced.
        name: Of the treatment, for its checkpoints.
        steps: On the grid.
        draw: Levels to train on.
        curriculum: Whose those are, if they are one's.

    Raises:
        BadInputError: if the steps are fewer than one update takes.
        TrainingError: if the loss is not finite.
    """
    result = train_policies(
        replace(patient.recipe, steps=steps),
        [Run(treatment_seed(patient), name, draw, patient.pay, curriculum)],
        directory=patient.directory,
        start=patient.parameters,
        threads=patient.threads,
    )
    patient.parameters.update(result.parameters)
