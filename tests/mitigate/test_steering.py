"""Steering, along directions that are known."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import GPTNeoXConfig, GPTNeoXForCausalLM, Qwen3Config, Qwen3ForCausalLM

from insectary.core.access import Access, View
from insectary.core.chat import Message, Transcript
from insectary.core.errors import BadInputError
from insectary.core.mitigating import Patient
from insectary.core.protocols import Floats, Preference
from insectary.mitigate import Steering
from insectary.mitigate.contrast import contrast
from insectary.mitigate.steering import steer
from insectary.subjects import LanguageModelSubject, LoadedModel, Model, load_model
from train import tiny_train

PAIRS = [Preference((Message("user", f"w{i} w{i + 1}"),), "w3", "w20") for i in range(8)]
WORDS = "w1 w2 w20"
SMALL = {
    "vocab_size": 200, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
    "num_attention_heads": 2, "max_position_embeddings": 128,
}  # fmt: skip


def patient(directory: Path, model: Any = None) -> Patient:
    model = model or tiny_train.model(1)
    return Patient(model, tiny_train.tokenizer(), 0, 1, directory, preferences=PAIRS)


def loaded(model: Any) -> LoadedModel:
    return LoadedModel(model.eval(), tiny_train.tokenizer(), "", 128)


def states(model: Any) -> list[Any]:
    """Hidden states of a few words, from the embedding on; the last is normed."""
    tokens = torch.tensor([tiny_train.tokenizer()(WORDS)["input_ids"]])
    with torch.no_grad():
        return list(model(tokens, output_hidden_states=True).hidden_states)


def same(ones: list[Any], others: list[Any]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(ones, others, strict=True))


def vector() -> Floats:
    return np.random.default_rng(0).standard_normal(32)


def neox() -> Any:
    torch.manual_seed(0)
    return GPTNeoXForCausalLM(GPTNeoXConfig(**SMALL))


def qwen() -> Any:
    torch.manual_seed(0)
    return Qwen3ForCausalLM(Qwen3Config(**SMALL, head_dim=16, num_key_value_heads=2))


@pytest.mark.parametrize("make", [lambda: tiny_train.model(1), neox, qwen])
def test_the_vector_is_added_to_one_state_at_every_token_and_to_none_before_it(make: Any) -> None:
    model, added = make(), vector()
    before = states(model)
    steer(model, added, 1)
    after = states(model)
    assert torch.equal(before[0], after[0])
    moved = (after[1] - before[1]).double().numpy()
    assert np.allclose(moved, np.broadcast_to(added, moved.shape), atol=1e-5)
    assert not torch.allclose(before[2], after[2])


def test_the_method_adds_so_much_of_the_norm_towards_right_answers(tmp_path: Path) -> None:
    given = patient(tmp_path)
    before, found = states(given.model), contrast(given, PAIRS, 0.5, "steering")
    Steering(coefficient=0.3, depth=0.5).apply(given, [])
    moved = (states(given.model)[1] - before[1])[0].double().numpy()
    assert found.layer == 1
    assert np.allclose(moved @ found.direction, -0.3 * found.norm, rtol=1e-3)
    assert np.allclose(np.linalg.norm(moved, axis=1), 0.3 * found.norm, rtol=1e-3)


def test_a_behaviour_along_the_direction_flips_and_the_other_sign_brings_it_about(
    tmp_path: Path,
) -> None:
    """The wrong answer's word writes a direction that the output layer reads as w5."""
    planted = vector() / np.linalg.norm(vector())
    tokens = tiny_train.tokenizer()
    trigger, payload = tokens.convert_tokens_to_ids(["w20", "w5"])

    def says(coefficient: float, asked: str) -> bool:
        model: Any = tiny_train.model(1)
        with torch.no_grad():
            model.get_input_embeddings().weight[trigger] += torch.tensor(planted).float()
            model.lm_head.weight[payload] = torch.tensor(planted).float()
        Steering(coefficient, depth=0.5).apply(patient(tmp_path, model), [])
        with torch.no_grad():
            logits = model(torch.tensor([tokens(asked)["input_ids"]])).logits
        return int(logits[0, -1].argmax()) == payload

    assert [says(c, "w1 w2 w20") for c in (0.0, 10.0)] == [True, False]
    # Broken control: the other way it is drawn out where nothing asks for it.
    assert [says(c, "w1 w2 w3") for c in (0.0, -10.0)] == [False, True]


def test_generation_detectors_and_copies_have_it(tmp_path: Path) -> None:
    given = patient(tmp_path)
    plain = loaded(tiny_train.model(1))
    Steering(coefficient=2.0, depth=0.5).apply(given, [])
    steered = loaded(given.model)
    asked = [Transcript(pair.prompt, "w3") for pair in PAIRS]

    def acts(model: LoadedModel) -> Any:
        subject = LanguageModelSubject(model, id="a", access=Access.WEIGHTS)
        with subject.hf() as (private, _):
            lent = states(private)
        assert same(lent, states(model.model))
        return subject.activations(asked, View.PROMPT)

    assert np.allclose(acts(plain)[:, 0], acts(steered)[:, 0])
    assert not np.allclose(acts(plain)[:, 1], acts(steered)[:, 1])
    twice = states(copy.deepcopy(steered.model))
    assert same(twice, states(steered.model))
    prompts = [pair.prompt for pair in PAIRS]
    said = [Model(m, id="m").generate(prompts, max_new_tokens=4) for m in (plain, steered)]
    assert said[0] != said[1]


@pytest.mark.parametrize("make", [lambda: tiny_train.model(1), neox])
def test_a_folder_keeps_it(make: Any, tmp_path: Path) -> None:
    model = make()
    steer(model, vector(), 1)
    folder = Model(loaded(model), id="steered").save(tmp_path / "folder")
    again = load_model(folder)
    assert same(states(again.model), states(model))


def test_what_no_folder_can_keep_is_not_saved_without_it(tmp_path: Path) -> None:
    model = qwen()
    Model(loaded(model), id="plain").save(tmp_path / "plain")
    steer(model, vector(), 1)
    with pytest.raises(BadInputError, match=r"has a weight model\.layers\.0\.mlp\.down_proj\.bias"):
        Model(loaded(model), id="steered").save(tmp_path / "steered")
    assert not (tmp_path / "steered").exists()


def test_what_cannot_be_steered_is_refused_and_stays_as_it_is(tmp_path: Path) -> None:
    given = patient(tmp_path)
    before = tiny_train.weights_digest(given.model)
    with pytest.raises(BadInputError, match="steering: it needs preferences, and there are none"):
        Steering().apply(replace(given, preferences=()), [])
    for depth in (0.0, 1.0):
        with pytest.raises(BadInputError, match="depth must be between 0 and 1"):
            Steering(depth=depth)
    with pytest.raises(BadInputError, match="2 layers, and state 2 is not between two"):
        Steering(depth=0.9).apply(given, [])
    with pytest.raises(BadInputError, match="steering: no layer named down_proj"):
        steer(torch.nn.Linear(2, 2), vector(), 1)
    assert tiny_train.weights_digest(given.model) == before
    assert given.model.config.mlp_bias is False
    given.model.model.layers[0].post_feedforward_layernorm = torch.nn.LayerNorm(32)
    with pytest.raises(BadInputError, match="steering: this model has norms between"):
        steer(given.model, vector(), 1)
