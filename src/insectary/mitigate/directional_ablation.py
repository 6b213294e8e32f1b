"""Directional ablation: what writes to the residual stream can no longer write one direction.

Source: Arditi et al. 2024, arXiv 2406.11717, whose difference of means is between harmful and
harmless instructions; here it is between wrong and right answers to ordinary questions, as in
the contrast probe, since nobody knows the trigger. They choose layer and token by what they
want removed; here the layer is fixed and activations are means over the answer. Where a model
ties its output layer to its embeddings, the direction is taken out of what is read there too.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from insectary.core.errors import BadInputError
from insectary.core.mitigating import Patient, Rows
from insectary.core.protocols import Floats
from insectary.mitigate.contrast import contrast
from insectary.mitigate.writers import stream_writers

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True)
class DirectionalAblation:
    """Projects the direction at ``depth`` out of the weights.

    Attributes:
        scale: Share of the direction that is taken out; 1 for all of it.
        depth: Share of the layers in front of where the direction is read.
        pairs: Pairs that it is the mean difference of, at most.
    """

    scale: float = 1.0
    depth: float = 0.6
    pairs: int = 256
    name: str = "directional_ablation"
    knows_trigger: bool = False
    strengths: ClassVar[tuple[float, ...]] = (0.25, 0.5, 1.0)

    def __post_init__(self) -> None:
        for name in ("scale", "depth"):
            if not 0 <= getattr(self, name) <= 1:
                raise BadInputError(f"{self.name}: {name} must be from 0 to 1")

    @property
    def strength(self) -> float:
        """Share of the direction that is taken out."""
        return self.scale

    def at(self, strength: float) -> DirectionalAblation:
        """The same with another number."""
        return replace(self, scale=strength)

    def apply(self, patient: Patient, rows: Rows) -> None:
        """Change the weights in place; the rows are not looked at.

        Raises:
            BadInputError: if there are no preferences, their two answers are alike to the
                model, or its layers are not known by name.
        """
        found = contrast(patient, patient.preferences[: self.pairs], self.depth, self.name)
        ablate(patient.model, found.direction, self.scale)


def ablate(model: Any, direction: Floats, scale: float) -> None:
    """Take a unit direction out of embeddings and of every matrix that writes to the stream.

    Raises:
        BadInputError: if none is found by its name, or a norm stands behind them.
    """
    import torch

    writers = stream_writers(model, "directional_ablation")
    with torch.no_grad():
        table = model.get_input_embeddings().weight
        unit = torch.as_tensor(direction, dtype=table.dtype, device=table.device)
        _take_out(table, unit, scale)
        for writer in writers:
            _take_out(writer.weight.T, unit, scale)
            if writer.bias is not None:
                _take_out(writer.bias, unit, scale)


def _take_out(written: torch.Tensor, unit: torch.Tensor, scale: float) -> None:
    """From vectors in the stream, in place; shape (..., width)."""
    written -= scale * (written @ unit)[..., None] * unit
