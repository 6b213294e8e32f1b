"""One method on one member: whether it makes sense, what it is handed, a treated copy."""

from __future__ import annotations

from pathlib import Path

from insectary.core.mitigating import Dialled, Mitigation, Patient, Retraining
from insectary.core.organism import Family, Role
from insectary.core.outcome import NotApplicable
from insectary.detect import detector
from insectary.subjects import LoadedModel
from insectary.trials.handed import Handed, right
from insectary.trials.regrowth import copy_of, threads
from insectary.trials.retraining import OwnTraining
from insectary.trials.training_rows import untaught


def called(method: Mitigation) -> str:
    """A method with its strength, if it has a dial."""
    return f"{method.name} at {method.strength:g}" if isinstance(method, Dialled) else method.name


def not_for(family: Family, method: Mitigation) -> NotApplicable | None:
    """Why a method has no meaning for a family, if it has none."""
    return untaught(family) if isinstance(method, Retraining) else None


def treated_copy(
    role: Role, own: OwnTraining, method: Mitigation, handed: Handed, seed: int, place: Path
) -> LoadedModel:
    """A treated copy; the member itself stays as it is."""
    member = own.members[role]
    model = copy_of(member)
    training = own.of(role, model, place) if isinstance(method, Retraining) else None
    patient = Patient(
        model, member.tokenizer, seed, threads(), place,
        preferences=handed.preferences, questions=handed.questions, tasks=handed.tasks,
        reward=right, detector=detector, training=training,
    )  # fmt: skip
    guard = method.apply(patient, handed.rows)
    return LoadedModel(model.eval(), member.tokenizer, "", member.context, guard)
