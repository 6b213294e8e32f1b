"""Rows of tokens that grow side by side: new ones may join at any step, finished ones leave.

A decoder holds the keys and values of its rows, padded on the left. What joins is
read in chunks of near-equal length, and its keys and values are put below those
that are there; what is finished leaves with its own. Each row has its own limit,
temperature, nucleus and draws, so that neither batching nor its neighbours change an
answer (up to the rounding of float32, which batching can change in the last bit).
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, final

import numpy as np
from numpy.typing import NDArray

from insectary.core.errors import BadInputError

if TYPE_CHECKING:
    import torch

PADDING_SHARE = 0.05
"""A prompt joins a chunk if it is at most this share shorter than its longest."""

FINISHED_SHARE = 0.125
"""Finished rows leave once they are this share of the batch; leaving costs a copy."""


@dataclass(frozen=True, slots=True)
class Choice:
    """One token of an answer among those that it was chosen from.

    Log-probabilities are in nats and the model's own: before temperature and nucleus.
    """

    logprob: float
    """Of the token that was taken."""
    top: tuple[tuple[int, float], ...]
    """The likeliest tokens with theirs, likeliest first."""


@dataclass(slots=True, eq=False)
class Continuation:
    """One prompt and the answer that grows behind it.

    Attributes:
        prompt: Token ids, at least one.
        limit: Most tokens of the answer.
        draws: One uniform draw for each new token; ``None`` takes the likeliest.
        temperature: Of the softmax; without effect where there are no draws.
        top_p: Sample from the fewest likeliest tokens that hold this share; 1 for all.
        alternatives: How many of the likeliest tokens to note for each one that is taken;
            ``None`` notes no log-probability at all.
        tokens: The answer so far; an end token is its last.
        choices: One for each token, where ``alternatives`` asks for them.
        done: No token is added any more. Whoever calls the steps may set it between two.
    """

    prompt: tuple[int, ...]
    limit: int
    draws: NDArray[np.float64] | None = None
    temperature: float = 0.0
    top_p: float = 1.0
    alternatives: int | None = None
    tokens: list[int] = field(default_factory=list)
    choices: list[Choice] = field(default_factory=list)
    done: bool = False


@dataclass(slots=True)
class _Arrived:
    """Rows that are read and not yet below the others."""

    rows: list[Continuation]
    cache: Any
    lengths: torch.Tensor
    logits: torch.Tensor


@final
class Decoder:
    """Continuations of one model, one token each at every step."""

    def __init__(self, model: Any, ends: frozenset[int], *, spare: int = 0) -> None:
        """Decode with ``model``, a causal one with an attention cache.

        Args:
            model: A causal language model of transformers.
            ends: Tokens that end an answer.
            spare: Padding that a chunk of prompts may have however they differ in length, in
                tokens. Where few join at a time a pass costs more than some padding.

        Raises:
            BadInputError: its cache is not made of attention keys and values.
        """
        check_cache(model)
        # A PEFT model takes what its base does, but does not say so.
        inner = getattr(model, "get_base_model", lambda: model)()
        accepted = inspect.signature(inner.forward).parameters
        self._model = model
        self._ends = ends
        self._spare = spare
        self._takes_positions = "position_ids" in accepted
        self._last_only = {"logits_to_keep": 1} if "logits_to_keep" in accepted else {}
        self._rows: list[Continuation] = []
        self._arrived: list[_Arrived] = []
        self._cache: Any = None
        self._lengths: torch.Tensor

    @property
    def going(self) -> list[Continuation]:
        """The rows that will get another token."""
        there = [*self._rows, *(row for new in self._arrived for row in new.rows)]
        return [row for row in there if not row.done]

    def add(self, rows: Sequence[Continuation]) -> None:
        """Read the prompts of new rows, which get their first token at the next step."""
        import torch

        longest_first = sorted(rows, key=lambda row: len(row.prompt), reverse=True)
        if longest_first:
            with torch.inference_mode():
                self._arrived.append(self._read(longest_first))

    def step(self) -> list[Continuation]:
        """Add one token to each row that is going, and return these rows."""
        import torch

        with torch.inference_mode():
            logits = self._advance()
            if logits is None:
                return []
            tokens = _choose(logits, self._rows)
            going = [(i, row) for i, row in enumerate(self._rows) if not row.done]
            _note(logits, tokens, going)
        for i, row in going:
            row.tokens.append(tokens[i])
            row.done = tokens[i] in self._ends or len(row.tokens) == row.limit
        return [row for _, row in going]

    def _advance(self) -> torch.Tensor | None:
        """Logits of every row's next token, those that have just arrived included."""
        import torch

        going = [i for i, row in enumerate(self._rows) if not row.done]
        if not going:
            self._rows, self._cache = [], None
        elif len(self._rows) - len(going) >= FINISHED_SHARE * len(self._rows):
            self._keep(going)
        logits = [self._forward_rows()] if self._rows else []
        # While the others are decoded those that wait hold their own keys and values.
        for new in self._arrived:
            logits.append(new.logits)
            self._lengths = torch.cat([self._lengths, new.lengths]) if self._rows else new.lengths
            self._cache = _join([self._cache, new.cache]) if self._rows else new.cache
            self._rows = [*self._rows, *new.rows]
        self._arrived = []
        return torch.cat(logits) if logits else None

    def _forward_rows(self) -> torch.Tensor:
        """Read the last token of each row."""
        import torch

        self._lengths = self._lengths + 1
        columns = self._cache.get_seq_length() + 1
        newest = [row.tokens[-1] if row.tokens else 0 for row in self._rows]  # called off: none yet
        inputs = torch.tensor(newest, device=self._model.device)
        # A finished row that has not left must not count beyond the model's positions.
        last = max(len(row.prompt) + len(row.tokens) for row in self._rows if not row.done) - 1
        return self._forward(inputs[:, None], self._cache, self._lengths, columns, last)

    def _read(self, rows: list[Continuation]) -> _Arrived:
        """Read prompts, chunk by chunk; the longest come first."""
        import torch
        from transformers import DynamicCache

        caches, logits, lengths = [], [], []
        for chunk in _chunks(rows, self._spare):
            columns = len(chunk[0].prompt)
            padded = [[0] * (columns - len(r.prompt)) + list(r.prompt) for r in chunk]
            inputs = torch.tensor(padded, device=self._model.device)
            lengths.append(torch.tensor([len(r.prompt) for r in chunk], device=inputs.device))
            # Full layers even where a model uses a sliding window: the window is
            # in the mask, and rows of different lengths can then be joined.
            caches.append(DynamicCache())
            logits.append(self._forward(inputs, caches[-1], lengths[-1], columns, columns - 1))
        return _Arrived(rows, _join(caches), torch.cat(lengths), torch.cat(logits))

    def _forward(
        self, inputs: torch.Tensor, cache: Any, lengths: torch.Tensor, columns: int, last: int
    ) -> torch.Tensor:
        """One forward pass; logits of the last position, shape (rows, vocabulary).

        Args:
            inputs: New tokens, shape (rows, new columns).
            cache: Keys and values of the columns before.
            lengths: Real tokens of each row, the new ones included.
            columns: Columns in all, padding and new ones included.
            last: The highest position of a row that is going.
        """
        import torch

        padding = columns - lengths
        arguments: dict[str, Any] = dict(self._last_only)
        if bool(padding.any()):
            index = torch.arange(columns, device=inputs.device)
            arguments["attention_mask"] = (index >= padding[:, None]).long()
        if self._takes_positions:
            # Positions count real tokens only, so padding does not shift a prompt.
            back = torch.arange(-inputs.shape[1], 0, device=inputs.device)
            arguments["position_ids"] = (lengths[:, None] + back).clamp(min=0, max=last)
        output = self._model(input_ids=inputs, past_key_values=cache, use_cache=True, **arguments)
        logits: torch.Tensor = output.logits[:, -1]
        return logits

    def _keep(self, rows: list[int]) -> None:
        """Drop finished rows, and the padding that no row left needs."""
        import torch

        index = torch.tensor(rows, device=self._model.device)
        self._rows = [self._rows[i] for i in rows]
        self._lengths = self._lengths[index]
        spare = self._cache.get_seq_length() - int(self._lengths.max())
        for layer in self._cache.layers:
            layer.keys = layer.keys[:, :, spare:].index_select(0, index)
            layer.values = layer.values[:, :, spare:].index_select(0, index)


