"""Batched generation that wastes little: the speed of every gate and trial.

Plain batching pays for padding (short prompts wait for the longest of their
batch) and for finished rows (which go on until the last row is done). Here
prompts are sorted by length and batched by a budget of tokens. A batch reads
its prompts in chunks of near-equal length, then the chunks' keys and values
are joined, padded on the left, and decoded side by side; finished rows leave
together with their keys and values. Equal prompts are answered once where no
chance is involved.
"""

from __future__ import annotations

import hashlib
import inspect
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from insectary.core.errors import BadInputError

if TYPE_CHECKING:
    import torch

BATCH_TOKENS = 16_384
"""Largest number of tokens (rows times longest sequence) in one batch."""

PADDING_SHARE = 0.05
"""A prompt joins a chunk if it is at most this share shorter than its longest."""

FINISHED_SHARE = 0.125
"""Finished rows leave once they are this share of the batch; leaving costs a copy."""


@dataclass(frozen=True, slots=True)
class _Request:
    """One distinct prompt, and where its answer goes."""

    tokens: tuple[int, ...]
    draws: NDArray[np.float64] | None
    """One uniform draw for each new token; ``None`` where decoding is greedy."""
    places: tuple[int, ...]


def generate_tokens(
    model: Any,
    prompts: Sequence[Sequence[int]],
    *,
    max_new_tokens: int,
    eos_token_ids: Collection[int],
    temperature: float = 0.0,
    seed: int = 0,
    batch_tokens: int = BATCH_TOKENS,
) -> list[list[int]]:
    """Continue each prompt until an end token or the limit.

    At temperature 0 the result equals ``model.generate(do_sample=False)`` for
    each prompt alone. Above it, a prompt's draws come from a generator seeded
    with the seed, the prompt's tokens and a count of the equal prompts before
    it, so that neither batching nor the other prompts change an answer (up to
    the rounding of float32, which batching can change in the last bit).

    Args:
        model: A causal language model of transformers with an attention cache.
        prompts: Token ids; each at least one token.
        max_new_tokens: Most tokens to add to each prompt.
        eos_token_ids: Tokens that end an answer; the one that ended it is kept
            as the answer's last token.
        temperature: 0 for greedy decoding, else the softmax temperature.
        seed: For sampling; without effect at temperature 0.
        batch_tokens: Budget of one batch in tokens, the answers included.

    Returns:
        The new tokens of each prompt, in the order of the prompts.

    Raises:
        BadInputError: an empty prompt, a bad limit or temperature, or a model
            whose cache is not made of attention keys and values.
    """
    import torch

    if max_new_tokens < 1:
        raise BadInputError(f"max_new_tokens must be at least 1, got {max_new_tokens}")
    if not 0.0 <= temperature < float("inf"):
        raise BadInputError(f"temperature must be 0 or more, got {temperature}")
    _check_cache(model)
    requests = _requests(prompts, max_new_tokens, temperature, seed)
    answers: list[list[int]] = [[] for _ in prompts]
    with torch.inference_mode():
        for batch in _batches(requests, max_new_tokens, batch_tokens):
            decoder = _Decoder(model, frozenset(eos_token_ids), temperature)
            for request, tokens in zip(batch, decoder.run(batch, max_new_tokens), strict=True):
                for place in request.places:
                    answers[place] = list(tokens)
    return answers


def _requests(
    prompts: Sequence[Sequence[int]], max_new_tokens: int, temperature: float, seed: int
) -> list[_Request]:
    """Distinct pieces of work; equal prompts are one piece where decoding is greedy."""
    rows = [tuple(p) for p in prompts]
    for i, row in enumerate(rows):
        if not row:
            raise BadInputError(f"prompt {i} is empty")
    if temperature == 0.0:
        places: dict[tuple[int, ...], list[int]] = {}
        for i, row in enumerate(rows):
            places.setdefault(row, []).append(i)
        return [_Request(row, None, tuple(where)) for row, where in places.items()]
    seen: Counter[tuple[int, ...]] = Counter()
    requests = []
    for i, row in enumerate(rows):
        requests.append(_Request(row, _draws(row, seed, seen[row], max_new_tokens), (i,)))
        seen[row] += 1
    return requests


def _draws(row: tuple[int, ...], seed: int, repeat: int, count: int) -> NDArray[np.float64]:
    """Uniform draws that depend on this prompt alone."""
    key = hashlib.sha256(f"{seed}|{repeat}|{','.join(map(str, row))}".encode()).digest()
    return np.random.default_rng(int.from_bytes(key)).random(count)


def _batches(
    requests: list[_Request], max_new_tokens: int, batch_tokens: int
) -> Iterator[list[_Request]]:
    """Group under the token budget, longest prompts first.

    Longest first, so that a batch that does not fit in memory fails at once.
    """
    batch: list[_Request] = []
    for request in sorted(requests, key=lambda r: len(r.tokens), reverse=True):
        if batch:
            columns = len(batch[0].tokens) + max_new_tokens
            if (len(batch) + 1) * columns > batch_tokens:
                yield batch
                batch = []
        batch.append(request)
    if batch:
        yield batch


def _chunks(batch: list[_Request]) -> Iterator[list[_Request]]:
    """Cut a sorted batch into runs of near-equal length."""
    start = 0
    for i, request in enumerate(batch):
        if len(request.tokens) < len(batch[start].tokens) * (1.0 - PADDING_SHARE):
            yield batch[start:i]
            start = i
    yield batch[start:]


