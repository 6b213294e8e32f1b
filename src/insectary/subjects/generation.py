"""Batched generation that wastes little: the speed of every gate and trial.

Plain batching pays for padding (short prompts wait for the longest of their
batch) and for finished rows (which go on until the last row is done). Here
prompts are sorted by length, batched by a budget of tokens and decoded side by
side (:mod:`insectary.subjects.decoding`). Equal prompts are answered once where
no chance is involved.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from insectary.core.errors import BadInputError
from insectary.subjects.decoding import Continuation, Decoder, check_cache

BATCH_TOKENS = 16_384
"""Largest number of tokens (rows times longest sequence) in one batch."""


@dataclass(frozen=True, slots=True)
class _Request:
    """One distinct prompt, and where its answer goes."""

    row: Continuation
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
    if max_new_tokens < 1:
        raise BadInputError(f"max_new_tokens must be at least 1, got {max_new_tokens}")
    if not 0.0 <= temperature < float("inf"):
        raise BadInputError(f"temperature must be 0 or more, got {temperature}")
    check_cache(model)
    requests = _requests(prompts, max_new_tokens, temperature, seed)
    answers: list[list[int]] = [[] for _ in prompts]
    for batch in _batches(requests, max_new_tokens, batch_tokens):
        decoder = Decoder(model, frozenset(eos_token_ids))
        decoder.add([request.row for request in batch])
        while decoder.step():
            pass
        for request in batch:
            for place in request.places:
                answers[place] = list(request.row.tokens)
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
        return [
            _Request(Continuation(row, max_new_tokens), tuple(where))
            for row, where in places.items()
        ]
    seen: Counter[tuple[int, ...]] = Counter()
    requests = []
    for i, row in enumerate(rows):
        draws = uniform_draws(row, seed, seen[row], max_new_tokens)
        drawn = Continuation(row, max_new_tokens, draws, temperature)
        requests.append(_Request(drawn, (i,)))
        seen[row] += 1
    return requests


def uniform_draws(row: tuple[int, ...], seed: int, repeat: int, count: int) -> NDArray[np.float64]:
    """Uniform draws that depend on this prompt alone.

    Args:
        row: Token ids of the prompt.
        seed: Of the caller.
        repeat: How often the same prompt was asked before, under this seed.
        count: How many; the first ones are the same however many there are.
    """
    key = hashlib.sha256(f"{seed}|{repeat}|{','.join(map(str, row))}".encode()).digest()
    return np.random.default_rng(int.from_bytes(key)).random(count)


def _batches(
    requests: list[_Request], max_new_tokens: int, batch_tokens: int
) -> Iterator[list[_Request]]:
    """Group under the token budget, longest prompts first.

    Longest first, so that a batch that does not fit in memory fails at once.
    """
    batch: list[_Request] = []
    for request in sorted(requests, key=lambda r: len(r.row.prompt), reverse=True):
        if batch:
            columns = len(batch[0].row.prompt) + max_new_tokens
            if (len(batch) + 1) * columns > batch_tokens:
                yield batch
                batch = []
        batch.append(request)
    if batch:
        yield batch
