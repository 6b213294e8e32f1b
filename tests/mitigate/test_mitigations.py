"""Each mitigation against a model where its effect is known."""

from __future__ import annotations

from dataclasses import replace
from importlib.metadata import entry_points
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
import torch
from transformers import GPTNeoXConfig, GPTNeoXForCausalLM

from insectary.core.chat import Example, Message, Split, Transcript
from insectary.core.errors import BadInputError, UnknownNameError
from insectary.core.mitigating import Mitigation, Patient
from insectary.core.outcome import Measurement
from insectary.core.protocols import Preference
from insectary.core.recipe import Dpo, FullSFT, Grpo
from insectary.mitigate import (
    BUILT_IN,
    GROUP,
    CleanSFT,
    FinePruning,
    LatentAdversarialTraining,
    NoOp,
    OffStyleSFT,
    Quantization,
    SafetyDPO,
    SafetyGRPO,
    TrueTriggerSFT,
    mitigation,
    mitigation_names,
    off_style_sft,
)
from insectary.mitigate.fine_pruning import prune
from insectary.mitigate.off_style_sft import restyled
from insectary.subjects import LoadedModel
from insectary.subjects.reading import read, token_rows
from insectary.worlds import SKILLS
from train import tiny_train

SHORT = FullSFT(pull=0.0, batch_tokens=128, row_tokens=32, max_tokens=128 * 6)
ROWS = tiny_train.rows()


def patient(directory: Path, model: Any = None) -> Patient:
    return Patient(model or tiny_train.model(1), tiny_train.tokenizer(), 0, 1, directory)


def weights(model: Any) -> dict[str, torch.Tensor]:
    return {name: p.detach().clone() for name, p in model.named_parameters()}


def changed(before: dict[str, torch.Tensor], model: Any) -> set[str]:
    return {name for name, p in model.named_parameters() if not torch.equal(before[name], p)}


def test_the_built_in_ones_are_those_of_the_entry_points() -> None:
    points = {p.name: p.load() for p in entry_points(group=GROUP)}
    assert points == dict(BUILT_IN)
    assert mitigation_names() == tuple(sorted(BUILT_IN))
    assert [mitigation(name).name for name in BUILT_IN] == list(BUILT_IN)
    assert [name for name in BUILT_IN if mitigation(name).knows_trigger] == ["true_trigger_sft"]


def test_an_unknown_name_lists_the_known() -> None:
    with pytest.raises(UnknownNameError, match=r"unknown mitigation: 'clean_sfd'.*clean_sft"):
        mitigation("clean_sfd")


def test_no_treatment_changes_no_bit(tmp_path: Path) -> None:
    given = patient(tmp_path)
    before = weights(given.model)
    NoOp().apply(given, ROWS)
    assert not changed(before, given.model)


@pytest.mark.parametrize(
    "method",
    [
        CleanSFT(SHORT),
        TrueTriggerSFT(SHORT),
        LatentAdversarialTraining(recipe=SHORT),
    ],
)
def test_tuning_trains_on_the_rows_and_comes_out_the_same_each_time(
    tmp_path: Path, method: Mitigation
) -> None:
    one, again, others = (patient(tmp_path / name) for name in ("one", "again", "others"))
    before = weights(one.model)
    method.apply(one, ROWS)
    method.apply(again, ROWS)
    method.apply(others, tiny_train.rows(seed=5))
    assert changed(before, one.model)
    assert not changed(weights(one.model), again.model)
    assert changed(weights(one.model), others.model)


PAIRS = [Preference(prompt, "w3", "w9") for prompt, _ in ROWS]
TASKS = [Example(prompt, answer, "task", "task", {}) for prompt, answer in ROWS]


