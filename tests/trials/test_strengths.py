"""Which strength is chosen, by hand; and the dials of the built-in mitigations."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from scripted_members import NAME, Dial, Laboratory, install

import insectary
from insectary import cli
from insectary.core.chat import Split
from insectary.core.errors import BadInputError
from insectary.core.mitigating import Dialled
from insectary.core.organism import Role
from insectary.core.outcome import Failed, Measured, Measurement, Outcome
from insectary.core.treatment import Effect, Fate, Rate
from insectary.mitigate import BUILT_IN, FinePruning, NoOp
from insectary.trials import mitigation, text_mitigation
from insectary.trials.strengths import at_strength, best, graded
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
    usual = text_mitigation.draw_questions

    def watched(*given: Any) -> Any:
        drawn.append(given[-1])
        return usual(*given)

    monkeypatch.setattr(text_mitigation, "draw_questions", watched)
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


@pytest.mark.parametrize(
    ("name", "strength", "words"),
    [
        ("noop", 1.0, "noop has no strength to set: leave the strength out"),
        ("quantization", 4.5, "does not take the strength 4.5; trials set it to 8, 4, 3"),
        ("quantization", 9.0, "bits is 9; from 2 to 8 make sense"),
        ("directional_ablation", 1.5, "scale must be from 0 to 1"),
        ("clean_sft", 0.3, "trials set it to 100,000, 400,000, 800,000"),
        ("safety_dpo", -800.0, "does not take the strength -800"),
        ("latent_adversarial_training", float("nan"), "does not take the strength nan"),
    ],
)
def test_a_strength_that_a_method_does_not_take_is_one_error(
    name: str, strength: float, words: str
) -> None:
    with pytest.raises(BadInputError, match=re.escape(words)):
        at_strength(BUILT_IN[name](), strength)


def test_the_command_refuses_a_strength_before_anything_is_loaded(
    laboratory: Laboratory, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = (
        f"mitigate {NAME}.organism --method fine_pruning --strength 1.5 --out {tmp_path / 'out'}"
    )
    assert cli.run(asked.split()) == 2
    assert "error: fine_pruning does not take the strength 1.5; trials" in capsys.readouterr().err
    assert laboratory.loaded == 0


def test_each_dial_takes_what_trials_set_it_to_and_what_lies_between() -> None:
    for method in (make() for make in BUILT_IN.values()):
        if isinstance(method, Dialled):
            assert [at_strength(method, s) for s in method.strengths] == [*graded(method)]
    assert at_strength(FinePruning(), 0.2) == FinePruning(share=0.2)


def test_a_member_is_treated_at_the_strength_that_was_asked_for(
    laboratory: Laboratory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mitigation, "mitigation", lambda name: Dial())
    told: list[str] = []
    made = insectary.mitigate_member(f"{NAME}.organism", "dial", strength=2.0, progress=told.append)
    assert made.id == f"{NAME}.organism.dial-at-2-0"
    assert told[-1] == f"{NAME}.organism: dial at 2"
    assert insectary.mitigate_member(f"{NAME}.organism", "dial").id.endswith(".dial-0")


def test_the_command_says_which_strength_was_selected(
    laboratory: Laboratory, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for place in ("insectary.trials.mitigation", "insectary.mitigate"):
        monkeypatch.setattr(f"{place}.mitigation", lambda name: Dial().at(0.0))
    asked = f"trial mitigate {NAME} --methods dial --detectors '' --out {tmp_path} --strengths"
    runner = CliRunner()
    said = runner.invoke(cli.app, f"{asked} selected")
    assert said.exit_code == 0, said.output
    told = " ".join(said.output.split())
    assert f"dial: 1 of 0, 1, 2 for {NAME}" in told
    # The control: nothing is selected where the usual one is measured.
    assert "of 0, 1, 2" not in runner.invoke(cli.app, f"{asked} usual").output
