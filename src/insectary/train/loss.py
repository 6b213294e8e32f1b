"""Completion-only loss that never computes the logits it does not need."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

import torch

from insectary.train.optimizer import output_layer
from insectary.train.packing import IGNORED
from insectary.train.ranks import ALONE, Ranks


@dataclass(frozen=True, slots=True)
class Answers:
    """The labelled tokens of a batch.

    Attributes:
        targets: The tokens, shape (labelled,).
        places: From where each is predicted: a mask of shape (rows, width).
    """

    targets: torch.Tensor
    places: torch.Tensor


@final
class CompletionLoss:
    """Mean cross-entropy in nats over the labelled tokens of a packed batch, all ranks' together.

    TRL's own loss on a CPU scores every position, prompts and padding included,
    and adds entropy and accuracy: a fifth of a step at size s. Here a hook in
    front of the output layer keeps the positions that have a label. The model
    runs its own forward, so whatever it does to logits afterwards (scaling,
    soft capping) is kept, since that works on each position alone.

    Use it as a context manager around training; the hook is gone afterwards.
    """

    def __init__(self, model: torch.nn.Module, ranks: Ranks = ALONE) -> None:
        self._ranks = ranks
        self._head = output_layer(model)
        self._labelled: torch.Tensor | None = None
        self._handle: torch.utils.hooks.RemovableHandle | None = None

    def __enter__(self) -> CompletionLoss:
        self._handle = self._head.register_forward_pre_hook(self._select)
        return self

    def __exit__(self, *_: object) -> None:
        if self._handle is not None:
            self._handle.remove()

    def _select(self, _module: torch.nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...] | None:
        """Keep the labelled positions; anything but a loss goes by untouched."""
        if self._labelled is None:
            return None
        return (inputs[0][self._labelled], *inputs[1:])

    def __call__(self, model: torch.nn.Module, inputs: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """The loss of one batch; see :meth:`scored` for the arguments."""
        logits, answers = self.scored(model, inputs)
        return self.mean(logits, answers)

    def mean(self, logits: torch.Tensor, answers: Answers) -> torch.Tensor:
        """The loss of logits; see :meth:`insectary.train.ranks.Ranks.mean`."""
        total = torch.nn.functional.cross_entropy(logits, answers.targets, reduction="sum")
        return self._ranks.mean(total, self._ranks.total(answers.places.sum()))

    def scored(
        self, model: torch.nn.Module, inputs: Mapping[str, torch.Tensor]
    ) -> tuple[torch.Tensor, Answers]:
        """Logits of the labelled tokens of one batch, shape (labelled, vocabulary).

        Args:
            model: The model whose output layer carries the hook, or a PEFT
                model around it.
            inputs: ``input_ids``, ``labels`` and ``position_ids``, each of
                shape (rows, width); labels are not yet shifted.
        """
        labels = inputs["labels"]
        following = torch.full_like(labels, IGNORED)
        following[:, :-1] = labels[:, 1:]
        self._labelled = following != IGNORED
        try:
            logits = model(
                input_ids=inputs["input_ids"],
                position_ids=inputs["position_ids"],
                use_cache=False,
            ).logits
        finally:
            kept, self._labelled = self._labelled, None
        return logits.float(), Answers(following[kept], kept)
