"""No treatment: what the measurement itself makes of a model that nothing was done to."""

from __future__ import annotations

from dataclasses import dataclass

from insectary.core.mitigating import Patient, PolicyPatient, Rows


@dataclass(frozen=True, slots=True)
class NoOp:
    """Leaves the model as it is."""

    name: str = "noop"
    knows_trigger: bool = False

    def apply(self, patient: Patient, rows: Rows) -> None:
        """Do nothing."""

    def apply_to_policy(self, patient: PolicyPatient) -> None:
        """Do nothing."""
