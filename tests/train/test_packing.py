from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from transformers import (
    Gemma2Config,
    Gemma2ForCausalLM,
    GemmaConfig,
    GemmaForCausalLM,
    GPTNeoXConfig,
    GPTNeoXForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from insectary.core.errors import BadInputError
from insectary.train.loss import CompletionLoss
from insectary.train.packing import IGNORED, PackedRows
from insectary.train.tokenise import Tokenised

SIZES = {
    "vocab_size": 200,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "max_position_embeddings": 128,
    # Large, so that what a token attends to shows in the loss.
    "initializer_range": 0.1,
}
ARCHITECTURES: dict[str, Callable[[], PreTrainedModel]] = {
    "llama": lambda: LlamaForCausalLM(LlamaConfig(**SIZES)),
    "qwen3": lambda: Qwen3ForCausalLM(
        Qwen3Config(**SIZES, head_dim=16, num_key_value_heads=1, tie_word_embeddings=True)
    ),
    "gpt-neox": lambda: GPTNeoXForCausalLM(GPTNeoXConfig(**SIZES)),
    "gemma": lambda: GemmaForCausalLM(GemmaConfig(**SIZES, head_dim=16, num_key_value_heads=1)),
    # Soft-capped logits, and attention to a window of 8 in every other layer.
    "gemma2": lambda: Gemma2ForCausalLM(
        Gemma2Config(**SIZES, head_dim=16, num_key_value_heads=1, sliding_window=8)
    ),
}


def examples(count: int, seed: int = 0, low: int = 4, high: int = 24) -> list[Tokenised]:
    draw = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        ids = draw.integers(2, 200, size=int(draw.integers(low, high + 1))).tolist()
        split = max(1, round(0.7 * len(ids)))
        found.append(Tokenised(tuple(ids[:split]), tuple(ids[split:])))
    return found


def packed(rows: PackedRows, step: int = 0) -> dict[str, torch.Tensor]:
    batch = rows.batch(step)
    return {
        "input_ids": torch.from_numpy(batch.input_ids),
        "labels": torch.from_numpy(batch.labels),
        "position_ids": torch.from_numpy(batch.position_ids),
    }


def gradients(model: PreTrainedModel) -> dict[str, torch.Tensor]:
    found = {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    return found


# Gemma 2 has no other attention than the eager one.
CASES = [(n, a) for n in ARCHITECTURES for a in ("sdpa", "eager") if (n, a) != ("gemma2", "sdpa")]


@pytest.mark.parametrize(("name", "attention"), CASES)
def test_packed_batch_equals_its_examples_one_by_one(name: str, attention: str) -> None:
    torch.manual_seed(0)
    model = ARCHITECTURES[name]()
    model.set_attn_implementation(attention)
    pool = examples(40)
    rows = PackedRows(pool, row_tokens=48, batch_tokens=48 * 3, seed=1, padding_id=0)
    batch = packed(rows)
    assert any(len(members) > 1 for members in rows.members(0))

    with CompletionLoss(model) as loss:
        together = loss(model, batch)
        together.backward()
    found = gradients(model)

    total, count = torch.zeros(()), 0
    for index in (i for members in rows.members(0) for i in members):
        example = pool[index]
        ids = torch.tensor([[*example.prompt, *example.completion]])
        labels = ids.clone()
        labels[:, : len(example.prompt)] = IGNORED
        # The model's own loss, on the example alone, without any of our code.
        alone = model(input_ids=ids, labels=labels).loss * len(example.completion)
        alone.backward()
        total, count = total + alone.detach(), count + len(example.completion)
    expected = {n: g / count for n, g in gradients(model).items()}

    torch.testing.assert_close(together.detach(), total / count, atol=1e-5, rtol=1e-5)
    assert found.keys() == expected.keys()
    for key, gradient in expected.items():
        torch.testing.assert_close(found[key], gradient, atol=1e-5, rtol=1e-4)

    # Broken control: without restarting positions the examples see each other.
    batch["position_ids"] = torch.arange(rows.width).expand_as(batch["input_ids"])
    with CompletionLoss(model) as loss:
        mixed = float(loss(model, batch).detach())
    assert abs(mixed - float(together.detach())) > 1e-3


def test_hook_is_gone_after_training() -> None:
    model = ARCHITECTURES["llama"]()
    ids = torch.arange(6)[None]
    with CompletionLoss(model):
        assert model(input_ids=ids).logits.shape == (1, 6, 200)
    assert not model.get_output_embeddings()._forward_pre_hooks


def test_rows_are_full_random_and_reproducible() -> None:
    pool = examples(500, low=20, high=120)

    def make(seed: int) -> PackedRows:
        return PackedRows(pool, row_tokens=256, batch_tokens=4096, seed=seed, padding_id=0)

    rows, again = make(5), make(5)
    assert rows.fill(40) >= 0.95
    # A pure function of (seed, step): a late step needs no earlier one.
    np.testing.assert_array_equal(again.batch(30).input_ids, rows.batch(30).input_ids)
    assert not np.array_equal(make(6).batch(0).input_ids, rows.batch(0).input_ids)
    # Every example is met about equally often.
    seen = np.zeros(len(pool))
    for step in range(60):
        for members in rows.members(step):
            seen[list(members)] += 1
    assert seen.max() - seen.min() <= 3


def spread_within_rows(rows: list[tuple[int, ...]], pool: list[Tokenised]) -> float:
    """Spread of lengths within rows over their spread at large."""
    inside = [np.std([len(pool[i]) for i in row]) for row in rows if len(row) > 1]
    return float(np.mean(inside) / np.std([len(example) for example in pool]))


def test_batches_are_not_grouped_by_length() -> None:
    pool = examples(800, low=20, high=120)
    rows = PackedRows(pool, row_tokens=256, batch_tokens=4096, seed=0, padding_id=0)
    members = [row for step in range(20) for row in rows.members(step)]
    means = [np.mean([len(pool[i]) for row in rows.members(s) for i in row]) for s in range(12)]
    assert np.std(means) < 0.1 * np.mean(means)
    assert spread_within_rows(members, pool) > 0.7
    # Broken control: rows made from examples sorted by length fail the same test.
    order = np.argsort([len(example) for example in pool])
    grouped = [tuple(order[i : i + 4]) for i in range(0, len(pool), 4)]
    assert spread_within_rows(grouped, pool) < 0.1


def test_padding_is_apart_and_has_no_loss() -> None:
    pool = [Tokenised((5, 6, 7), (8, 1))]
    rows = PackedRows(pool, row_tokens=8, batch_tokens=8, seed=0, padding_id=0)
    batch = rows.batch(0)
    assert batch.input_ids.tolist() == [[5, 6, 7, 8, 1, 0, 0, 0]]
    assert batch.labels.tolist() == [[-100, -100, -100, 8, 1, -100, -100, -100]]
    assert batch.position_ids.tolist() == [[0, 1, 2, 3, 4, 0, 1, 2]]
    assert rows.tokens(0) == 5


def test_a_long_example_widens_the_rows() -> None:
    pool = [*examples(5), Tokenised(tuple(range(60)), (1,))]
    rows = PackedRows(pool, row_tokens=16, batch_tokens=128, seed=0, padding_id=0)
    assert (rows.width, rows.rows_per_batch) == (61, 2)


def test_no_examples_is_an_error() -> None:
    with pytest.raises(BadInputError, match="at least one row"):
        PackedRows([], row_tokens=16, batch_tokens=64, seed=0, padding_id=0)
    with pytest.raises(BadInputError, match="is empty"):
        Tokenised((), (1,))
