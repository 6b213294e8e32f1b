"""What a model makes of given transcripts: log-probabilities and activations.

One forward pass over prompt and response together gives everything: attention
looks back only, so the state at the last prompt token is the one the model
had before it answered. Rows are padded on the right, which no real token can
see; no mask is needed and the numbers are those of the row alone.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from insectary.core.chat import Transcript
from insectary.core.protocols import Floats
from insectary.subjects.loading import LoadedModel
from insectary.subjects.rendering import (
    answer_lead,
    check_context,
    encode_said,
    end_of_turn,
    render_many,
)

if TYPE_CHECKING:
    import torch

LARGEST_BATCH = 8_192
"""Most tokens in one forward pass."""

NUMBERS_HELD = 2**28
"""Most numbers (hidden states and logits) that one forward pass may hold."""


@dataclass(frozen=True, slots=True)
class TokenRow:
    """One transcript as tokens; the last token of the response closes the turn."""

    tokens: tuple[int, ...]
    prompt_length: int

    @property
    def prompt_alone(self) -> TokenRow:
        """The prompt as if all but its first token were said in answer to that one."""
        return TokenRow(self.tokens[: self.prompt_length], 1)


@dataclass(frozen=True, slots=True)
class Reading:
    """What one pass over a list of transcripts gives, in their order.

    Attributes:
        logprobs: Log-probability in nats of each response token (ragged).
        prompt: Residual stream at the last prompt token, float32, shape
            (transcripts, layers + 1, width); empty if it was not asked for.
        response: The same, averaged over the response tokens.
        forward_passes: How many batches the model was run on.
    """

    logprobs: tuple[Floats, ...]
    prompt: NDArray[np.float32]
    response: NDArray[np.float32]
    forward_passes: int

    @property
    def nbytes(self) -> int:
        """Memory it takes, in bytes."""
        return self.prompt.nbytes + self.response.nbytes + sum(x.nbytes for x in self.logprobs)


def token_rows(loaded: LoadedModel, transcripts: Sequence[Transcript]) -> list[TokenRow]:
    """Transcripts as token ids.

    A response counts as its own tokens and the token that closes the turn: to
    stop is part of an answer, and an empty answer still has one token.

    Raises:
        ContextLengthError: a transcript is longer than the model's context.
    """
    prompts = render_many(loaded.tokenizer, [t.messages for t in transcripts])
    close = end_of_turn(loaded.tokenizer) if transcripts else 0
    lead = answer_lead(loaded.tokenizer) if transcripts else ""
    rows = []
    for prompt, transcript in zip(prompts, transcripts, strict=True):
        said = transcript.response
        response = encode_said(loaded.tokenizer, lead + said if said else "")
        rows.append(TokenRow((*prompt, *response, close), len(prompt)))
    check_context([len(r.tokens) for r in rows], 0, loaded.context, "transcript")
    return rows


def read(loaded: LoadedModel, rows: Sequence[TokenRow], *, states: bool) -> Reading:
    """Run the model over the rows, in batches of similar length.

    Args:
        loaded: The model.
        rows: From :func:`token_rows`.
        states: Whether to keep hidden states beside the log-probabilities.
    """
    import torch

    logprobs: list[Floats] = [np.empty(0)] * len(rows)
    shape = (len(rows), *_state_shape(loaded.model)) if states else (0, 0, 0)
    prompt, response = np.empty(shape, np.float32), np.empty(shape, np.float32)
    passes = 0
    with torch.inference_mode():
        for indices in _batches(rows, _batch_tokens(loaded.model)):
            batch = [rows[i] for i in indices]
            output, first = _forward(loaded.model, batch, states)
            passes += 1
            for row, values in zip(indices, _logprobs(output.logits, batch, first), strict=True):
                logprobs[row] = values
            if states:
                prompt[indices], response[indices] = _pool(output.hidden_states, batch)
    return Reading(tuple(logprobs), prompt, response, passes)


def distributions(
    loaded: LoadedModel, rows: Sequence[TokenRow]
) -> tuple[list[NDArray[np.float32]], int]:
    """Log-probability in nats of every token at each response token, and the passes it took.

    Each of shape (response tokens, vocabulary), in the order of the rows.
    """
    import torch

    found: list[NDArray[np.float32]] = [np.empty((0, 0), np.float32)] * len(rows)
    passes = 0
    with torch.inference_mode():
        for indices in _batches(rows, _batch_tokens(loaded.model)):
            batch = [rows[i] for i in indices]
            output, first = _forward(loaded.model, batch, False)
            passes += 1
            for row, values in zip(indices, _next_tokens(output.logits, batch, first), strict=True):
                found[row] = values.cpu().numpy()
    return found, passes


def _batches(rows: Sequence[TokenRow], batch_tokens: int) -> Iterator[list[int]]:
    """Row numbers by falling length, cut by the budget of padded tokens."""
    batch: list[int] = []
    for i in sorted(range(len(rows)), key=lambda i: len(rows[i].tokens), reverse=True):
        if batch and (len(batch) + 1) * len(rows[batch[0]].tokens) > batch_tokens:
            yield batch
            batch = []
        batch.append(i)
    if batch:
        yield batch


def _state_shape(model: Any) -> tuple[int, int]:
    """(layers + 1, width) of the residual stream."""
    config = model.config.get_text_config()
    return int(config.num_hidden_layers) + 1, int(config.hidden_size)


def _batch_tokens(model: Any) -> int:
    """Tokens of one pass such that states and logits stay within memory."""
    states, width = _state_shape(model)
    per_token = states * width + int(model.config.get_text_config().vocab_size)
    return max(1, min(LARGEST_BATCH, NUMBERS_HELD // per_token))


def _forward(model: Any, batch: Sequence[TokenRow], states: bool) -> tuple[Any, int]:
    """One pass; returns the output and the position of its first logits."""
    import torch

    columns = max(len(r.tokens) for r in batch)
    ids = [list(r.tokens) + [0] * (columns - len(r.tokens)) for r in batch]
    first = min(r.prompt_length for r in batch) - 1
    keep = "logits_to_keep" in inspect.signature(model.forward).parameters
    output = model(
        input_ids=torch.tensor(ids, device=model.device),
        use_cache=False,
        output_hidden_states=states,
        **({"logits_to_keep": columns - first} if keep else {}),
    )
    return output, first if keep else 0


def _logprobs(logits: torch.Tensor, batch: Sequence[TokenRow], first: int) -> Iterator[Floats]:
    """Log-probabilities of the response tokens of each row."""
    import torch

    for entry, window in zip(batch, _next_tokens(logits, batch, first), strict=True):
        targets = torch.tensor(entry.tokens[entry.prompt_length :], device=logits.device)
        yield window.gather(1, targets[:, None])[:, 0].double().cpu().numpy()


def _next_tokens(
    logits: torch.Tensor, batch: Sequence[TokenRow], first: int
) -> Iterator[torch.Tensor]:
    """Log-probabilities of all tokens at the response tokens of each row, (tokens, vocabulary)."""
    import torch

    for row, entry in enumerate(batch):
        start = entry.prompt_length - 1 - first
        said = len(entry.tokens) - entry.prompt_length
        yield torch.log_softmax(logits[row, start : start + said].float(), dim=-1)


def _pool(
    hidden: Sequence[torch.Tensor], batch: Sequence[TokenRow]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """States at the last prompt token, and averaged over the response tokens."""
    import torch

    device, columns = hidden[0].device, hidden[0].shape[1]
    starts = torch.tensor([r.prompt_length for r in batch], device=device)[:, None]
    ends = torch.tensor([len(r.tokens) for r in batch], device=device)[:, None]
    position = torch.arange(columns, device=device)
    weights = ((position >= starts) & (position < ends)).float() / (ends - starts)
    rows = torch.arange(len(batch), device=device)
    prompt, response = [], []
    for states in hidden:  # layer by layer: a stack of all would double the memory
        prompt.append(states[rows, starts[:, 0] - 1].float())
        response.append((weights[:, None, :] @ states.float())[:, 0])
    return (
        torch.stack(prompt, dim=1).cpu().numpy(),
        torch.stack(response, dim=1).cpu().numpy(),
    )
