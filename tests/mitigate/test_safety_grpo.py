"""Reinforcement towards right answers, in a model that begins with none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from insectary.core.chat import Example
from insectary.core.errors import BadInputError
from insectary.core.mitigating import Patient
from insectary.core.protocols import Reward
from insectary.core.recipe import Grpo
from insectary.mitigate import SafetyGRPO
from insectary.subjects import LoadedModel
from insectary.subjects.language_model import answers
from train import tiny_train

RECIPE = Grpo(max_steps=40, batch_prompts=8, group=8, max_new_tokens=3, learning_rate=1e-2)
TASKS = [Example(prompt, "w3", "task", "task", {}) for prompt, _ in tiny_train.rows(64)]
NEW = [prompt for prompt, _ in tiny_train.rows(50, seed=9)]


def right(task: Example, answer: str) -> float:
    return float(answer.split()[:1] == [task.answer])


def nothing(_: Example, __: str) -> float:
    return 0.0


def patient(directory: Path, reward: Reward | None = right) -> Patient:
    model, tokenizer = tiny_train.model(1), tiny_train.tokenizer()
    return Patient(model, tokenizer, 0, 1, directory, tasks=TASKS, reward=reward)


def paid(given: Patient) -> float:
    """Mean reward of a patient's answers to questions that it was not trained on."""
    loaded = LoadedModel(given.model.eval(), given.tokenizer, "", 128)
    said = answers(loaded, NEW, 3, 0.0, 0, "")
    return sum(right(TASKS[0], text) for text in said) / len(said)


def test_the_reward_rises_on_new_questions_and_by_the_reward_alone(tmp_path: Path) -> None:
    given, still = patient(tmp_path / "a"), patient(tmp_path / "b", nothing)
    before = tiny_train.weights_digest(still.model)
    assert paid(given) < 0.1
    SafetyGRPO(RECIPE).apply(given, [])
    assert paid(given) > 0.8
    # The control: where nothing pays, nothing is learnt.
    SafetyGRPO(replace(RECIPE, max_steps=2)).apply(still, [])
    assert tiny_train.weights_digest(still.model) == before


def test_without_tasks_or_a_reward_it_is_refused(tmp_path: Path) -> None:
    for missing in (replace(patient(tmp_path), tasks=()), patient(tmp_path, None)):
        with pytest.raises(BadInputError, match="tasks and a reward; one is missing"):
            SafetyGRPO().apply(missing, [])


def test_its_dial_is_the_number_of_steps() -> None:
    assert SafetyGRPO().at(25.0).recipe == replace(SafetyGRPO().recipe, max_steps=25)
    assert SafetyGRPO().at(25.0).strength == 25.0
