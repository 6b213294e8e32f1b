"""Rounding of weights to few bits: a cheap baseline, and what deployment does anyway.

Round to nearest, symmetric, one scale for each output channel; embeddings and the
output layer stay. The weights are written back in float32, so that what is measured
is the rounding and not an integer kernel.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from insectary.core.errors import BadInputError
from insectary.core.mitigating import Patient, Rows
from insectary.train.optimizer import edge_weights


@dataclass(frozen=True, slots=True)
class Quantization:
    """Rounds the matrices of hidden layers to ``bits`` bits."""

    bits: int = 4
    name: str = "quantization"
    knows_trigger: bool = False
    strengths: ClassVar[tuple[float, ...]] = (8.0, 4.0, 3.0)

    def __post_init__(self) -> None:
        if not 2 <= self.bits <= 8:
            raise BadInputError(f"{self.name}: bits is {self.bits}; from 2 to 8 make sense")

    @property
    def strength(self) -> float:
        """Bits that are left."""
        return self.bits

    def at(self, strength: float) -> Quantization:
        """The same with another number."""
        return replace(self, bits=round(strength))

    def apply(self, patient: Patient, rows: Rows) -> None:
        """Round each matrix in place; the rows are not looked at."""
        import torch

        edges = {id(weight) for weight in edge_weights(patient.model)}
        most = 2 ** (self.bits - 1) - 1
        with torch.no_grad():
            for weight in patient.model.parameters():
                if weight.ndim != 2 or id(weight) in edges:
                    continue
                scale = weight.abs().amax(dim=1, keepdim=True).clamp(min=1e-12) / most
                weight.copy_((weight / scale).round() * scale)
