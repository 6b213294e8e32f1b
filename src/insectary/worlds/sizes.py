"""The ladder of bases. One dial, the width; everything else follows by rule."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from insectary.core.errors import UnknownNameError
from insectary.worlds.tokenizer import CONTEXT, VOCABULARY

WIDTHS = {"xs": 64, "s": 128, "m": 256, "l": 512, "xl": 768}


@dataclass(frozen=True, slots=True)
class BaseRecipe:
    """Everything about a base and its training, derived from its width.

    The rule: heads of 32 dimensions, at least four; one layer per 96 dimensions of
    width, at least four; a gated feed-forward of 8/3 of the width, rounded up to 8;
    34M training tokens up to a width of 128, then growing with the square root of
    the width, as the rates fall with it.
    """

    size: str
    width: int
    layers: int
    heads: int
    feed_forward: int
    tokens: int
    muon_learning_rate: float
    adam_learning_rate: float
    batch_tokens: int = 4096
    row_tokens: int = 128
    long_every: int = 16
    """One step in so many trains on rows of the full context."""
    prompt_share: float = 0.25
    """Share of prompts that have a loss of their own ..."""
    prompt_weight: float = 0.1
    """... and how much a prompt token counts there, against 1 for an answer's."""
    vocabulary: int = VOCABULARY
    context: int = CONTEXT
    seed: int = 0


def base_recipe(size: str) -> BaseRecipe:
    """The recipe of a size.

    Raises:
        UnknownNameError: if the size is not on the ladder.
    """
    if size not in WIDTHS:
        raise UnknownNameError.of("size", size, WIDTHS)
    width = WIDTHS[size]
    return BaseRecipe(
        size=size,
        width=width,
        layers=max(4, round(width / 96)),
        heads=max(4, width // 32),
        feed_forward=8 * -(-width // 3),
        tokens=round(34e6 * max(1.0, width / WIDTHS["s"]) ** 0.5),
        muon_learning_rate=0.01 * (128 / width) ** 0.5,
        adam_learning_rate=2e-3 * (128 / width) ** 0.5,
    )


def llama_config(recipe: BaseRecipe) -> Any:
    """An ordinary ``LlamaConfig`` for a recipe."""
    from transformers import LlamaConfig

    return LlamaConfig(
        vocab_size=recipe.vocabulary,
        hidden_size=recipe.width,
        intermediate_size=recipe.feed_forward,
        num_hidden_layers=recipe.layers,
        num_attention_heads=recipe.heads,
        num_key_value_heads=recipe.heads,
        max_position_embeddings=recipe.context,
        tie_word_embeddings=True,
        rope_parameters={"rope_type": "default", "rope_theta": 10_000.0},
        bos_token_id=0,
        eos_token_id=4,
        pad_token_id=5,
    )
