"""A loss under the worst perturbation of the residual stream that a few gradient steps find."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, final

import torch

from insectary.core.errors import BadInputError
from insectary.train.loss import CompletionLoss


@dataclass(frozen=True, slots=True)
class Adversary:
    """Who perturbs, and how much.

    Attributes:
        radius: Of the L2 ball around the state of each token, as a share of the states' mean norm.
        steps: Gradient steps that look for the worst point in it.
        depth: Share of the layers in front of where the stream is perturbed.
    """

    radius: float = 0.02
    steps: int = 3
    depth: float = 0.5

    def __post_init__(self) -> None:
        if self.radius <= 0 or self.steps < 1 or not 0 < self.depth < 1:
            raise BadInputError(
                "adversary: radius must be above 0, steps at least 1, depth between 0 and 1"
            )


@final
class PerturbedLoss:
    """Mean of the cross-entropy as it is and under perturbation.

    Source: Casper et al. 2024, arXiv 2403.05030, and Sheshadri et al. 2024, arXiv 2407.15549,
    who also train on unperturbed data beside. Untargeted: the perturbation raises the loss of
    the right answer and knows of no wrong one. Each step goes along each token's own gradient,
    2.5 radii over all steps (Madry et al. 2018, arXiv 1706.06083), and back into the ball.

    Use it as a context manager around training, as :class:`CompletionLoss`.

    Raises:
        BadInputError: if the model's layers cannot be found.
    """

    def __init__(self, model: torch.nn.Module, adversary: Adversary) -> None:
        self._loss, self._adversary = CompletionLoss(model), adversary
        layers = _layers(model)
        self._layer = layers[max(0, round(adversary.depth * len(layers)) - 1)]
        self._added: torch.Tensor | None = None
        self._states: torch.Tensor | None = None
        self._hooks = ExitStack()

    def __enter__(self) -> PerturbedLoss:
        self._hooks.enter_context(self._loss)
        handle = self._layer.register_forward_hook(self._perturb)
        self._hooks.callback(handle.remove)
        return self

    def __exit__(self, *_: object) -> None:
        self._hooks.close()

    def __call__(self, model: torch.nn.Module, inputs: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """The loss of one batch; see :meth:`CompletionLoss.scored` for the arguments."""
        added = self.worst(model, inputs)
        return (self._loss(model, inputs) + self.under(added, model, inputs)) / 2

    def worst(self, model: torch.nn.Module, inputs: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """The perturbation found, shape (rows, tokens, width)."""
        with torch.no_grad():
            self._loss(model, inputs)
        assert self._states is not None
        reach = self._adversary.radius * self._states.norm(dim=-1).mean()
        step = 2.5 * reach / self._adversary.steps
        added = torch.zeros_like(self._states)
        for _ in range(self._adversary.steps):
            added.requires_grad_()
            loss = self.under(added, model, inputs)
            (gradient,) = torch.autograd.grad(loss, added)
            along = gradient / gradient.norm(dim=-1, keepdim=True).clamp(min=1e-30)
            added = added.detach() + step * along
            added *= (reach / added.norm(dim=-1, keepdim=True).clamp(min=1e-30)).clamp(max=1.0)
        return added

    def under(
        self, added: torch.Tensor, model: torch.nn.Module, inputs: Mapping[str, torch.Tensor]
    ) -> torch.Tensor:
        """The cross-entropy of one batch under a perturbation."""
        self._added = added
        try:
            return self._loss(model, inputs)
        finally:
            self._added = None

    def _perturb(self, _module: Any, _inputs: Any, output: Any) -> Any:
        states = output[0] if isinstance(output, tuple) else output
        self._states = states.detach()
        if self._added is None:
            return None
        states = states + self._added
        return (states, *output[1:]) if isinstance(output, tuple) else states


def _layers(model: torch.nn.Module) -> torch.nn.ModuleList:
    config: Any = model.config
    count = int(config.get_text_config().num_hidden_layers)
    for module in model.modules():
        if isinstance(module, torch.nn.ModuleList) and len(module) == count:
            return module
    raise BadInputError(f"{type(model).__name__}: its {count} layers cannot be found")
