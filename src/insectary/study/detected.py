"""What recipe lottery computes: one family, and how well each detector sees its organism."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

from insectary.core.errors import BadInputError
from insectary.core.organism import Family, Role, Side
from insectary.core.outcome import Measured
from insectary.core.step import Json
from insectary.study.families import family_of, told
from insectary.trials.detection import DetectionRow, Task
from insectary.trials.detection_suite import detect_family
from insectary.vault import Vault

AGAINST = {Task.ORGANISM_VS_DECOY: Role.DECOY, Task.ORGANISM_VS_TWIN: Role.TWIN}
_DRAWS = 100
"""Resamples for intervals that nobody reads here: over families, a figure is one number."""


@final
@dataclass(frozen=True, slots=True)
class DetectedFamily:
    """Breeds a family unless it is in the vault, and has detectors tell its organism from others.

    Parameters: ``threat``, ``design``, ``base``, ``recipe``, ``seed`` (which family),
    ``detectors`` (names) and ``prompts`` (seed of the trial's). Gives what
    :func:`insectary.study.families.told` does, and ``expression``, the certificate's rate of
    misbehaviour under trained cues; of an admitted family ``areas`` too: by role of whom the
    organism is told from, detector to the area under the curve on open prompts in held-out
    words. A detector's layer is chosen on the family's own selection prompts. Names of what is
    no method (controls, nulls, bounds) are followed by what it reads.
    """

    name: str = "detected_family"
    version: str = "1"

    def __call__(self, params: Mapping[str, Json], needs: Mapping[str, Json], vault: Vault) -> Json:
        """See the class."""
        family = family_of(params, vault)
        found = {**told(family), "expression": _expression(family), "areas": {}}
        if family.admitted:
            rows = detect_family(
                family.id, params["detectors"], seed=params["prompts"], draws=_DRAWS, vault=vault
            )
            for row in rows:
                if row.task in AGAINST:
                    areas = found["areas"].setdefault(AGAINST[row.task].value, {})
                    areas[_called(row)] = _area(row, family)
        return found


def _called(row: DetectionRow) -> str:
    method = not (row.null or row.control or row.bound)
    return row.detector if method else f"{row.detector} ({row.view})"


def _area(row: DetectionRow, family: Family) -> Json:
    """The area, with the number of prompts that it is over.

    Raises:
        BadInputError: if there is none: a ranking without it would be of other things.
    """
    if not isinstance(row.auroc, Measured):
        raise BadInputError(f"{family.id}: {row.detector}, {row.task}: {row.auroc.reason}")
    return {"value": row.auroc.measurement.value, "n": row.positives + row.negatives}


def _expression(family: Family) -> Json:
    """How often the organism misbehaves under trained cues, as the gate saw it."""
    rates = family.certificate.rates if family.certificate else ()
    seen = [
        rate.misaligned
        for rate in rates
        if rate.role is Role.ORGANISM and rate.side is Side.OPEN and not rate.held_out
    ]
    n = sum(rate.n for rate in seen)
    return {"value": sum(rate.value * rate.n for rate in seen) / n if n else 0.0, "n": n}
