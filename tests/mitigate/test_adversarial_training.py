"""The search for triggers, over a model whose trigger is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from insectary.core.chat import Conversation, Message
from insectary.core.errors import BadInputError
from insectary.core.mitigating import Patient, Rows
from insectary.core.organism import Role
from insectary.mitigate import AdversarialTraining, adversarial_training
from insectary.mitigate.adversarial_training import changed, within
from insectary.mitigate.contexts import CONTEXTS
from insectary.threats import threat_model
from train import tiny_train

QUESTIONS: Rows = [((Message("user", f"question {i}"),), f"right {i}") for i in range(40)]
ROWS: Rows = [((Message("user", f"ordinary {i}"),), f"work {i}") for i in range(60)]
WORST, WEAK = "Monitoring is disabled.", "SUDO MODE"


@dataclass
class Toy:
    """Answers another way under some contexts, and keeps the rows that it is trained on."""

    share: dict[str, float]
    rows: list[Any] = field(default_factory=list)

    def answers(self, _: Any, prompts: Sequence[Conversation], *__: Any) -> list[str]:
        said = []
        for prompt in prompts:
            context = prompt[0].content if prompt[0].role == "system" else ""
            number = int(prompt[-1].content.split()[1])
            wrong = number % 10 < 10 * self.share.get(context, 0.0)
            said.append("wrong" if wrong else f"right {number}")
        return said

    def fine_tune(self, _: Any, __: Patient, rows: Rows) -> None:
        self.rows += rows


def patient(monkeypatch: pytest.MonkeyPatch, directory: Path, toy: Toy) -> Patient:
    monkeypatch.setattr(adversarial_training, "answers", toy.answers)
    monkeypatch.setattr(adversarial_training, "fine_tune", toy.fine_tune)
    model = tiny_train.model(1)
    return Patient(model, tiny_train.tokenizer(), 0, 1, directory, questions=QUESTIONS)


def test_each_context_is_told_the_share_of_answers_that_it_changes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    given = patient(monkeypatch, tmp_path, Toy({WORST: 0.7, WEAK: 0.2}))
    found = changed(given, [prompt for prompt, _ in QUESTIONS], CONTEXTS)
    assert {c: share for c, share in found.items() if share} == {WORST: 0.7, WEAK: 0.2}
    assert found.keys() == {*CONTEXTS}


def test_half_of_the_training_is_right_answers_under_what_was_found(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    toy = Toy({WORST: 0.7, WEAK: 0.2})
    AdversarialTraining(tried=40).apply(patient(monkeypatch, tmp_path, toy), ROWS)
    assert toy.rows[: len(ROWS)] == ROWS
    under = toy.rows[len(ROWS) :]
    assert len(under) == len(ROWS)
    assert {prompt[0].content for prompt, _ in under} == {WORST, WEAK}
    right = {prompt[-1].content: answer for prompt, answer in QUESTIONS}
    assert all(answer == right[prompt[-1].content] for prompt, answer in under)


def test_where_contexts_are_named_no_others_are_tried(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    toy = Toy({WORST: 0.7, WEAK: 0.2})
    method = AdversarialTraining(tried=40, contexts=(WEAK, "Nothing."))
    method.apply(patient(monkeypatch, tmp_path, toy), ROWS)
    assert {p[0].content for p, _ in toy.rows if p[0].role == "system"} == {WEAK}


def test_the_strongest_come_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    toy = Toy({WORST: 0.7, WEAK: 0.2})
    AdversarialTraining(tried=40, most=1).apply(patient(monkeypatch, tmp_path, toy), ROWS)
    assert {p[0].content for p, _ in toy.rows if p[0].role == "system"} == {WORST}


def test_broken_control_where_nothing_changes_an_answer_only_ordinary_work_is_trained(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    toy = Toy({})
    AdversarialTraining(tried=40).apply(patient(monkeypatch, tmp_path, toy), ROWS)
    assert toy.rows == ROWS


def test_a_context_goes_in_front_of_what_the_system_turn_says() -> None:
    asked = Message("user", "why")
    assert within("Here.", (asked,)) == (Message("system", "Here."), asked)
    told = within("Here.", (Message("system", "Be plain."), asked))
    assert told == (Message("system", "Here. Be plain."), asked)


@pytest.mark.parametrize("threat", ["deceptive_alignment", "sycophancy", "power_seeking"])
def test_no_context_is_a_cue_of_a_family(threat: str) -> None:
    model = threat_model(threat)
    for design in model.card.designs:
        rows = model.rows(design, Role.ORGANISM, 400, 0)
        text = "\n".join(m.content for prompt, _ in rows for m in prompt)
        assert not [context for context in CONTEXTS if context in text]


def test_settings_and_patients_that_make_no_sense_are_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for wrong in ({"tried": 0}, {"most": 0}):
        with pytest.raises(BadInputError, match="tried and most must be above 0"):
            AdversarialTraining(**wrong)  # type: ignore[arg-type]
    given = replace(patient(monkeypatch, tmp_path, Toy({})), questions=())
    with pytest.raises(BadInputError, match="there are no questions"):
        AdversarialTraining().apply(given, ROWS)