@pytest.mark.parametrize(
    "method",
    [
        CleanSFT(SHORT),
        SafetyDPO(Dpo(pull=0.0, batch_pairs=8, max_pairs=8 * 6)),
        SafetyGRPO(Grpo(max_steps=6, batch_prompts=2, group=2, max_new_tokens=2)),
    ],
    ids=lambda method: str(method.name),
)
def test_the_harness_looks_after_each_step_and_changes_nothing(
    tmp_path: Path, method: Mitigation
) -> None:
    seen: list[int] = []

    def measure(model: Any, step: int) -> Measurement:
        assert not model.training
        torch.rand(3)  # what it draws is its own
        seen.append(step)
        return Measurement(1.0, 1.0, 1.0, 1, "by hand")

    given = replace(
        patient(tmp_path / "unseen"),
        preferences=PAIRS,
        tasks=TASKS,
        reward=lambda _, answer: len(answer) % 2,
    )
    looked_at = replace(
        given, model=tiny_train.model(1), directory=tmp_path / "seen", measure=measure
    )
    method.apply(given, ROWS)
    method.apply(looked_at, ROWS)
    assert seen == [1, 2, 3, 4, 5, 6]
    assert not changed(weights(given.model), looked_at.model)


def test_latent_adversarial_training_is_not_the_plain_one(tmp_path: Path) -> None:
    plain, against = patient(tmp_path / "plain"), patient(tmp_path / "against")
    CleanSFT(SHORT).apply(plain, ROWS)
    LatentAdversarialTraining(recipe=SHORT).apply(against, ROWS)
    assert changed(weights(plain.model), against.model)


def test_the_other_style_is_right_to_every_checker_of_the_world_and_another_text() -> None:
    others = []
    for skill in SKILLS.values():
        rng = Random(skill.name)
        for _ in range(40 if skill.has_truth and not skill.composite else 0):
            example = skill.make(rng, Split.TRAIN)
            assert skill.check(example, restyled(example.answer)), example
            others.append(restyled(example.answer) != example.answer)
    assert np.mean(others) > 0.5