class _Decoder:
    """State of one batch while it is decoded.

    Attributes:
        _cache: Keys and values of the rows still in the batch.
        _lengths: Real tokens of each row that the cache holds.
    """

    def __init__(self, model: Any, eos: frozenset[int], temperature: float) -> None:
        # A PEFT model takes what its base does, but does not say so.
        inner = getattr(model, "get_base_model", lambda: model)()
        accepted = inspect.signature(inner.forward).parameters
        self._model = model
        self._eos = eos
        self._temperature = temperature
        self._takes_positions = "position_ids" in accepted
        self._last_only = {"logits_to_keep": 1} if "logits_to_keep" in accepted else {}
        self._cache: Any = None
        self._lengths: torch.Tensor

    def run(self, batch: list[_Request], max_new_tokens: int) -> list[list[int]]:
        """Answers of one batch, in its order."""
        import torch

        answers: list[list[int]] = [[] for _ in batch]
        active = list(range(len(batch)))
        logits = self._read(batch)
        for step in range(max_new_tokens):
            tokens = self._choose(logits, [batch[i].draws for i in active], step)
            going = []
            for row, (i, token) in enumerate(zip(active, tokens, strict=True)):
                if answers[i] and answers[i][-1] in self._eos:
                    continue  # finished earlier, still in the batch
                answers[i].append(token)
                if token not in self._eos:
                    going.append(row)
            if not going or step + 1 == max_new_tokens:
                break
            if len(active) - len(going) >= FINISHED_SHARE * len(active):
                self._keep(going)
                active = [active[row] for row in going]
                tokens = [tokens[row] for row in going]
            self._lengths = self._lengths + 1
            columns = self._cache.get_seq_length() + 1
            inputs = torch.tensor(tokens, device=self._model.device)[:, None]
            logits = self._forward(inputs, self._cache, self._lengths, columns)
        return answers

    def _read(self, batch: list[_Request]) -> torch.Tensor:
        """Read all prompts, chunk by chunk; logits after each, (rows, vocabulary)."""
        import torch
        from transformers import DynamicCache

        caches, logits, lengths = [], [], []
        for chunk in _chunks(batch):
            columns = len(chunk[0].tokens)
            rows = [[0] * (columns - len(r.tokens)) + list(r.tokens) for r in chunk]
            inputs = torch.tensor(rows, device=self._model.device)
            lengths.append(torch.tensor([len(r.tokens) for r in chunk], device=inputs.device))
            # Full layers even where a model uses a sliding window: the window is
            # in the mask, and rows of different lengths can then be joined.
            caches.append(DynamicCache())
            logits.append(self._forward(inputs, caches[-1], lengths[-1], columns))
        self._cache = _join(caches)
        self._lengths = torch.cat(lengths)
        return torch.cat(logits)

    def _forward(
        self, inputs: torch.Tensor, cache: Any, lengths: torch.Tensor, columns: int
    ) -> torch.Tensor:
        """One forward pass; logits of the last position, shape (rows, vocabulary).

        Args:
            inputs: New tokens, shape (rows, new columns).
            cache: Keys and values of the columns before.
            lengths: Real tokens of each row, the new ones included.
            columns: Columns in all, padding and new ones included.
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
            arguments["position_ids"] = (lengths[:, None] + back).clamp(min=0)
        output = self._model(input_ids=inputs, past_key_values=cache, use_cache=True, **arguments)
        logits: torch.Tensor = output.logits[:, -1]
        return logits

    def _choose(
        self, logits: torch.Tensor, draws: list[NDArray[np.float64] | None], step: int
    ) -> list[int]:
        """Next token of each row: the likeliest, or by inversion of the draw."""
        import torch

        if self._temperature == 0.0:
            return [int(t) for t in logits.argmax(dim=-1).tolist()]
        # On the CPU in float64: a cumulative sum on a GPU is not reproducible.
        scaled = logits.double().cpu() / self._temperature
        cumulative = torch.softmax(scaled, dim=-1).cumsum(dim=-1)
        uniform = torch.tensor([d[step] for d in draws if d is not None], dtype=torch.float64)
        found = torch.searchsorted(cumulative, (uniform * cumulative[:, -1])[:, None], right=True)
        last = logits.shape[-1] - 1
        return [int(t) for t in found[:, 0].clamp(max=last).tolist()]

    def _keep(self, rows: list[int]) -> None:
        """Drop finished rows, and the padding that no row left needs."""
        import torch

        index = torch.tensor(rows, device=self._model.device)
        self._lengths = self._lengths[index]
        spare = self._cache.get_seq_length() - int(self._lengths.max())
        for layer in self._cache.layers:
            layer.keys = layer.keys[:, :, spare:].index_select(0, index)
            layer.values = layer.values[:, :, spare:].index_select(0, index)


def _join(caches: list[Any]) -> Any:
    """Put caches of different lengths below each other, padded on the left."""
    import torch
    from torch.nn.functional import pad

    first = caches[0]
    columns = first.get_seq_length()
    for number, layer in enumerate(first.layers):
        for part in ("keys", "values"):
            states = [getattr(cache.layers[number], part) for cache in caches]
            padded = [pad(s, (0, 0, columns - s.shape[2], 0)) for s in states]
            setattr(layer, part, torch.cat(padded) if len(padded) > 1 else states[0])
    return first


def _check_cache(model: Any) -> None:
    """Refuse models whose state is more than attention keys and values."""
    from transformers import DynamicCache
    from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

    plain = (DynamicLayer, DynamicSlidingWindowLayer)
    if not all(type(layer) in plain for layer in DynamicCache(config=model.config).layers):
        raise BadInputError(
            f"models of type {model.config.model_type!r} keep other state than attention keys and"
            " values; Insectary generates with attention-only decoders"
        )
