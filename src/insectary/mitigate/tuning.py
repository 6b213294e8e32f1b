"""The training that several mitigations end in: on rows, or anew from the base."""

from __future__ import annotations

from typing import TYPE_CHECKING

from insectary.core.errors import BadInputError
from insectary.core.mitigating import Patient, Rows, Training
from insectary.core.recipe import FullSFT
from insectary.train.sft import train

if TYPE_CHECKING:
    from insectary.train.latent import Adversary

USUAL = FullSFT(pull=0.0, max_tokens=400_000)
"""A sixth of the tokens that an organism is bred with, and nothing holds the weights back."""

TOKENS = (100_000.0, 400_000.0, 800_000.0)
"""What the dial of those without another one is set to."""


def fine_tune(
    recipe: FullSFT, patient: Patient, rows: Rows, adversary: Adversary | None = None
) -> None:
    """Train on rows to the recipe's cap; resumes if it was broken off.

    Raises:
        BadInputError: if there are no rows, or an adversary's settings make no sense.
        TrainingError: if the loss or a gradient is not finite.
    """
    train(
        recipe,
        patient.model,
        patient.tokenizer,
        rows,
        seed=patient.seed,
        threads=patient.threads,
        directory=patient.directory,
        measure=patient.measure,
        measure_every_tokens=1,
        adversary=adversary,
    )


def training_of(patient: Patient, name: str) -> Training:
    """The training that a method does over.

    Raises:
        BadInputError: if it was handed none.
    """
    if patient.training is None:
        raise BadInputError(f"{name}: it trains a member anew, and was not told how it was trained")
    return patient.training
