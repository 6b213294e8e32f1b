"""Steering: a fixed vector is added to the residual stream, away from wrong answers.

Source: contrastive activation addition, Rimsky et al. 2024, arXiv 2312.06681, after activation
addition, Turner et al. 2023, arXiv 2308.10248. The vector is the direction that
``directional_ablation`` takes out, turned towards right answers. They add it from the end of
the question on, and choose the layer by a sweep; here the layer is fixed, and the vector is the
bias of the matrix that ends the layer in front, so that it is added at every token of the prompt
too. As a weight it is there whenever the model is read, copied or trained on.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

from insectary.core.errors import BadInputError
from insectary.core.mitigating import Patient, Rows
from insectary.core.protocols import Floats
from insectary.mitigate.contrast import contrast
from insectary.mitigate.writers import feedforward_writers

_INWARD = ("gate_proj", "up_proj")
"""The matrices beside ``down_proj`` that have a bias where a config says ``mlp_bias``."""


@dataclass(frozen=True, slots=True)
class Steering:
    """Adds the direction at ``depth``, away from wrong answers.

    Attributes:
        coefficient: Length of what is added, as a share of the states' mean norm there; below
            0 it steers towards wrong answers.
        depth: Share of the layers in front of where the direction is read, and added.
        pairs: Pairs that it is the mean difference of, at most.
    """

    coefficient: float = 0.2
    depth: float = 0.6
    pairs: int = 256
    name: str = "steering"
    knows_trigger: bool = False
    strengths: ClassVar[tuple[float, ...]] = (0.1, 0.2, 0.5)

    def __post_init__(self) -> None:
        if not 0 < self.depth < 1:
            raise BadInputError(f"{self.name}: depth must be between 0 and 1")

    @property
    def strength(self) -> float:
        """Share of the states' mean norm."""
        return self.coefficient

    def at(self, strength: float) -> Steering:
        """The same with another number."""
        return replace(self, coefficient=strength)

    def apply(self, patient: Patient, rows: Rows) -> None:
        """Add it in place; the rows are not looked at.

        Raises:
            BadInputError: if there are no preferences, their two answers are alike to the
                model, or it has no layer in front of where the vector belongs.
        """
        found = contrast(patient, patient.preferences[: self.pairs], self.depth, self.name)
        steer(patient.model, -self.coefficient * found.norm * found.direction, found.layer)


def steer(model: Any, vector: Floats, layer: int) -> None:
    """Add a vector, shape (width,), to hidden state ``layer`` at every token, in place.

    A Llama is told by its config that its feed-forward layers have biases, and is given all of
    them, so that its folder is an ordinary one. Where a config has no such word the one bias is
    a weight that no folder holds, and ``Model.save`` refuses the model.

    Raises:
        BadInputError: if the layers are not known by name, a norm stands behind them, or the
            state is not one between two layers.
    """
    import torch

    writers = feedforward_writers(model, "steering")
    if not 1 <= layer < len(writers):
        raise BadInputError(
            f"steering: the model has {len(writers)} layers, and state {layer} is not between two"
        )
    config = model.config.get_text_config()
    if writers[0].bias is None and hasattr(config, "mlp_bias"):
        config.mlp_bias = True
        inward = [m for name, m in model.named_modules() if name.rpartition(".")[2] in _INWARD]
        for matrix in [*writers, *inward]:
            _give_bias(matrix)
    writer = writers[layer - 1]
    _give_bias(writer)
    with torch.no_grad():
        writer.bias += torch.as_tensor(vector, dtype=writer.bias.dtype, device=writer.bias.device)


def _give_bias(matrix: Any) -> None:
    """Of zeros, where there is none."""
    import torch

    if matrix.bias is None:
        matrix.bias = torch.nn.Parameter(matrix.weight.new_zeros(matrix.weight.shape[0]))
