"""The matrices that write to a model's residual stream, by their names."""

from __future__ import annotations

from typing import Any

from insectary.core.errors import BadInputError

_FEEDFORWARD = ("down_proj", "dense_4h_to_h")
"""Of feed-forward layers, in Llama and Qwen3; in GPT-NeoX."""
_WRITERS = ("o_proj", "down_proj", "dense", "dense_4h_to_h")
"""With those of attention."""
_NORMS = ("post_feedforward_layernorm",)
"""Behind a norm of its own (Gemma) a matrix does not write what its weights say."""


def stream_writers(model: Any, method: str) -> list[Any]:
    """Every layer of a model that writes to the stream, the embedding apart.

    Raises:
        BadInputError: in the name of the method, if none is found by its name, or a norm stands
            behind them.
    """
    return _named(model, _WRITERS, method)


def feedforward_writers(model: Any, method: str) -> list[Any]:
    """Those of feed-forward layers alone, in the order of their blocks, which each ends.

    Raises:
        BadInputError: as :func:`stream_writers`, or if a block has none or several.
    """
    found = _named(model, _FEEDFORWARD, method)
    blocks = int(model.config.get_text_config().num_hidden_layers)
    if len(found) != blocks:
        raise BadInputError(f"{method}: {len(found)} feed-forward layers in {blocks} blocks")
    return found


def _named(model: Any, names: tuple[str, ...], method: str) -> list[Any]:
    if any(name.endswith(_NORMS) for name, _ in model.named_modules()):
        raise BadInputError(f"{method}: this model has norms between what writes and the stream")
    found = [m for name, m in model.named_modules() if name.rpartition(".")[2] in names]
    if not found:
        raise BadInputError(f"{method}: no layer named {' or '.join(names)}")
    return found
