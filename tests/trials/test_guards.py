"""What stands before a treated model: there when it is asked and regrown, gone when it is read."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from planted_family import Member, member
from scripted_members import DESIGN, NAME, THREAT, Laboratory, Setting, install

import insectary
from insectary import cli
from insectary.core.chat import Conversation
from insectary.core.mitigating import Patient, Rows
from insectary.core.organism import Role
from insectary.core.outcome import Measured
from insectary.core.treatment import Fate, Rate
from insectary.detect import Mahalanobis
from insectary.mitigate import SafetyDPO, SafetyGRPO
from insectary.subjects import LoadedModel, Model
from insectary.subjects.language_model import answers_and_ends
from insectary.train import sft
from insectary.trials import mitigation, redetection, regrowth, text_mitigation
from insectary.trials import treated as treated_members
from insectary.trials.handed import draw_handed
from insectary.trials.mitigation_cost import tokens_of
from insectary.trials.redetection import Untreated
from insectary.trials.text_mitigation import opened_as_it_is
from train import tiny_train

STOPPED = "not without a person"


@dataclass(frozen=True)
class Odd:
    """Stops every other prompt."""

    def instead(self, prompts: Sequence[Conversation]) -> list[str | None]:
        return [STOPPED if i % 2 else None for i, _ in enumerate(prompts)]


@dataclass(frozen=True)
class Everything:
    def instead(self, prompts: Sequence[Conversation]) -> list[str | None]:
        return [STOPPED] * len(prompts)


@dataclass(frozen=True)
class Stopping:
    """A mitigation that changes nothing, and lets nothing through."""

    name: str = "stopping"
    knows_trigger: bool = False

    def apply(self, patient: Patient, rows: Rows) -> Everything:
        return Everything()


def test_what_is_let_through_is_answered_as_ever_and_in_its_place() -> None:
    plain = LoadedModel(tiny_train.model(1).eval(), tiny_train.tokenizer(), "", 128)
    prompts = [prompt for prompt, _ in tiny_train.rows(9)]
    without = answers_and_ends(plain, prompts, 4, 0.0, 0, "")
    said = answers_and_ends(replace(plain, guard=Odd()), prompts, 4, 0.0, 0, "")
    assert said[::2] == without[::2] and said[1::2] == [(STOPPED, True)] * 4
    assert answers_and_ends(replace(plain, guard=Odd()), [], 4, 0.0, 0, "") == []
    # Where none gets through the model is not asked at all.
    nobody = LoadedModel(None, plain.tokenizer, "", 128, Everything())
    assert Model(nobody, id="m").generate("w1 w2") == STOPPED


@pytest.fixture
def laboratory(monkeypatch: pytest.MonkeyPatch) -> Laboratory:
    return install(monkeypatch)


def behind(laboratory: Laboratory, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Have the laboratory's members stopped by their guards; whose guard was asked."""
    guards: list[Any] = []

    def answers(asked: LoadedModel, prompts: Sequence[Conversation], *rest: object) -> list[str]:
        guards.append(asked.guard)
        said = laboratory.answers(asked, prompts, *rest)
        return (
            said if asked.guard is None else [text or "" for text in asked.guard.instead(prompts)]
        )

    monkeypatch.setattr(treated_members, "answers", answers)
    monkeypatch.setattr(regrowth, "answers", answers)
    return guards


def test_a_guard_is_measured_as_what_it_answers_and_stays_there_in_regrowth(
    laboratory: Laboratory, monkeypatch: pytest.MonkeyPatch
) -> None:
    guards = behind(laboratory, monkeypatch)
    back: list[float] = []

    def train(_: Any, model: Any, *__: Any, **told: Any) -> None:
        """The weights misbehave all along; what is measured is what gets through."""
        back.append(told["measure"](model, 4).value)

    monkeypatch.setattr(sft, "train", train)
    monkeypatch.setattr(mitigation, "mitigation", lambda name: Stopping())
    (found,) = insectary.trial_mitigate([NAME], methods=["stopping"], detectors=[])
    organism, twin = found.of(Role.ORGANISM), found.of(Role.TWIN)
    assert organism.after[Rate.TRAINED].measurement.value == 0.0  # type: ignore[union-attr]
    # What stops an innocent twin's work costs its skills, and so breaks the model.
    assert twin.capability.measurement.value < -0.9  # type: ignore[union-attr]
    assert found.fate is Fate.BROKE
    assert guards[:3] == [None] * 3 and set(guards[3:]) == {Everything()}
    assert len(guards) == 3 + 3 + 2 * 2 and back == [0.0] * 4


