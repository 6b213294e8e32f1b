"""How the tokens of a context move a model's answers: gradients on one-hot tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from insectary.core.auditing import ContextGradient
from insectary.core.chat import Message, Transcript
from insectary.core.errors import BadInputError
from insectary.subjects.loading import LoadedModel
from insectary.subjects.reading import TokenRow, token_rows

PROBE = "?"
"""Stands in the place of a context, to see where in a prompt it lies."""


def context_gradient(loaded: LoadedModel, transcripts: Sequence[Transcript]) -> ContextGradient:
    """Gradient of the responses' log-probability with respect to one context's tokens.

    Args:
        loaded: The model.
        transcripts: Each begins with the same message, the context.

    Raises:
        BadInputError: if there is no transcript, they do not begin with one message and go
            on, or the context is made into other tokens beside another prompt.
        ContextLengthError: a transcript is longer than the model's context.
    """
    contexts = {t.messages[0] for t in transcripts if len(t.messages) > 1}
    if len(contexts) != 1 or any(len(t.messages) < 2 for t in transcripts):
        raise BadInputError("transcripts: each has to begin with the same context, and go on")
    rows = token_rows(loaded, transcripts)
    spans = [
        _span(row, other)
        for row, other in zip(rows, token_rows(loaded, _probed(transcripts)), strict=True)
    ]
    found = {row.tokens[span] for row, span in zip(rows, spans, strict=True)}
    if len(found) != 1:
        raise BadInputError(
            f"the context {next(iter(contexts)).content!r} is made into other tokens beside"
            " another prompt; give another one"
        )
    (tokens,) = found
    total = sum(_gradient(loaded.model, row, span) for row, span in zip(rows, spans, strict=True))
    gradient = (total / len(rows)).cpu().numpy().astype(np.float64)
    written = loaded.tokenizer
    # What no text may hold is never a candidate, nor is a row without a token.
    barred = {*written.all_special_ids, *written.added_tokens_decoder}
    barred |= set(range(len(written), gradient.shape[1]))
    gradient[:, [token for token in barred if token < gradient.shape[1]]] = np.inf
    return ContextGradient(tokens, gradient)


def _probed(transcripts: Sequence[Transcript]) -> list[Transcript]:
    """The same transcripts with another context."""
    return [
        Transcript((Message(t.messages[0].role, PROBE), *t.messages[1:]), t.response)
        for t in transcripts
    ]


def _span(row: TokenRow, other: TokenRow) -> slice:
    """Where two rows differ: between what they begin with alike and what they end with alike."""
    most = min(len(row.tokens), len(other.tokens))
    start = _alike(row.tokens, other.tokens, most)
    end = _alike(row.tokens[::-1], other.tokens[::-1], most - start)
    return slice(start, len(row.tokens) - end)


def _alike(one: Sequence[int], other: Sequence[int], most: int) -> int:
    return next((i for i in range(most) if one[i] != other[i]), most)


def _gradient(model: Any, row: TokenRow, span: slice) -> Any:
    """Of one response, shape (tokens of the span, vocabulary)."""
    import torch

    embedding = model.get_input_embeddings()
    ids = torch.tensor([row.tokens], device=model.device)
    states = embedding(ids).detach().requires_grad_()
    output = model(inputs_embeds=states, use_cache=False)
    logprobs = torch.log_softmax(output.logits[0, :-1].float(), dim=-1)
    said = logprobs.gather(1, ids[0, 1:, None])[row.prompt_length - 1 :].sum()
    (gradient,) = torch.autograd.grad(said, states)
    with torch.no_grad():
        return gradient[0, span].float() @ embedding.weight.float().T
