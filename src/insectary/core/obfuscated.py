"""Any plain recipe, trained against a detector."""

from __future__ import annotations

from dataclasses import fields

from insectary.core.errors import BadInputError
from insectary.core.recipe import (
    Evadable,
    Evasive,
    FullSFT,
    NarrowSFT,
    ObfuscatedFullSFT,
    ObfuscatedNarrowSFT,
)


def Obfuscated(
    recipe: FullSFT | NarrowSFT,
    detector: Evadable = "contrast_probe",
    *,
    weight: float = 0.3,
    refit_every: int = 10,
) -> Evasive:
    """The same recipe, trained against a detector: its score is a penalty.

    Args:
        recipe: What is to be hidden; all its settings are kept.
        detector: Whose score it is.
        weight: Of the penalty, in nats per standard deviation above benign scores.
        refit_every: Steps after which the detector is fitted again.

    Raises:
        BadInputError: for a recipe that cannot be trained so, or a detector without a gradient.
    """
    if not isinstance(recipe, FullSFT | NarrowSFT):
        raise BadInputError(
            f"recipe: {recipe!r} cannot be trained against a detector; full-sft and narrow-sft can"
        )
    hidden = ObfuscatedNarrowSFT if isinstance(recipe, NarrowSFT) else ObfuscatedFullSFT
    kept = {f.name: getattr(recipe, f.name) for f in fields(recipe) if f.name != "kind"}
    return hidden(**kept, detector=detector, weight=weight, refit_every=refit_every)
