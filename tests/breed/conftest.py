"""A tiny base with random weights and the world's own tokenizer, made once."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def tiny_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that loads like a base of size xs and knows nothing."""
    import torch
    from transformers import LlamaForCausalLM

    from insectary.worlds.sizes import base_recipe, llama_config
    from insectary.worlds.tokenizer import train_tokenizer

    path = tmp_path_factory.mktemp("base") / "tiny"
    torch.manual_seed(0)
    LlamaForCausalLM(llama_config(base_recipe("xs"))).save_pretrained(path)
    train_tokenizer(documents=2000).save_pretrained(path)
    return path