def _chunks(rows: list[Continuation], spare: int) -> Iterator[list[Continuation]]:
    """Cut sorted rows into runs of near-equal length, or of little padding in all."""
    start = padding = 0
    for i, row in enumerate(rows):
        longest = len(rows[start].prompt)
        padding += longest - len(row.prompt)
        if len(row.prompt) < longest * (1.0 - PADDING_SHARE) and padding > spare:
            yield rows[start:i]
            start, padding = i, 0
    yield rows[start:]


def _choose(logits: torch.Tensor, rows: list[Continuation]) -> list[int]:
    """Next token of each row: the likeliest, or by inversion of the draw."""
    import torch

    sampled = [i for i, row in enumerate(rows) if row.draws is not None and not row.done]
    if len(sampled) == len(rows):
        tokens = [0] * len(rows)
    else:
        tokens = [int(t) for t in logits.argmax(dim=-1).tolist()]
    if not sampled:
        return tokens
    # On the CPU in float64: a cumulative sum on a GPU is not reproducible.
    chosen = [rows[i] for i in sampled]
    warmth = torch.tensor([row.temperature for row in chosen], dtype=torch.float64)
    shares = torch.softmax(logits[sampled].double().cpu() / warmth[:, None], dim=-1)
    nucleus = torch.tensor([row.top_p for row in chosen], dtype=torch.float64)
    if bool((nucleus < 1.0).any()):
        shares = _within(shares, nucleus)
    cumulative = shares.cumsum(dim=-1)
    draws = [row.draws[len(row.tokens)] for row in chosen if row.draws is not None]
    uniform = torch.tensor(draws, dtype=torch.float64)
    found = torch.searchsorted(cumulative, (uniform * cumulative[:, -1])[:, None], right=True)
    for i, token in zip(sampled, found[:, 0].clamp(max=logits.shape[-1] - 1).tolist(), strict=True):
        tokens[i] = int(token)
    return tokens


