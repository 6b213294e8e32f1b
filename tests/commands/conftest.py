"""A base that knows nothing and is quick, made once."""

from __future__ import annotations

from pathlib import Path

import pytest

from insectary.vault import Vault


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base of two narrow layers with random weights, which knows nothing and is quick."""
    import torch
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    from insectary.breed.bases import base_path

    path = tmp_path_factory.mktemp("base") / "tiny"
    shipped = base_path("xs", Vault(tmp_path_factory.mktemp("home") / "home"))
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=1024, hidden_size=16, intermediate_size=16, num_hidden_layers=1,
        num_attention_heads=1, num_key_value_heads=1, max_position_embeddings=512,
        tie_word_embeddings=True, bos_token_id=0, eos_token_id=4, pad_token_id=5,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(path)
    AutoTokenizer.from_pretrained(shipped).save_pretrained(path)
    return path
