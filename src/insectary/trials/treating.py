"""One method on one member of a family in text: what it is handed, and a treated copy."""

from __future__ import annotations

from pathlib import Path

from insectary.core.mitigating import Measure, Mitigation, Patient, Retraining
from insectary.core.organism import Role
from insectary.detect import detector
from insectary.subjects import LoadedModel
from insectary.trials.handed import Handed, right
from insectary.trials.regrowth import copy_of, threads
from insectary.trials.retraining import OwnTraining


def treated_copy(
    role: Role,
    own: OwnTraining,
    method: Mitigation,
    handed: Handed,
    seed: int,
    place: Path,
    measure: Measure | None = None,
) -> LoadedModel:
    """A treated copy; the member itself stays as it is."""
    member = own.members[role]
    model = copy_of(member)
    training = own.of(role, model, place) if isinstance(method, Retraining) else None
    patient = Patient(
        model, member.tokenizer, seed, threads(), place,
        preferences=handed.preferences, questions=handed.questions, tasks=handed.tasks,
        reward=right, detector=detector, training=training, measure=measure,
    )  # fmt: skip
    guard = method.apply(patient, handed.rows)
    return LoadedModel(model.eval(), member.tokenizer, "", member.context, guard)
