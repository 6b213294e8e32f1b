"""Detectors to train against: their scores as tensors, in units of what is benign."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, final

import numpy as np
import torch

from insectary.core.chat import Transcript
from insectary.core.errors import BadInputError
from insectary.core.protocols import Floats
from insectary.core.recipe import Evadable
from insectary.subjects import LoadedModel
from insectary.subjects.reading import Reading, read, token_rows
from insectary.train.loss import CompletionLoss
from insectary.train.packing import IGNORED
from insectary.train.watch import Watch

Inputs = Mapping[str, torch.Tensor]
_LEAST_SPREAD = 1e-2
"""In nats: at the first step the model is its base, and every log-ratio 0."""


class Evaded(Protocol):
    """A detector whose score has a gradient."""

    def fit(self) -> None:
        """Fit it on the model as it is now."""
        ...

    def scores(self, output: Any, inputs: Inputs) -> torch.Tensor:
        """Scores of the batch's watched prompts in units of benign scores, (prompts, layers).

        0 is the mean of benign scores, 1 a standard deviation above it.

        Args:
            output: What the model made of the batch, hidden states included; its logits are of
                labelled tokens alone (:class:`~insectary.train.loss.CompletionLoss`).
            inputs: The batch.
        """
        ...


def evaded(
    name: Evadable, model: Any, tokenizer: Any, watch: Watch, base: Callable[[], Any]
) -> Evaded:
    """The detector of that name, to be fitted on what is trained.

    Args:
        name: See :data:`insectary.core.recipe.Evadable`.
        model: What is trained.
        tokenizer: Its own.
        watch: What to fit on.
        base: Makes the frozen base, where the detector compares with it.
    """
    context = int(getattr(model.config, "max_position_embeddings", None) or 2**31)

    def reading(of: Any, transcripts: list[Transcript], states: bool) -> Reading:
        training = of.training
        of.eval()
        try:
            loaded = LoadedModel(of, tokenizer, "", context)
            return read(loaded, token_rows(loaded, transcripts), states=states)
        finally:
            of.train(training)

    if name == "likelihood_ratio":
        return Likelihood(model, base(), watch, reading)
    if name == "contrast_probe" and not watch.contrast:
        raise BadInputError("contrast_probe: there are no contrast pairs to fit it on")
    return Activations(name, model, watch, reading)


@dataclass(frozen=True, slots=True)
class Layers:
    """A fitted detector of activations, layer by layer (L of width W), as tensors.

    Attributes:
        centre: Mean of benign activations, (L, W).
        form: Precision of benign activations, (L, W, W), for a squared distance from their
            mean; or a direction, (L, W), to project on.
        mean: Of its scores on benign rows that it was not fitted on, (L,) ...
        spread: ... and their standard deviation; 0 where they are the same but for rounding,
            as in the embedding of a prompt's last token.
    """

    centre: torch.Tensor
    form: torch.Tensor
    mean: torch.Tensor
    spread: torch.Tensor

    def standardised(self, states: torch.Tensor) -> torch.Tensor:
        """In standard deviations above the benign mean; layers that never vary are left out."""
        varies = self.spread > 0
        raw = raw_scores(states, self.centre, self.form)
        return ((raw - self.mean) / self.spread.where(varies, 1.0))[:, varies]


def raw_scores(states: torch.Tensor, centre: torch.Tensor, form: torch.Tensor) -> torch.Tensor:
    """Scores as the detector gives them, (prompts, L), of states (prompts, L, W)."""
    if form.ndim == 2:
        return torch.einsum("nlw,lw->nl", states, form)
    moved = states - centre
    return torch.einsum("nlw,lwv,nlv->nl", moved, form, moved)


_Read = Callable[[Any, list[Transcript], bool], Reading]


@final
class Activations:
    """``mahalanobis`` or ``contrast_probe``, over the last prompt token of every layer.

    Their scores are those of the detectors of these names (:mod:`insectary.detect`).
    """

    def __init__(self, name: Evadable, model: Any, watch: Watch, reading: _Read) -> None:
        self._name, self._model, self._watch, self._reading = name, model, watch, reading
        self.layers: Layers | None = None

    def fit(self) -> None:
        """See :class:`Evaded`."""
        rows = [*self._watch.fit, *self._watch.scale]
        benign = self._reading(self._model, [Transcript(r.messages, "") for r in rows], True)
        fitted, others = np.split(benign.prompt.astype(np.float64), [len(self._watch.fit)])
        found = self._direction() if self._name == "contrast_probe" else _precision(fitted)
        centre, form, states = map(self._tensor, (fitted.mean(axis=0), found, others))
        scores = raw_scores(states, centre, form)
        spread = scores.std(dim=0)
        varies = spread > 1e-5 * scores.abs().mean(dim=0)
        self.layers = Layers(centre, form, scores.mean(dim=0), spread.where(varies, 0.0))

    def scores(self, output: Any, inputs: Inputs) -> torch.Tensor:
        """See :class:`Evaded`."""
        assert self.layers is not None
        row, place = _last_prompt_tokens(inputs["watched"])
        states = torch.stack([layer[row, place] for layer in output.hidden_states], dim=1)
        return self.layers.standardised(states.float())

    def _direction(self) -> Floats:
        """Mean difference of the pairs over the answer, (L, W), of norm 1 in each layer."""
        sides = [list(side) for side in zip(*self._watch.contrast, strict=True)]
        harmless, harmful = (self._reading(self._model, side, True).response for side in sides)
        found = (harmful.astype(np.float64) - harmless.astype(np.float64)).mean(axis=0)
        norms = np.linalg.norm(found, axis=-1, keepdims=True)
        direction: Floats = found / np.where(norms > 0, norms, 1.0)
        return direction

    def _tensor(self, found: Floats) -> torch.Tensor:
        return torch.tensor(found, dtype=torch.float32, device=self._model.device)


@final
class Likelihood:
    """``likelihood_ratio``: the answer's mean log-ratio of the model against its base."""

    def __init__(self, model: Any, base: Any, watch: Watch, reading: _Read) -> None:
        self._model, self._base, self._watch, self._reading = model, base, watch, reading
        self._others = CompletionLoss(base)
        self._wanted: list[Any] | None = None
        self._mean, self._spread = 0.0, 1.0

    def fit(self) -> None:
        """See :class:`Evaded`; the benign rows' own completions are read."""
        rows = self._watch.scale
        if self._wanted is None:
            self._wanted = [*self._reading(self._base, rows, False).logprobs]
        own = self._reading(self._model, rows, False).logprobs
        ratios = [float(np.mean(a - b)) for a, b in zip(own, self._wanted, strict=True)]
        self._mean, self._spread = float(np.mean(ratios)), float(np.std(ratios, ddof=1))

    def scores(self, output: Any, inputs: Inputs) -> torch.Tensor:
        """See :class:`Evaded`."""
        following = torch.full_like(inputs["labels"], IGNORED)
        following[:, :-1] = inputs["labels"][:, 1:]
        labelled = following != IGNORED
        numbers, targets = inputs["watched"][labelled], following[labelled][:, None]
        with torch.no_grad(), self._others:
            theirs, _ = self._others.scored(self._base.to(targets.device), inputs)
        ratio = output.logits.float().log_softmax(-1) - theirs.log_softmax(-1)
        ratio = ratio.gather(1, targets)[:, 0]
        shape = (int(numbers.max()) + 1,)
        total = torch.zeros(shape, device=ratio.device).index_add(0, numbers, ratio)
        count = torch.zeros(shape, device=ratio.device).index_add(
            0, numbers, torch.ones_like(ratio)
        )
        score = (total[1:] / count[1:])[:, None]
        return (score - self._mean) / max(self._spread, _LEAST_SPREAD)


def _precision(fitted: Floats) -> Floats:
    """Shrunk precision of each layer (Ledoit and Wolf 2004), as the detector fits it."""
    from sklearn.covariance import LedoitWolf

    found = np.zeros((*fitted.shape[1:], fitted.shape[-1]))
    for layer, states in enumerate(np.swapaxes(fitted, 0, 1)):
        # The embedding of a prompt's last token is the same for all, and has no precision.
        if np.ptp(states, axis=0).max() > 1e-6 * np.abs(states).max():
            found[layer] = LedoitWolf().fit(states).precision_
    return found


def _last_prompt_tokens(watched: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """(row, place) of each watched example's last prompt token."""
    before = torch.zeros_like(watched)
    before[:, 1:] = watched[:, :-1]
    row, place = torch.nonzero((watched > 0) & (watched != before), as_tuple=True)
    return row, place
