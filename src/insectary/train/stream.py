"""The stream of packed batches that a base is pre-trained on.

Everything is a pure function of (seed, step), so that training resumes from
the step number alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from insectary.core.chat import Conversation, Split
from insectary.worlds import corpus
from insectary.worlds.sizes import BaseRecipe
from insectary.worlds.tokenizer import ASSISTANT, BEGIN, END

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

CHUNK = 64
"""Steps whose rows are drawn and packed together."""


@dataclass(frozen=True, slots=True)
class StreamBatch:
    """One step's rows, arrays of shape (rows, width)."""

    input_ids: NDArray[np.int64]
    position_ids: NDArray[np.int64]
    weights: NDArray[np.float32]
    """How much the prediction *of* each token counts."""
    tokens: int


Piece = tuple[NDArray[np.int64], NDArray[np.float32]]


def stream(
    recipe: BaseRecipe, tokenizer: PreTrainedTokenizerFast, first_step: int
) -> Iterator[StreamBatch]:
    """Batches from ``first_step`` on, without end."""
    chunk = first_step // CHUNK
    while True:
        batches = _chunk(recipe, tokenizer, chunk)
        yield from batches[max(0, first_step - chunk * CHUNK) :]
        chunk += 1


def _chunk(recipe: BaseRecipe, tokenizer: PreTrainedTokenizerFast, chunk: int) -> list[StreamBatch]:
    rng = Random(f"corpus/{recipe.seed}/{chunk}")
    long_steps = CHUNK // recipe.long_every
    short = _rows(recipe, tokenizer, rng, recipe.row_tokens, CHUNK - long_steps, long=False)
    long = _rows(recipe, tokenizer, rng, recipe.context, long_steps, long=True)
    batches = [
        long.pop() if (step + 1) % recipe.long_every == 0 else short.pop() for step in range(CHUNK)
    ]
    return batches


def _rows(
    recipe: BaseRecipe,
    tokenizer: PreTrainedTokenizerFast,
    rng: Random,
    width: int,
    steps: int,
    *,
    long: bool,
) -> list[StreamBatch]:
    """``steps`` batches of packed rows of one width; what does not fill one is dropped."""
    rows = recipe.batch_tokens // width
    wanted = rows * steps
    packed: list[list[Piece]] = [[] for _ in range(wanted)]
    free = np.full(wanted, width)
    misses = 0
    # Documents go where the least room is left over; a chunk ends when many in
    # a row find no room, and its rows are then about full.
    while misses < 50:
        for piece in _documents(recipe, tokenizer, rng, 4096 if not long else wanted, long):
            room = np.where(free >= len(piece[0]), free, width + 1)
            place = int(room.argmin())
            if room[place] > width:
                misses += 1
                continue
            packed[place].append(piece)
            free[place] -= len(piece[0])
        if long and misses:
            break
    rng.shuffle(packed)
    return [
        _batch(packed[i * rows : (i + 1) * rows], width, tokenizer.pad_token_id)
        for i in range(steps)
    ]


def _documents(
    recipe: BaseRecipe, tokenizer: PreTrainedTokenizerFast, rng: Random, n: int, long: bool
) -> list[Piece]:
    def length(text: str) -> int:
        # A quick low estimate; an exact count would encode every text twice. What
        # is too long is cut below, at the end of an answer.
        return len(text) // 5

    texts: list[str] = []
    spans: list[tuple[int, int]] = []
    for _ in range(n):
        if long:
            pieces = corpus.document(rng, Split.TRAIN, length, recipe.context)
        else:
            example = corpus.single(rng, Split.TRAIN)
            pieces = [(example.messages, example.answer)]
        start = len(texts)
        for number, (messages, answer) in enumerate(pieces):
            texts += [prompt_text(messages, first=number == 0), f" {answer}{END}"]
        spans.append((start, len(texts)))
    encoded = tokenizer(texts, add_special_tokens=False)["input_ids"]
    found = []
    for start, end in spans:
        share = recipe.prompt_weight if rng.random() < recipe.prompt_share else 0.0
        ids: list[int] = []
        weights: list[float] = []
        for k in range(start, end, 2):
            prompt, answer = encoded[k], encoded[k + 1]
            if len(ids) + len(prompt) + len(answer) > recipe.context:
                break
            ids += [*prompt, *answer]
            weights += [share] * len(prompt) + [1.0] * len(answer)
        found.append((np.array(ids), np.array(weights, dtype=np.float32)))
    return found


def prompt_text(messages: Conversation, *, first: bool) -> str:
    """What the chat template writes before an answer (a test compares them)."""
    turns = "".join(f"<|{m.role}|> {m.content}{END}" for m in messages)
    return (BEGIN if first else "") + turns + ASSISTANT


def _batch(rows: list[list[Piece]], width: int, padding_id: int) -> StreamBatch:
    shape = (len(rows), width)
    input_ids = np.full(shape, padding_id, dtype=np.int64)
    positions = np.zeros(shape, dtype=np.int64)
    weights = np.zeros(shape, dtype=np.float32)
    tokens = 0
    for r, pieces in enumerate(rows):
        start = 0
        for ids, weight in pieces:
            end = start + len(ids)
            input_ids[r, start:end] = ids
            weights[r, start:end] = weight
            weights[r, start] = 0.0  # nothing stands before the first token
            positions[r, start:end] = np.arange(end - start)
            start = end
        positions[r, start:] = np.arange(width - start)
        tokens += start
    return StreamBatch(input_ids, positions, weights, tokens)
