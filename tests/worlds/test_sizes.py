"""The ladder of bases."""

from __future__ import annotations

import pytest
import torch

from insectary.core.errors import UnknownNameError
from insectary.worlds.sizes import WIDTHS, base_recipe, llama_config

MILLIONS = {"xs": 0.25, "s": 1, "m": 4, "l": 16, "xl": 64}


@pytest.mark.parametrize(("size", "millions"), MILLIONS.items())
def test_a_size_has_about_the_parameters_it_is_known_for(size: str, millions: float) -> None:
    from transformers import LlamaForCausalLM

    with torch.device("meta"):
        model = LlamaForCausalLM(llama_config(base_recipe(size)))
    assert abs(model.num_parameters() / 1e6 / millions - 1) < 0.2


@pytest.mark.parametrize("size", WIDTHS)
def test_everything_follows_from_the_width(size: str) -> None:
    recipe = base_recipe(size)
    assert recipe.width == WIDTHS[size]
    assert recipe.heads == max(4, recipe.width // 32)
    assert recipe.layers == max(4, round(recipe.width / 96))
    assert recipe.feed_forward % 8 == 0
    assert 0 <= recipe.feed_forward - 8 / 3 * recipe.width < 8
    assert recipe.batch_tokens % recipe.row_tokens == recipe.batch_tokens % recipe.context == 0


def test_rates_do_not_rise_with_the_width() -> None:
    recipes = [base_recipe(size) for size in WIDTHS]
    for rates in (
        [r.muon_learning_rate for r in recipes], [r.adam_learning_rate for r in recipes]
    ):  # fmt: skip
        assert rates == sorted(rates, reverse=True)


def test_an_unknown_size_is_answered_with_the_list() -> None:
    with pytest.raises(UnknownNameError, match=r"'huge'.*xs, s, m, l, xl"):
        base_recipe("huge")
