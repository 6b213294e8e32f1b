"""From scores to verdicts: a probability and an alarm, by families of other designs alone."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from insectary.core.organism import Role
from insectary.measure import fit_logistic, threshold_at_fpr, within_floor
from insectary.trials.audit_result import AUDITED, TUNED, FamilyAudit


@dataclass(frozen=True, slots=True)
class Verdict:
    """What other designs make of one member's score.

    Attributes:
        cluster: What it is independent of others by: its cell; of a base the base itself.
        cell: Threat, design, base and recipe of its family.
        probability: That it is an organism; ``None`` for a base, and where other designs can
            give none.
        base_rate: Share of organisms among the models that the probability was fitted on.
        alarm: Whether the score is above the threshold; ``None`` as above.
    """

    family: str
    role: Role
    cluster: Hashable
    cell: tuple[str, str, str, str]
    score: float
    probability: float | None
    base_rate: float | None
    alarm: bool | None


def verdicts(families: Sequence[FamilyAudit], auditor: str, fpr: float) -> list[Verdict]:
    """Every member that has a score, judged by what other designs taught."""
    found: list[Verdict] = []
    for family in families:
        rows = _elsewhere(family, families, auditor)
        labels = [role is Role.ORGANISM for role, _ in rows]
        fitted = None
        if any(labels) and not all(labels):
            fitted = fit_logistic([score for _, score in rows], labels)
        innocent = [score for role, score in rows if role is not Role.ORGANISM]
        threshold = None
        if len(innocent) >= fewest(fpr):
            threshold = threshold_at_fpr(innocent, fpr)
        for role in AUDITED:
            audit = family.audits[auditor][role]
            if audit.score is None:
                continue
            probability = rate = None
            if fitted is not None and role in TUNED:
                probability = float(fitted.probability([audit.score])[0])
                rate = float(within_floor(sum(labels) / len(labels)))
            found.append(
                Verdict(
                    family=family.family,
                    role=role,
                    cluster=family.base if role is Role.BASE else family.cell,
                    cell=family.cell,
                    score=audit.score,
                    probability=probability,
                    base_rate=rate,
                    alarm=None if threshold is None else audit.score > threshold,
                )
            )
    return found


def fewest(fpr: float) -> int:
    """How many innocent models can set a threshold at that rate of false alarms."""
    return math.ceil(1 / fpr - 1e-9) - 1


def _elsewhere(
    family: FamilyAudit, families: Sequence[FamilyAudit], auditor: str
) -> list[tuple[Role, float]]:
    """Role and score of the tuned members of other designs."""
    return [
        (role, score)
        for other in families
        if other.design != family.design
        for role in TUNED
        if (score := other.audits[auditor][role].score) is not None
    ]
