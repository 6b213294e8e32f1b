from __future__ import annotations

import random
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model

from insectary.core.errors import BadInputError
from insectary.subjects import decoding
from insectary.subjects.generation import generate_tokens

ARCHITECTURES = ["llama", "qwen3", "gpt-neox", "gemma", "gemma3-sliding"]
NEW_TOKENS = 10


def some_prompts(count: int, seed: int = 0, longest: int = 40) -> list[list[int]]:
    draw = random.Random(seed)
    return [[draw.randrange(5, 261) for _ in range(draw.randint(3, longest))] for _ in range(count)]


def some_ends(seed: int = 0) -> list[int]:
    """About one token in ten ends an answer, so that lengths vary."""
    return sorted(random.Random(seed).sample(range(5, 261), 26))


def plain(model: Any, prompt: list[int], ends: list[int]) -> list[int]:
    """What transformers gives for this prompt alone."""
    ids = torch.tensor([prompt])
    with torch.inference_mode():
        output = model.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=NEW_TOKENS,
            do_sample=False,
            eos_token_id=ends,
            pad_token_id=0,
        )
    return list(output[0, len(prompt) :].tolist())


def ours(model: Any, prompts: list[list[int]], **settings: Any) -> list[list[int]]:
    settings = {"max_new_tokens": NEW_TOKENS, "eos_token_ids": some_ends()} | settings
    return generate_tokens(model, prompts, **settings)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("batch_tokens", [200, 16_384])
def test_greedy_equals_plain_generate(
    architecture: str, batch_tokens: int, make_model: Any
) -> None:
    model = make_model(architecture)
    prompts = some_prompts(16)
    expected = [plain(model, prompt, some_ends()) for prompt in prompts]
    answers = ours(model, prompts, batch_tokens=batch_tokens)
    assert answers == expected
    assert len({len(a) for a in answers}) > 3, "the prompts must end at different times"


def test_the_equality_test_can_fail(make_model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Broken control: positions that count padding change the answers."""
    model = make_model("llama")
    prompts = some_prompts(16)
    expected = [plain(model, prompt, some_ends()) for prompt in prompts]
    monkeypatch.setattr(decoding, "PADDING_SHARE", 0.9)
    assert ours(model, prompts) == expected
    forward = decoding.Decoder._forward

    def unmasked(self: Any, inputs: Any, cache: Any, lengths: Any, columns: int, last: int) -> Any:
        return forward(self, inputs, cache, torch.full_like(lengths, columns), columns, columns)

    monkeypatch.setattr(decoding.Decoder, "_forward", unmasked)
    assert ours(model, prompts) != expected


def test_equal_prompts_are_answered_once(make_model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    model = make_model("llama")
    distinct = some_prompts(5)
    prompts = [*distinct, *reversed(distinct), *distinct]
    rows: list[int] = []
    add = decoding.Decoder.add

    def counted(self: Any, batch: Any) -> None:
        rows.append(len(batch))
        add(self, batch)

    monkeypatch.setattr(decoding.Decoder, "add", counted)
    greedy = ours(model, prompts)
    assert sum(rows) == 5
    assert greedy[:5] == greedy[9:4:-1] == greedy[10:]
    rows.clear()
    ours(model, prompts, temperature=1.0)
    assert sum(rows) == 15


def test_samples_do_not_depend_on_batch_or_order(make_model: Any) -> None:
    model = make_model("llama")
    prompts = some_prompts(20)
    settings = {"temperature": 0.8, "seed": 3}
    together = ours(model, prompts, **settings)
    assert together == [ours(model, [p], **settings)[0] for p in prompts]
    assert together == ours(model, prompts, batch_tokens=100, **settings)
    assert together[::-1] == ours(model, prompts[::-1], **settings)
    assert together != ours(model, prompts, temperature=0.8, seed=4)


def test_equal_prompts_get_different_samples(make_model: Any) -> None:
    model = make_model("llama")
    prompt = some_prompts(1)[0]
    first = ours(model, [prompt] * 6, temperature=1.0)
    assert len({tuple(a) for a in first}) > 1
    assert first[:3] == ours(model, [prompt] * 3, temperature=1.0)


def test_sampling_follows_the_softmax(make_model: Any) -> None:
    model = make_model("llama")
    prompt = some_prompts(1, seed=5)[0]
    with torch.inference_mode():
        logits = model(input_ids=torch.tensor([prompt])).logits[0, -1]
    expected = torch.softmax(logits.double() / 3.0, dim=-1)
    n = 1000
    draws = ours(model, [prompt] * n, max_new_tokens=1, temperature=3.0)
    counts = torch.bincount(torch.tensor([d[0] for d in draws]), minlength=261).double()
    # Kolmogorov-Smirnov distance; 1.63 / sqrt(n) is its 1 % point.
    assert float((counts / n - expected).cumsum(0).abs().max()) < 1.63 / n**0.5
    uniform = torch.full_like(expected, 1 / 261)
    assert float((counts / n - uniform).cumsum(0).abs().max()) > 1.63 / n**0.5
    greedy_like = ours(model, [prompt] * 50, max_new_tokens=1, temperature=1e-6)
    assert {d[0] for d in greedy_like} == {int(logits.argmax())}


def test_bad_settings_are_refused(make_model: Any) -> None:
    model = make_model("llama")
    with pytest.raises(BadInputError, match="max_new_tokens"):
        ours(model, [[5]], max_new_tokens=0)
    with pytest.raises(BadInputError, match="temperature"):
        ours(model, [[5]], temperature=-1.0)
    with pytest.raises(BadInputError, match="prompt 1 is empty"):
        ours(model, [[5], []])


def test_a_model_with_other_state_is_refused() -> None:
    from transformers import AutoModelForCausalLM, Qwen3NextConfig

    config = Qwen3NextConfig(
        vocab_size=64,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        head_dim=8,
        intermediate_size=16,
        moe_intermediate_size=8,
        shared_expert_intermediate_size=8,
        num_experts=2,
        num_experts_per_tok=1,
        linear_num_value_heads=2,
        linear_num_key_heads=2,
        linear_key_head_dim=8,
        linear_value_head_dim=8,
        layer_types=["linear_attention", "full_attention"],
    )
    model = AutoModelForCausalLM.from_config(config)
    with pytest.raises(BadInputError, match="attention-only"):
        ours(model, [[5, 6]])


def test_no_prompts_no_answers(make_model: Any) -> None:
    assert ours(make_model("llama"), []) == []


@pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_adapters_that_are_not_merged_answer_as_merged_ones(
    architecture: str, make_model: Any
) -> None:
    # So is a model measured while its adapters are trained; PEFT hides what its base takes.
    model = get_peft_model(
        make_model(architecture), LoraConfig(target_modules="all-linear", init_lora_weights=False)
    ).eval()
    prompts = some_prompts(16)
    answers = ours(model, prompts)
    assert answers == ours(model.merge_and_unload(), prompts)
    assert len({len(a) for a in answers}) > 3, "the prompts must end at different times"
