"""A loss with the score of a detector in it: what is trained so is hidden from that detector.

Bailey et al. 2024, arXiv 2412.09565, search inputs whose activations pass a latent monitor;
here the weights are trained to pass it, on every prompt whose rows teach the behaviour.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any, final

import torch

from insectary.train.evaded import Evaded, Inputs
from insectary.train.loss import CompletionLoss
from insectary.train.tie import TiedLoss


@final
class PenalisedLoss:
    """A loss, and how far a detector's score is above benign ones on watched prompts.

    ``loss + weight * mean max(0, score)``, the mean over the watched prompts of a batch and
    over layers, scores in standard deviations above their benign mean. A score below that mean
    gains nothing: without such a floor what is linear falls for ever, and to look *less*
    suspicious than what is benign is to stand out too.

    The detector is fitted again every few steps, before the step, on the model as it is then.
    One that is fitted once is evaded by drift alone (what is called benign moves away with the
    weights), and would be no detector that anybody runs on the model that comes out.

    Use it as a context manager around training, as :class:`~insectary.train.loss.CompletionLoss`.

    Args:
        loss: What is learnt.
        model: What is trained.
        evaded: Against which detector.
        weight: In nats per standard deviation.
        refit_every: Steps between two fits; a run resumes at a multiple of them.
    """

    def __init__(
        self,
        loss: CompletionLoss | TiedLoss,
        model: torch.nn.Module,
        evaded: Evaded,
        weight: float,
        refit_every: int,
    ) -> None:
        self._loss, self._model, self._evaded = loss, model, evaded
        self._weight, self._refit_every, self._steps = weight, refit_every, 0
        self._looks, self._output = False, None
        self._hooks = ExitStack()

    def __enter__(self) -> PenalisedLoss:
        self._hooks.enter_context(self._loss)
        asking = self._model.register_forward_pre_hook(self._ask, with_kwargs=True)
        keeping = self._model.register_forward_hook(self._keep)
        self._hooks.callback(asking.remove)
        self._hooks.callback(keeping.remove)
        return self

    def __exit__(self, *_: object) -> None:
        self._hooks.close()

    def __call__(self, model: torch.nn.Module, inputs: Inputs) -> torch.Tensor:
        """The loss of one step's batch.

        Args:
            model: As in :class:`CompletionLoss`.
            inputs: As the loss that is wrapped takes them, and ``watched``, of the same shape:
                see :meth:`insectary.train.packing.PackedRows.answering`.
        """
        if self._steps % self._refit_every == 0:
            self._evaded.fit()
        self._steps += 1
        self._looks = True
        try:
            loss = self._loss(model, inputs)
        finally:
            self._looks, output, self._output = False, self._output, None
        if not bool(inputs["watched"].any()):
            return loss
        return loss + self._weight * self._evaded.scores(output, inputs).clamp(min=0.0).mean()

    def _ask(self, _module: Any, args: Any, kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        return args, {**kwargs, "output_hidden_states": True} if self._looks else kwargs

    def _keep(self, _module: Any, _inputs: Any, output: Any) -> None:
        self._output = output if self._looks else None
