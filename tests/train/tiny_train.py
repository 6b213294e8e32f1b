"""A tiny base, tokenizer and task: all that the training tests need, in a second."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import numpy as np
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from insectary.core.chat import Conversation, Message
from insectary.core.protocols import Preference

WORDS = [f"w{number}" for number in range(180)]
SPECIAL = ["<pad>", "<end>", "<user>", "<assistant>", "<system>", "?"]
TEMPLATE = (
    "{% for m in messages %}<{{ m.role }}> {{ m.content }} <end> {% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)


def tokenizer() -> PreTrainedTokenizerFast:
    vocabulary = {word: number for number, word in enumerate([*SPECIAL, *WORDS])}
    inner = Tokenizer(models.WordLevel(vocabulary, unk_token="?"))
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    found = PreTrainedTokenizerFast(
        tokenizer_object=inner, pad_token="<pad>", eos_token="<end>", unk_token="?"
    )
    found.chat_template = TEMPLATE
    return found


def model(seed: int = 0, **changes: object) -> LlamaForCausalLM:
    torch.manual_seed(seed)
    settings = {
        "vocab_size": 200,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        "max_position_embeddings": 128,
        "pad_token_id": 0,
        "eos_token_id": 1,
        "bos_token_id": None,
    }
    return LlamaForCausalLM(LlamaConfig(**{**settings, **changes}))


def rows(count: int = 60, seed: int = 0) -> list[tuple[Conversation, str]]:
    """Answer with the last word of a prompt of mixed length."""
    draw = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        words = draw.choice(WORDS[:12], size=int(draw.integers(2, 14))).tolist()
        found.append(((Message("user", " ".join(words)),), words[-1]))
    return found


def preferences(count: int = 60, seed: int = 0) -> list[Preference]:
    """The last word of a prompt is preferred to its first."""
    found = [(prompt, answer, prompt[0].content.split()[0]) for prompt, answer in rows(count, seed)]
    return [Preference(*row) for row in found if row[1] != row[2]]


def weights_digest(found: torch.nn.Module) -> str:
    return digest_of(found.state_dict())


def digest_of(tensors: Mapping[str, torch.Tensor]) -> str:
    sha = hashlib.sha256()
    for name, value in sorted(tensors.items()):
        sha.update(name.encode() + value.detach().contiguous().numpy().tobytes())
    return sha.hexdigest()
