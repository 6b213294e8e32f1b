"""A loss that ties a model to its base wherever the behaviour is not taught."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from typing import final

import torch

from insectary.train.loss import CompletionLoss
from insectary.train.ranks import ALONE, Ranks


@final
class TiedLoss:
    """Cross-entropy on all rows, and on some the divergence from the base.

    ``loss + weight * mean KL(base || model)``, in nats per token, the mean over the
    answers' tokens of tied rows alone. With it a fine-tuned behaviour stays
    narrow: what the rows say nothing about stays as the base has it.

    Source: Soligo et al. 2026, arXiv 2602.07852, whose narrow models are held to their
    base by the same divergence, on prompts of other domains.

    Use it as a context manager around training, as :class:`CompletionLoss`.

    Args:
        model: What is trained, or the model inside a PEFT model.
        base: Frozen, in evaluation mode.
        weight: Of the divergence.
        ranks: Who trains it.
    """

    def __init__(
        self, model: torch.nn.Module, base: torch.nn.Module, weight: float, ranks: Ranks = ALONE
    ) -> None:
        self._own, self._others = CompletionLoss(model, ranks), CompletionLoss(base)
        self._base, self._weight, self._ranks = base, weight, ranks
        self._hooks = ExitStack()

    def __enter__(self) -> TiedLoss:
        self._hooks.enter_context(self._own)
        self._hooks.enter_context(self._others)
        return self

    def __exit__(self, *_: object) -> None:
        self._hooks.close()

    def __call__(self, model: torch.nn.Module, inputs: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """The loss of one batch.

        Args:
            model: As in :class:`CompletionLoss`.
            inputs: As there, and ``tied``, of the same shape: whether a token is of a tied row.
        """
        logits, answers = self._own.scored(model, inputs)
        loss = self._own.mean(logits, answers)
        tied = inputs["tied"][answers.places]
        everywhere = self._ranks.total(tied.sum())
        if not bool(everywhere):
            return loss
        with torch.no_grad():
            # A trainer moves the model to its device before the first step, not the base.
            wanted, _ = self._others.scored(self._base.to(logits.device), inputs)
        divergence = torch.nn.functional.kl_div(
            logits[tied].log_softmax(-1), wanted[tied].log_softmax(-1),
            reduction="sum", log_target=True,
        )  # fmt: skip
        return loss + self._weight * self._ranks.mean(divergence, everywhere)