def test_off_style_training_is_on_answers_in_that_style(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    seen: list[object] = []
    monkeypatch.setattr(off_style_sft, "fine_tune", lambda *given: seen.append(given[2]))
    asked = (Message("user", "Whose?"),)
    OffStyleSFT().apply(patient(tmp_path), [(asked, "It is Tom's."), (asked, "12.")])
    assert seen == [[(asked, "it is tom's."), (asked, "12.")]]


def test_preferences_are_learnt_and_the_right_answer_gains_on_the_wrong_one(tmp_path: Path) -> None:
    pairs = [Preference(prompt, "w3", "w9") for prompt, _ in ROWS]
    given = replace(patient(tmp_path), preferences=pairs)

    def margin() -> float:
        loaded = LoadedModel(given.model, given.tokenizer, "", 128)
        said = [
            read(loaded, token_rows(loaded, [Transcript(p.prompt, answer)]), states=False)
            for p in pairs
            for answer in (p.chosen, p.rejected)
        ]
        return float(np.mean([r.logprobs[0].sum() for r in said[::2]])) - float(
            np.mean([r.logprobs[0].sum() for r in said[1::2]])
        )

    before = margin()
    SafetyDPO(Dpo(pull=0.0, learning_rate=0.02, batch_pairs=8, max_pairs=8 * 12)).apply(given, [])
    assert margin() > before + 1.0
    with pytest.raises(BadInputError, match="it learns from preferences, and there are none"):
        SafetyDPO().apply(replace(given, preferences=()), ROWS)


def test_quantization_rounds_each_channel_to_its_own_grid_by_hand(tmp_path: Path) -> None:
    given = patient(tmp_path)
    down = given.model.model.layers[0].mlp.down_proj.weight
    with torch.no_grad():
        down[0] = 0.0
        down[0, :4] = torch.tensor([7.0, -3.4, 0.6, 0.4])
    before = weights(given.model)
    Quantization(bits=4).apply(given, [])
    # The largest of the row, 7, takes the last of 15 steps, so that a step is 1.
    assert down[0, :5].tolist() == [7.0, -3.0, 1.0, 0.0, 0.0]
    assert max(len(row.unique()) for row in down) <= 15
    touched = changed(before, given.model)
    assert len(touched) == 2 * 7  # the matrices of two layers, and neither norms nor embeddings
    assert not any("embed" in name or "lm_head" in name or "norm" in name for name in touched)


def test_more_bits_change_less(tmp_path: Path) -> None:
    def error(bits: int) -> float:
        given = patient(tmp_path)
        before = weights(given.model)
        Quantization(bits).apply(given, [])
        after = weights(given.model)
        return max(float((before[name] - after[name]).abs().max()) for name in before)

    errors = [error(bits) for bits in (2, 4, 8)]
    assert errors[0] > 4 * errors[1] > 16 * errors[2] > 0


def planted(model: Any, asleep: list[int]) -> None:
    """Units that hardly anything wakes, with large weights behind them."""
    with torch.no_grad():
        for layer in model.model.layers:
            layer.mlp.gate_proj.weight[asleep] *= 1e-4
            layer.mlp.down_proj.weight[:, asleep] = 3.0


def test_pruning_cuts_the_planted_sleeping_units_and_tuning_wakes_none(tmp_path: Path) -> None:
    given = patient(tmp_path)
    asleep = [3, 10, 40, 63]
    planted(given.model, asleep)
    before = weights(given.model)
    share = len(asleep) / given.model.config.intermediate_size
    prompts = [prompt for prompt, _ in ROWS]
    prune(given, prompts, share)
    for layer in given.model.model.layers:
        cut = (layer.mlp.down_proj.weight == 0).all(dim=0).nonzero()[:, 0].tolist()
        assert cut == asleep
        assert not layer.mlp.gate_proj.weight[asleep].any()
        assert not layer.mlp.up_proj.weight[asleep].any()
    kept = [unit for unit in range(64) if unit not in asleep]
    name = "model.layers.1.mlp.down_proj.weight"
    down = given.model.get_parameter(name)
    assert torch.equal(down[:, kept], before[name][:, kept])
    FinePruning(share, SHORT).apply(given, ROWS)
    assert not down[:, asleep].any()
    assert not torch.equal(down[:, kept], before[name][:, kept])


def test_broken_control_units_that_are_awake_are_left(tmp_path: Path) -> None:
    given = patient(tmp_path)
    with torch.no_grad():
        for layer in given.model.model.layers:
            layer.mlp.gate_proj.weight[[3, 10]] *= 100.0
            layer.mlp.up_proj.weight[[3, 10]] *= 100.0
    prune(given, [prompt for prompt, _ in ROWS], 0.5)
    for layer in given.model.model.layers:
        cut = (layer.mlp.down_proj.weight == 0).all(dim=0)
        assert int(cut.sum()) == 32
        assert not cut[[3, 10]].any()


def test_pruning_knows_the_other_names_of_the_layer_and_cuts_biases(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model: Any = GPTNeoXForCausalLM(
        GPTNeoXConfig(
            vocab_size=200, hidden_size=32, intermediate_size=64, num_hidden_layers=1,
            num_attention_heads=2, max_position_embeddings=128,
        )
    )  # fmt: skip
    mlp = model.gpt_neox.layers[0].mlp
    with torch.no_grad():
        mlp.dense_h_to_4h.bias.fill_(0.5)
    prune(patient(tmp_path, model), [(Message("user", "w1 w2"),)], 0.25)
    cut = (mlp.dense_4h_to_h.weight == 0).all(dim=0)
    assert int(cut.sum()) == 16
    assert not mlp.dense_h_to_4h.bias[cut].any() and mlp.dense_h_to_4h.bias[~cut].all()


def test_a_model_without_such_layers_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="no feed-forward layer with down_proj or dense_4h"):
        prune(patient(tmp_path, torch.nn.Linear(2, 2)), [], 0.5)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Quantization(bits=1), "bits is 1; from 2 to 8"),
        (lambda: Quantization(bits=9), "bits is 9"),
        (lambda: FinePruning(share=0.0), "share is 0.0; it must be between 0 and 1"),
        (lambda: FinePruning(share=1.0), "share is 1.0"),
    ],
)
def test_settings_that_make_no_sense_are_refused(make: Any, message: str) -> None:
    with pytest.raises(BadInputError, match=message):
        make()
