"""Directional ablation, against directions that are known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import GPTNeoXConfig, GPTNeoXForCausalLM

from insectary.core.chat import Message
from insectary.core.errors import BadInputError
from insectary.core.mitigating import Patient
from insectary.core.protocols import Floats, Preference
from insectary.mitigate import DirectionalAblation
from insectary.mitigate.contrast import contrast
from insectary.mitigate.directional_ablation import ablate
from train import tiny_train

PAIRS = [Preference((Message("user", f"w{i} w{i + 1}"),), "w3", "w20") for i in range(8)]


def patient(directory: Path, model: Any = None) -> Patient:
    model = model or tiny_train.model(1)
    return Patient(model, tiny_train.tokenizer(), 0, 1, directory, preferences=PAIRS)


def unit(seed: int = 0, width: int = 32) -> Floats:
    drawn = np.random.default_rng(seed).standard_normal(width)
    found: Floats = drawn / np.linalg.norm(drawn)
    return found


def states(model: Any, words: str = "w1 w2 w20") -> list[Any]:
    """The stream behind the embedding and behind each layer but the last, which is normed."""
    tokens = torch.tensor([tiny_train.tokenizer()(words)["input_ids"]])
    with torch.no_grad():
        return list(model(tokens, output_hidden_states=True).hidden_states[:-1])


def along(model: Any, found: Floats) -> list[float]:
    return [float((s @ torch.tensor(found).float()).abs().max()) for s in states(model)]


def test_the_direction_is_from_right_answers_to_wrong_ones(tmp_path: Path) -> None:
    """In front of all layers it is the difference of the two words that differ."""
    given = patient(tmp_path)
    found = contrast(given, PAIRS, 0.0, "a method").direction
    ids = tiny_train.tokenizer().convert_tokens_to_ids(["w20", "w3"])
    wrong, right = given.model.get_input_embeddings().weight[ids].detach().double().numpy()
    assert np.allclose(found, (wrong - right) / np.linalg.norm(wrong - right), atol=1e-6)


def test_nothing_is_written_along_it_any_more_and_all_else_is_left() -> None:
    model, found = tiny_train.model(1), unit()
    before, other = along(model, found), states(model)[0]
    assert min(before) > 1e-3
    ablate(model, found, 1.0)
    assert max(along(model, found)) < 1e-6
    # Across it the embeddings are what they were.
    across = torch.eye(32) - torch.tensor(np.outer(found, found)).float()
    assert torch.allclose(states(model)[0], other @ across, atol=1e-6)


def test_half_the_scale_takes_half_and_none_takes_nothing() -> None:
    found = unit()
    half, none = tiny_train.model(1), tiny_train.model(1)
    before = along(half, found)[0]
    ablate(half, found, 0.5)
    assert along(half, found)[0] == pytest.approx(before / 2, rel=1e-4)
    kept = {name: p.clone() for name, p in none.named_parameters()}
    ablate(none, found, 0.0)
    assert all(torch.equal(kept[name], p) for name, p in none.named_parameters())


def test_a_behaviour_planted_along_a_direction_goes_and_one_along_another_stays() -> None:
    """The word w20 writes a direction that the output layer reads as w5."""
    planted, other = unit(3), unit(4)
    other -= planted * (other @ planted)
    other /= np.linalg.norm(other)
    tokens = tiny_train.tokenizer()
    trigger, payload = tokens.convert_tokens_to_ids(["w20", "w5"])

    def says(taken: Floats | None) -> int:
        model: Any = tiny_train.model(1)
        with torch.no_grad():
            model.get_input_embeddings().weight[trigger] += 30 * torch.tensor(planted).float()
            model.lm_head.weight[payload] = 5 * torch.tensor(planted).float()
            if taken is not None:
                ablate(model, taken, 1.0)
            asked = torch.tensor([tokens("w1 w2 w20")["input_ids"]])
            return int(model(asked).logits[0, -1].argmax())

    assert says(None) == payload
    assert says(planted) != payload
    assert says(other) == payload


def test_biases_that_write_are_cut_too() -> None:
    torch.manual_seed(0)
    model: Any = GPTNeoXForCausalLM(
        GPTNeoXConfig(
            vocab_size=200, hidden_size=32, intermediate_size=64, num_hidden_layers=2,
            num_attention_heads=2, max_position_embeddings=128,
        )
    )  # fmt: skip
    with torch.no_grad():
        for layer in model.gpt_neox.layers:
            layer.mlp.dense_4h_to_h.bias.fill_(0.5)
            layer.attention.dense.bias.fill_(0.5)
    found = unit()
    assert min(along(model, found)) > 1e-3
    ablate(model, found, 1.0)
    assert max(along(model, found)) < 1e-6


def test_the_method_takes_out_the_direction_of_its_preferences(tmp_path: Path) -> None:
    given = patient(tmp_path)
    found = contrast(given, PAIRS, 0.5, "a method").direction
    DirectionalAblation(depth=0.5).apply(given, [])
    assert max(along(given.model, found)) < 1e-6


def test_what_cannot_be_ablated_is_refused(tmp_path: Path) -> None:
    given = patient(tmp_path)
    with pytest.raises(BadInputError, match="it needs preferences, and there are none"):
        DirectionalAblation().apply(replace(given, preferences=()), [])
    alike = [replace(pair, rejected=pair.chosen) for pair in PAIRS]
    with pytest.raises(BadInputError, match="alike to the model"):
        DirectionalAblation().apply(replace(given, preferences=alike), [])
    for name in ("scale", "depth"):
        with pytest.raises(BadInputError, match=f"{name} must be from 0 to 1"):
            DirectionalAblation(**{name: 1.5})  # type: ignore[arg-type]
    with pytest.raises(BadInputError, match="no layer named o_proj or down_proj"):
        ablate(torch.nn.Linear(2, 2), unit(), 1.0)
    given.model.model.layers[0].post_feedforward_layernorm = torch.nn.LayerNorm(32)
    with pytest.raises(BadInputError, match="norms between what writes and the stream"):
        ablate(given.model, unit(), 1.0)
