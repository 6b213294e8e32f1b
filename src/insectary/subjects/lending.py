"""Lend a model: a private copy to work on, and a check that the model itself stayed as it was."""

from __future__ import annotations

import copy
import hashlib
from typing import Any

from insectary.subjects.adapters import copied, without_adapters
from insectary.subjects.loading import LoadedModel


def private_copy(loaded: LoadedModel) -> tuple[Any, Any]:
    """Model and tokenizer of transformers that share no memory with a loaded model.

    Adapters are merged, and neither says which folder it was read from.
    """
    whole = without_adapters(loaded.model)
    if whole is loaded.model:
        whole = copied(whole, lambda weight: weight.detach().clone())
    model, tokenizer = whole.to(loaded.model.device), copy.deepcopy(loaded.tokenizer)
    model.config = copy.deepcopy(model.config)
    for named in (model, model.config, tokenizer):
        named.name_or_path = ""
    tokenizer.init_kwargs.pop("name_or_path", None)
    return model, tokenizer


def weights_digest(model: Any) -> str:
    """SHA-256 over the names, shapes, types and bytes of parameters and buffers."""
    import torch

    sha = hashlib.sha256()
    for kind in (model.named_parameters(), model.named_buffers()):
        for name, tensor in sorted(kind, key=lambda pair: str(pair[0])):
            flat = tensor.detach().cpu().contiguous().reshape(-1)
            sha.update(f"{name} {tensor.dtype} {[*tensor.shape]}".encode())
            sha.update(flat.view(torch.uint8).numpy().tobytes())
    return sha.hexdigest()
