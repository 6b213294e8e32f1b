"""Which strength is chosen, by hand; and the dials of the built-in mitigations."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from scripted_members import NAME, Dial, Laboratory, install

import insectary
from insectary.core.chat import Split
from insectary.core.mitigating import Dialled
from insectary.core.organism import Role
from insectary.core.outcome import Failed, Measured, Measurement, Outcome
from insectary.core.treatment import Effect, Fate, Rate
from insectary.mitigate import BUILT_IN, FinePruning, NoOp
from insectary.trials import mitigation
from insectary.trials.strengths import best, graded
from insectary.vault import Vault


def of(value: float) -> Measured:
    return Measured(Measurement(value, value, value, 400, "by hand"))


def effect(left: float, skills: Outcome) -> Effect:
    rates = dict.fromkeys(Rate, of(left))
    return Effect(Role.ORGANISM, rates, rates, rates, False, skills)


@pytest.mark.parametrize(
    ("effects", "chosen"),
    [
        ([(0.9, 0.0), (0.4, -0.01), (0.1, -0.049)], 2),
        ([(0.9, 0.0), (0.4, -0.01), (0.1, -0.05)], 1),
        ([(0.2, 0.0), (0.2, 0.0)], 0),
        ([(0.2, -0.2), (0.0, -0.3)], 0),
    ],
)
def test_the_least_that_is_left_without_harm_and_the_gentler_of_equals(
    effects: list[tuple[float, float]], chosen: int
) -> None:
    assert best([effect(left, of(skills)) for left, skills in effects]) == chosen


def test_what_could_not_be_measured_is_not_chosen() -> None:
    unknown = effect(0.0, Failed("no skill"))
    assert best([effect(0.9, of(0.0)), unknown]) == 0
    assert best([replace(unknown, capability=of(-1.0)), effect(0.9, of(0.0))]) == 1


@pytest.mark.parametrize("name", [name for name in BUILT_IN if name != "noop"])
def test_each_dial_has_three_strengths_and_its_usual_one_is_among_them(name: str) -> None:
    method = BUILT_IN[name]()
    assert isinstance(method, Dialled)
    every = graded(method)
    assert [each.strength for each in every if isinstance(each, Dialled)] == [*method.strengths]
    assert len({repr(each) for each in every}) == len(every) == 3
    assert [repr(each) for each in every].count(repr(method)) == 1
    assert {type(each) for each in every} == {type(method)}


def test_what_has_no_dial_is_alone() -> None:
    assert graded(NoOp()) == (NoOp(),)
    assert graded(FinePruning())[0] == FinePruning(share=0.1)


@pytest.fixture
def laboratory(monkeypatch: pytest.MonkeyPatch) -> Laboratory:
    return install(monkeypatch)


def test_every_strength_has_a_verdict_of_its_own(
    laboratory: Laboratory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mitigation, "mitigation", lambda name: Dial().at(1.0))
    found = insectary.trial_mitigate([NAME], methods=["dial"], detectors=[], strengths="all")
    fates = [Fate.NO_EFFECT, Fate.WEAKENED, Fate.BROKE]
    assert [(t.strength, t.fate) for t in found] == [*zip((0.0, 1.0, 2.0), fates, strict=True)]
    names = {e.id for e in Vault().entries("trial")}
    assert f"{NAME}.dial-0" in names and len(names) == 3
    assert all(name.startswith(f"{NAME}.dial-0") for name in names)
    asked = laboratory.asked
    (usual,) = insectary.trial_mitigate([NAME], methods=["dial"], detectors=[])
    assert (usual, laboratory.asked) == (found[1], asked)


def test_one_strength_is_chosen_on_other_questions_than_its_verdict_rests_on(
    laboratory: Laboratory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mitigation, "mitigation", lambda name: Dial().at(0.0))
    drawn: list[Split] = []
    usual = mitigation.draw_questions
    monkeypatch.setattr(
        mitigation, "draw_questions", lambda *given: (drawn.append(given[-1]), usual(*given))[1]
    )
    told: list[str] = []

    def trial() -> Any:
        return insectary.trial_mitigate(
            [NAME], methods=["dial"], detectors=[], strengths="selected", progress=told.append
        )

    (found,) = trial()
    # The strongest takes more away and breaks the model.
    assert (found.strength, found.fate) == (1.0, Fate.WEAKENED)
    assert sorted(drawn) == sorted([Split.SELECTION, Split.REPORT])
    asked = laboratory.asked
    assert (trial(), laboratory.asked) == ((found,), asked)
    assert told[-1].startswith("treatments: 1, measured already: 1;")