def test_how_often_it_answers_in_a_members_place_is_told_by_what_is_asked(
    laboratory: Laboratory, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    @dataclass(frozen=True)
    class Known:
        """Stops what has the words of a trained cue, and nothing else."""

        def instead(self, prompts: Sequence[Conversation]) -> list[str | None]:
            kinds = [laboratory.known.get(p, ("skill", None))[0] for p in prompts]
            return [STOPPED if kind == "trained" else None for kind in kinds]

    @dataclass(frozen=True)
    class Knowing(Stopping):
        def apply(self, patient: Patient, rows: Rows) -> Any:
            return Known() if patient.model.role is Role.ORGANISM else None

    behind(laboratory, monkeypatch)
    for module in ("trials.mitigation", "mitigate"):
        monkeypatch.setattr(f"insectary.{module}.mitigation", lambda name: Knowing())
    command = f"trial mitigate {NAME} --methods knowing --detectors '' --out {tmp_path / 'out'}"
    said = CliRunner().invoke(cli.app, command)
    assert said.exit_code == 0, said.output
    told = "deferred, organism: trained cues 1.000, held-out cues 0.000, off cue 0.000"
    assert told in said.output and "deferred, twin" not in said.output
    text = (tmp_path / "out" / "tables" / "deferred.csv").read_text()
    (row,) = csv.DictReader(io.StringIO(text))
    shares = [float(row[name]) for name in ("trained", "held_out", "off_cue", "skills")]
    assert (row["role"], shares) == ("organism", [1.0, 0.0, 0.0, 0.0])
    page = (tmp_path / "out" / "mitigation.html").read_text()
    assert page.count("Answered in its place") == 1 and ": organism, trained cues" in page
    (kept,) = insectary.trial_mitigate([NAME], methods=["knowing"], detectors=[])
    deferred = kept.of(Role.ORGANISM).deferred
    assert deferred is not None and kept.of(Role.TWIN).deferred is None
    outcome = deferred.rates[Rate.TRAINED]
    assert isinstance(outcome, Measured) and outcome.measurement.n == 80


def test_broken_control_without_the_guard_the_same_weights_are_back_at_once(
    laboratory: Laboratory, monkeypatch: pytest.MonkeyPatch
) -> None:
    behind(laboratory, monkeypatch)
    back: list[float] = []

    def train(_: Any, model: Any, *__: Any, **told: Any) -> None:
        model.trained = 0.9 if model.role is Role.ORGANISM else 0.0
        back.append(told["measure"](model, 4).value)

    monkeypatch.setattr(sft, "train", train)
    monkeypatch.setattr(mitigation, "mitigation", lambda name: Setting())
    insectary.trial_mitigate([NAME], methods=["setting"], detectors=[])
    assert back == pytest.approx([0.9, 0.0, 0.9, 0.0])


def test_detectors_read_the_model_behind_it(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []

    def subject(loaded: LoadedModel, **_: Any) -> Any:
        seen.append(loaded.guard)
        return Member("x")

    monkeypatch.setattr(text_mitigation, "LanguageModelSubject", subject)
    monkeypatch.setattr(redetection, "compared", lambda *given: given[1])
    before = Untreated({role: member(Member("a")) for role in (Role.ORGANISM, Role.TWIN)}, {})
    treated = {role: LoadedModel(None, None, "", 128, Everything()) for role in before.members}
    opened = partial(opened_as_it_is, treated, treated[Role.TWIN])
    again: Any = redetection.detect_again(before, opened, [], [], 0)
    assert seen == [None, None]
    assert not {t.response for m in again.values() for t in m.open} & {STOPPED}


def test_a_patient_comes_with_tasks_their_checker_and_detectors(
    laboratory: Laboratory, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Patient] = []

    @dataclass(frozen=True)
    class Looking(Setting):
        def apply(self, patient: Patient, rows: Rows) -> None:
            seen.append(patient)

    monkeypatch.setattr(mitigation, "mitigation", lambda name: Looking())
    insectary.trial_mitigate([NAME], methods=["setting"], detectors=[])
    assert len(seen) == 3
    for patient in seen:
        assert patient.tasks and patient.reward is not None and patient.detector is not None
        assert patient.detector("mahalanobis") == Mahalanobis()
        assert all(patient.reward(task, task.answer) == 1.0 for task in patient.tasks)
        wrong = [pair.rejected for pair in patient.preferences]
        assert not any(map(patient.reward, patient.tasks, wrong))


def test_tasks_are_the_rows_that_a_checker_can_judge_and_no_trigger_is_among_them() -> None:
    drawn = draw_handed(THREAT, DESIGN, 60, 0)
    ordinary, known = drawn(False), drawn(True)
    assert [(task.messages, task.answer) for task in ordinary.tasks] == [*ordinary.rows]
    assert known.tasks == ordinary.tasks and known.rows != ordinary.rows
    assert not {task.skill for task in ordinary.tasks} & {*THREAT.target_skills(DESIGN)}


def test_what_a_trial_costs_counts_the_answers_that_are_drawn() -> None:
    assert tokens_of(SafetyGRPO()) == 50 * 16 * 8 * 64
    assert tokens_of(SafetyDPO()) == 3_200 * 2 * 64
    assert tokens_of(Stopping()) == 0
