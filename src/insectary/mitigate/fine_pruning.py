"""Fine-pruning: cut feed-forward units that sleep on clean data, then fine-tune on it.

Source: Liu, Dolan-Gavitt and Garg 2018, "Fine-pruning", arXiv 1805.12185: a backdoor
sits in units that ordinary inputs leave dormant. A unit is dormant by its mean absolute
activation on the clean rows; a unit that is cut has no weights left, and no gradient.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from insectary.core.chat import Conversation
from insectary.core.errors import BadInputError
from insectary.core.mitigating import Patient, Rows
from insectary.core.recipe import FullSFT
from insectary.mitigate.tuning import USUAL, fine_tune
from insectary.subjects import render_many

_READ = 256
"""Rows whose prompts are read to see which units sleep."""
_OUT = ("down_proj", "dense_4h_to_h")
"""What the layer behind the units is called: Llama, Qwen3, Gemma; GPT-NeoX."""
_IN = ("gate_proj", "up_proj", "dense_h_to_4h")


@dataclass(frozen=True, slots=True)
class FinePruning:
    """Cuts ``share`` of the feed-forward units of every layer, then fine-tunes."""

    share: float = 0.3
    recipe: FullSFT = USUAL
    name: str = "fine_pruning"
    knows_trigger: bool = False
    strengths: ClassVar[tuple[float, ...]] = (0.1, 0.3, 0.5)

    def __post_init__(self) -> None:
        if not 0 < self.share < 1:
            raise BadInputError(f"{self.name}: share is {self.share}; it must be between 0 and 1")

    @property
    def strength(self) -> float:
        """Share of the units that is cut."""
        return self.share

    def at(self, strength: float) -> FinePruning:
        """The same with another number."""
        return replace(self, share=strength)

    def apply(self, patient: Patient, rows: Rows) -> None:
        """Cut, then train to the recipe's cap.

        Raises:
            BadInputError: if no feed-forward layer is found by its names.
        """
        prune(patient, [prompt for prompt, _ in rows[:_READ]], self.share)
        fine_tune(self.recipe, patient, rows)


def prune(patient: Patient, prompts: list[Conversation], share: float) -> None:
    """Set the weights of the least active units to zero, in every layer."""
    import torch

    layers = [m for m in patient.model.modules() if any(hasattr(m, name) for name in _OUT)]
    if not layers:
        raise BadInputError(
            f"fine_pruning: no feed-forward layer with {' or '.join(_OUT)} in this model"
        )
    with _activity(layers) as sums, torch.inference_mode():
        for tokens in render_many(patient.tokenizer, prompts):
            patient.model(torch.tensor([tokens], device=patient.model.device))
    with torch.no_grad():
        for layer, activity in zip(layers, sums, strict=True):
            cut = activity.argsort()[: round(share * len(activity))]
            _outward(layer).weight[:, cut] = 0.0
            for name in _IN:
                if (inward := getattr(layer, name, None)) is not None:
                    inward.weight[cut] = 0.0
                    if inward.bias is not None:
                        inward.bias[cut] = 0.0


@contextmanager
def _activity(layers: list[Any]) -> Iterator[list[Any]]:
    """Sums of absolute activations of every unit, filled while the model reads."""
    import torch

    sums = [torch.zeros(_outward(layer).weight.shape[1]) for layer in layers]

    def counted(index: int) -> Any:
        def hook(_module: Any, inputs: tuple[Any, ...]) -> None:
            sums[index] += inputs[0].abs().float().sum(dim=(0, 1)).cpu()

        return hook

    hooks = [
        _outward(layer).register_forward_pre_hook(counted(i)) for i, layer in enumerate(layers)
    ]
    try:
        yield sums
    finally:
        for hook in hooks:
            hook.remove()


def _outward(layer: Any) -> Any:
    return next(getattr(layer, name) for name in _OUT if hasattr(layer, name))
