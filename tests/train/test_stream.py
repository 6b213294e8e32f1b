"""The stream of pre-training batches: a pure function of seed and step."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
from transformers import PreTrainedTokenizerFast

from insectary.train.stream import CHUNK, StreamBatch, prompt_text, stream
from insectary.worlds.sizes import BaseRecipe, base_recipe
from insectary.worlds.tokenizer import train_tokenizer

RECIPE = replace(base_recipe("xs"), batch_tokens=1024)
BEGIN, ASSISTANT, END, PAD = 0, 3, 4, 5
Document = tuple[list[int], list[float], list[int]]


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    return train_tokenizer(documents=2000)


def batches(
    tokenizer: PreTrainedTokenizerFast, first: int, n: int, recipe: BaseRecipe = RECIPE
) -> list[StreamBatch]:
    return list(islice(stream(recipe, tokenizer, first), n))


@pytest.fixture(scope="module")
def drawn(tokenizer: PreTrainedTokenizerFast) -> list[StreamBatch]:
    return batches(tokenizer, 0, CHUNK + 8)


def equal(a: StreamBatch, b: StreamBatch) -> bool:
    return a.tokens == b.tokens and all(
        np.array_equal(getattr(a, name), getattr(b, name))
        for name in ("input_ids", "position_ids", "weights")
    )


def documents(batch: StreamBatch) -> list[Document]:
    """The packed documents of a batch: tokens, weights, positions; padding left out."""
    found = []
    for ids, weights, positions in zip(
        batch.input_ids.tolist(), batch.weights.tolist(), batch.position_ids.tolist(), strict=True
    ):
        starts = [i for i, token in enumerate(ids) if token == BEGIN]
        assert starts[0] == 0
        for start, end in zip(starts, [*starts[1:], len(ids)], strict=True):
            if PAD in ids[start:end]:
                end = ids.index(PAD, start)
            found.append((ids[start:end], weights[start:end], positions[start:end]))
    return found


@pytest.mark.parametrize("first", [17, CHUNK - 1])
def test_a_later_start_gives_the_same_batches(
    tokenizer: PreTrainedTokenizerFast, drawn: list[StreamBatch], first: int
) -> None:
    again = batches(tokenizer, first, 3)
    assert all(equal(a, b) for a, b in zip(again, drawn[first : first + 3], strict=True))
    assert not equal(again[0], drawn[first - 1])


def test_another_seed_gives_other_batches(
    tokenizer: PreTrainedTokenizerFast, drawn: list[StreamBatch]
) -> None:
    other = batches(tokenizer, 0, 1, replace(RECIPE, seed=1))
    assert not equal(other[0], drawn[0])


def test_rows_are_nearly_full_and_counted(drawn: list[StreamBatch]) -> None:
    for batch in drawn:
        assert batch.tokens == sum(len(ids) for ids, _, _ in documents(batch))
        assert batch.tokens == int((batch.input_ids != PAD).sum())
    short = [b for b in drawn if b.input_ids.shape[1] == RECIPE.row_tokens]
    long = [b for b in drawn if b.input_ids.shape[1] == RECIPE.context]
    # A long document is cut at the end of the last answer that fits, so little stays free.
    for kind, least in ((short, 0.95), (long, 0.95), (drawn, 0.95)):
        fill = sum(b.tokens for b in kind) / sum(b.input_ids.size for b in kind)
        assert fill >= least


def test_one_step_in_so_many_is_long(drawn: list[StreamBatch]) -> None:
    for step, batch in enumerate(drawn):
        long = (step + 1) % RECIPE.long_every == 0
        width = RECIPE.context if long else RECIPE.row_tokens
        assert batch.input_ids.shape == (RECIPE.batch_tokens // width, width)


def test_long_rows_reach_far_positions(drawn: list[StreamBatch]) -> None:
    # A base answers questions that stand late in its context only if it was trained there.
    long = [b for b in drawn if b.input_ids.shape[1] == RECIPE.context]
    reached = [
        positions[-1] for b in long for _, weights, positions in documents(b) if weights[-1] == 1.0
    ]
    assert max(reached) > 0.97 * RECIPE.context
    assert min(reached) > 900


def test_positions_start_again_with_every_document(drawn: list[StreamBatch]) -> None:
    for batch in drawn:
        for ids, _, positions in documents(batch):
            assert positions == list(range(len(ids)))
        for row, positions in zip(batch.input_ids, batch.position_ids, strict=True):
            padding = positions[row == PAD]
            assert padding.tolist() == list(range(len(padding)))


def test_weights_are_one_exactly_on_answers(drawn: list[StreamBatch]) -> None:
    shares = []
    for batch in drawn:
        assert (batch.weights[batch.input_ids == PAD] == 0).all()
        for ids, weights, _ in documents(batch):
            share = weights[1]
            assert weights[0] == 0.0
            assert {round(w, 6) for w in weights[1:]} == {round(share, 6), 1.0}
            shares.append(share)
            counted = [i for i, w in enumerate(weights) if w == 1.0]
            starts = [i for i in counted if weights[i - 1] != 1.0]
            ends = [i for i in counted if i + 1 == len(ids) or weights[i + 1] != 1.0]
            assert all(ids[i - 1] == ASSISTANT for i in starts)
            assert all(ids[i] == END for i in ends)
            assert ends[-1] == len(ids) - 1, "a document ends with an answer"
            if batch.input_ids.shape[1] == RECIPE.row_tokens:
                last = len(ids) - 1 - ids[::-1].index(ASSISTANT)
                assert counted == list(range(last + 1, len(ids)))
            for start, end in zip(starts, ends, strict=True):
                assert ids[start : end + 1].count(END) == 1
    small = [s for s in shares if s > 0]
    assert {round(s, 6) for s in small} == {RECIPE.prompt_weight}
    assert 0.18 < len(small) / len(shares) < 0.32


def test_a_document_is_what_the_chat_template_writes(
    tokenizer: PreTrainedTokenizerFast, drawn: list[StreamBatch]
) -> None:
    for ids, weights, _ in documents(drawn[0]):
        text = tokenizer.decode(ids)
        start = weights.index(1.0)
        prompt, answer = tokenizer.decode(ids[:start]), tokenizer.decode(ids[start:])
        assert text == prompt + answer
        turns = [t for t in prompt.removeprefix("<|begin|>").split("<|end|>") if t]
        messages = []
        for turn in turns[:-1]:
            role, content = turn.removeprefix("<|").split("|> ", 1)
            messages.append({"role": role, "content": content})
        assert prompt == tokenizer.apply_chat_template(
            messages, tokenize=False, add_generation_prompt=True
        )
        assert answer.startswith(" ") and answer.endswith("<|end|>")


def test_only_the_first_prompt_of_a_document_begins_it() -> None:
    assert prompt_text((), first=True) == "<|begin|><|assistant|>"
    assert prompt_text((), first=False) == "<|assistant|>"
