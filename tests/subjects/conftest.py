"""Tiny random models of several architectures, with a byte-level tokenizer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    AutoModelForCausalLM,
    Gemma3TextConfig,
    GemmaConfig,
    GPTNeoXConfig,
    LlamaConfig,
    PreTrainedTokenizerFast,
    Qwen3Config,
)

from insectary.core.recipe import LoraSFT
from insectary.subjects.adapters import adapter_of, write_adapter
from insectary.subjects.loading import LoadedModel, load_model
from insectary.train.sft import _with_adapters

SPECIAL = ["<pad>", "<bos>", "<eos>", "<|turn|>", "<|end|>"]
TEMPLATE = (
    "{% for m in messages %}<|turn|>{{ m['role'] }}\n{{ m['content'] }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|turn|>assistant\n{% endif %}"
)
NO_SYSTEM_TEMPLATE = (
    "{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}"
    "{% endif %}" + TEMPLATE
)


def byte_tokenizer(template: str | None = TEMPLATE) -> PreTrainedTokenizerFast:
    """One token for each byte, after the special tokens."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: i for i, token in enumerate([*SPECIAL, *alphabet])}
    core = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    core.add_special_tokens(SPECIAL)
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        pad_token="<pad>",
        bos_token="<bos>",
        eos_token="<eos>",
        chat_template=template,
    )


def tiny_config(architecture: str) -> Any:
    common: dict[str, Any] = {
        "vocab_size": 261,
        "hidden_size": 32,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "intermediate_size": 48,
        "max_position_embeddings": 160,
        # Large enough for answers that differ from prompt to prompt.
        "initializer_range": 0.6,
        "pad_token_id": 0,
        "bos_token_id": 1,
        "eos_token_id": 2,
    }
    grouped = {"num_key_value_heads": 2, "head_dim": 8}
    if architecture == "llama":
        return LlamaConfig(**common, num_key_value_heads=2)
    if architecture == "qwen3":
        return Qwen3Config(**common, **grouped)
    if architecture == "gpt-neox":
        return GPTNeoXConfig(**common)
    if architecture == "gemma":
        return GemmaConfig(**common, **grouped)
    return Gemma3TextConfig(
        **common,
        **grouped,
        sliding_window=12,
        layer_types=["sliding_attention", "full_attention", "sliding_attention"],
        tie_word_embeddings=False,  # tied random weights repeat one token for ever
    )


def tiny_model(architecture: str, seed: int = 0) -> Any:
    torch.manual_seed(seed)
    return AutoModelForCausalLM.from_config(tiny_config(architecture)).eval()


def save_tiny(
    folder: Path, architecture: str = "llama", seed: int = 0, template: str | None = TEMPLATE
) -> Path:
    tiny_model(architecture, seed).save_pretrained(folder)
    byte_tokenizer(template).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def llama_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny(tmp_path_factory.mktemp("llama"))


@pytest.fixture(scope="session")
def llama(llama_folder: Path) -> LoadedModel:
    return load_model(llama_folder, device="cpu")


@pytest.fixture(scope="session")
def other_llama(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    return load_model(save_tiny(tmp_path_factory.mktemp("other"), seed=1), device="cpu")


@pytest.fixture(scope="session")
def save() -> Any:
    return save_tiny


@pytest.fixture(scope="session")
def make_model() -> Any:
    return tiny_model


@pytest.fixture(scope="session")
def make_tokenizer() -> Any:
    return byte_tokenizer


@pytest.fixture(scope="session")
def no_system_template() -> str:
    return NO_SYSTEM_TEMPLATE


def make_adapter(base: Path, folder: Path, seed: int) -> Path:
    """Adapters as training leaves them, but with weights that change every answer."""
    trained = _with_adapters(LoraSFT(rank=4), load_model(base, device="cpu").model, seed)
    torch.manual_seed(seed)
    with torch.no_grad():
        for name, weight in trained.named_parameters():
            if "lora_B" in name:
                weight.normal_(std=0.3)
    folder.mkdir()
    write_adapter(adapter_of(trained), folder)
    return folder


ADAPTED = ("first", "second", "third")


@pytest.fixture(scope="module", params=("llama", "qwen3", "gpt-neox", "gemma"))
def folders(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, Path]]:
    """A base, and three adapters for it."""
    place = tmp_path_factory.mktemp(request.param)
    base = save_tiny(place / "base", request.param)
    return base, {
        name: make_adapter(base, place / name, seed) for seed, name in enumerate(ADAPTED, start=1)
    }


@pytest.fixture(scope="session")
def adapt() -> Any:
    return make_adapter