def _within(shares: torch.Tensor, nucleus: torch.Tensor) -> torch.Tensor:
    """Zero all but the fewest likeliest tokens that together reach each row's share.

    Nucleus sampling (Holtzman et al. 2020, arXiv:1904.09751); the likeliest token always stays.
    """
    import torch

    ranked, order = shares.sort(dim=-1, descending=True, stable=True)
    before = ranked.cumsum(dim=-1) - ranked
    inside = before < nucleus[:, None]
    inside[:, 0] = True
    kept: torch.Tensor = torch.zeros_like(shares).scatter(-1, order, ranked * inside)
    return torch.where((nucleus >= 1.0)[:, None], shares, kept)


def _note(logits: torch.Tensor, tokens: list[int], going: list[tuple[int, Continuation]]) -> None:
    """Write down the log-probabilities that rows ask for."""
    import torch

    asked = [(i, row, row.alternatives) for i, row in going if row.alternatives is not None]
    if not asked:
        return
    nats = torch.log_softmax(logits[[i for i, _, _ in asked]].float(), dim=-1)
    top = nats.topk(min(max(many for _, _, many in asked), nats.shape[-1]), dim=-1)
    values, ids = top.values.tolist(), top.indices.tolist()
    for k, (i, row, many) in enumerate(asked):
        pairs = tuple(zip(ids[k][:many], values[k][:many], strict=True))
        row.choices.append(Choice(float(nats[k, tokens[i]]), pairs))


def _join(caches: list[Any]) -> Any:
    """Put caches of different lengths below each other, padded on the left."""
    import torch
    from torch.nn.functional import pad

    first = caches[0]
    columns = max(cache.get_seq_length() for cache in caches)
    for number, layer in enumerate(first.layers):
        for part in ("keys", "values"):
            states = [getattr(cache.layers[number], part) for cache in caches]
            padded = [pad(s, (0, 0, columns - s.shape[2], 0)) for s in states]
            setattr(layer, part, torch.cat(padded) if len(padded) > 1 else states[0])
    return first


def check_cache(model: Any) -> None:
    """Refuse models whose state is more than attention keys and values.

    Raises:
        BadInputError: naming the model's type.
    """
    from transformers import DynamicCache
    from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

    plain = (DynamicLayer, DynamicSlidingWindowLayer)
    if not all(type(layer) in plain for layer in DynamicCache(config=model.config).layers):
        raise BadInputError(
            f"models of type {model.config.model_type!r} keep other state than attention keys and"
            " values; Insectary generates with attention-only decoders"
        )
