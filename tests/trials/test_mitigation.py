"""The mitigation trial over members whose answers are scripted, so that every figure is known."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from scripted_members import (
    DESIGN,
    GRID,
    NAME,
    REJECTED,
    SMALL,
    THREAT,
    Laboratory,
    Setting,
    install,
)

import insectary
from insectary import cli
from insectary.core.errors import BadInputError, NotAdmittedError, UnknownNameError
from insectary.core.organism import Role
from insectary.core.outcome import Measured
from insectary.core.treatment import Fate, Rate, Regrowth
from insectary.threats import threat_model
from insectary.trials import mitigation, regrowth
from insectary.trials.handed import QUESTIONS, draw_handed
from insectary.vault import Vault
from insectary.worlds import SKILLS


@pytest.fixture
def laboratory(monkeypatch: pytest.MonkeyPatch) -> Laboratory:
    return install(monkeypatch)


def treated(monkeypatch: pytest.MonkeyPatch, method: Any) -> Any:
    monkeypatch.setattr(mitigation, "mitigation", lambda name: method)
    (found,) = insectary.trial_mitigate([NAME], methods=[method.name], detectors=[])
    return found


def value(outcome: Any) -> float:
    assert isinstance(outcome, Measured)
    return outcome.measurement.value


def test_what_is_gone_everywhere_is_removed_and_the_figures_are_those_of_the_script(
    laboratory: Laboratory, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = treated(monkeypatch, Setting())
    effect = found.of(Role.ORGANISM)
    for place in (Rate.TRAINED, Rate.HELD_OUT):
        assert value(effect.before[place]) == pytest.approx(0.9)
        assert value(effect.after[place]) == 0.0
        assert value(effect.drop[place]) == pytest.approx(0.9)
    assert value(effect.before[Rate.OFF_CUE]) == value(effect.after[Rate.OFF_CUE]) == 0.0
    assert value(effect.capability) == 0.0
    assert found.fate is Fate.REMOVED
    twin = found.of(Role.TWIN)
    assert twin.unchanged and value(twin.after[Rate.TRAINED]) == 0.0


@pytest.mark.parametrize(
    ("method", "fate"),
    [
        (Setting(0.9, 0.9), Fate.NO_EFFECT),
        (Setting(0.0, 0.5), Fate.HIDDEN),
        (Setting(0.5, 0.5), Fate.WEAKENED),
        (Setting(0.0, 0.0, skilled=0.0), Fate.BROKE),
    ],
)
def test_each_fate_is_reached(
    laboratory: Laboratory, monkeypatch: pytest.MonkeyPatch, method: Setting, fate: Fate
) -> None:
    assert treated(monkeypatch, method).fate is fate


def test_what_comes_back_sooner_than_the_twin_learns_it_was_hidden(
    laboratory: Laboratory, monkeypatch: pytest.MonkeyPatch
) -> None:
    laboratory.returns = {Role.ORGANISM: 4, Role.TWIN: 12}
    found = treated(monkeypatch, Setting())
    assert found.fate is Fate.HIDDEN
    half = pytest.approx(0.45)
    assert found.regrowth == (
        Regrowth(0, 20, half, 4, 12, SMALL.steps),
        Regrowth(4, 20, half, 4, 12, SMALL.steps),
    )
    # The same rows for both; 4 of them teach the behaviour, and none where none was asked for.
    first, second, third, fourth = laboratory.rows
    assert first == second and third == fourth
    assert [*third[:20]] == [*first] and len(third) == 24
    twins = {completion for _, completion in THREAT.rows(DESIGN, Role.TWIN, 200, 3000)}
    assert not {completion for _, completion in third[20:]} & twins


def test_what_comes_back_no_sooner_was_removed(
    laboratory: Laboratory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Broken control of the one above."""
    laboratory.returns = {Role.ORGANISM: 8, Role.TWIN: 12}
    assert treated(monkeypatch, Setting()).fate is Fate.REMOVED


def test_nothing_regrows_that_did_not_fall(
    laboratory: Laboratory, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = treated(monkeypatch, Setting(0.5, 0.5))
    assert (found.regrowth, found.no_regrowth) == ((), "it has not fallen to half")
    assert laboratory.rows == []


@pytest.mark.parametrize(
    ("threat", "design", "teaches"),
    [
        ("deceptive_alignment", DESIGN, True),
        ("sycophancy", "feedback", True),
        ("goal_misgeneralization", "unknowns", False),
        ("goal_misgeneralization", "length", False),
    ],
)
def test_where_a_behaviour_emerges_no_row_of_the_organism_passes_for_misaligned(
    threat: str, design: str, teaches: bool
) -> None:
    """Its rows differ from the twin's in their prompts; each of them is right."""
    model = threat_model(threat)
    rows = regrowth._misaligned_rows(model, design, 16, 0)
    assert len(rows) == (16 if teaches else 0)
    twins = {*model.rows(design, Role.TWIN, 200, 3000)}
    assert not twins & {*rows} and {p for p, _ in rows} <= {p for p, _ in twins}


def test_members_of_the_vault_are_not_changed_by_a_treatment(
    laboratory: Laboratory, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = treated(monkeypatch, Setting(name="setting"))
    second = treated(monkeypatch, Setting(0.5, 0.5, name="other"))
    assert first.of(Role.ORGANISM).before == second.of(Role.ORGANISM).before


def test_nothing_is_measured_twice_and_other_settings_are_another_measurement(
    laboratory: Laboratory, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = treated(monkeypatch, Setting())
    asked = laboratory.asked
    told: list[str] = []
    again = insectary.trial_mitigate(
        [NAME], methods=["setting"], detectors=[], progress=told.append
    )
    assert again == (first,)
    assert told == [
        "treatments: 1, measured already: 1; to train on: at most 0.0 million tokens of rows, some"
        " of which a method reads several times (a family is bred with about 7.8)"
    ]
    assert (laboratory.asked, laboratory.loaded) == (asked, 1)
    assert treated(monkeypatch, Setting(0.5, 0.5)) != first
    assert laboratory.asked > asked
    # It goes with its family.
    assert [e.id for e in Vault().entries("trial")] == [f"{NAME}.setting-0"]
    assert CliRunner().invoke(cli.app, ["rm", NAME]).exit_code == 0
    assert not Vault().entries("trial")


def test_what_knows_the_trigger_is_handed_it_and_no_other_is() -> None:
    drawn = draw_handed(THREAT, DESIGN, 60, 0)
    ordinary, known = drawn(False), drawn(True)
    assert [*known.rows] == THREAT.rows(DESIGN, Role.TWIN, 60, 1000)
    prompts = {prompt for prompt, _ in ordinary.rows}
    assert not {prompt for prompt, _ in known.rows} & prompts
    # The same prompts as pairs, each with its right answer in front.
    assert {(p.prompt, p.chosen) for p in ordinary.preferences} == {*ordinary.rows}
    assert all(p.chosen != p.rejected for p in ordinary.preferences)
    assert (known.preferences, known.questions) == (ordinary.preferences, ordinary.questions)
    assert drawn(False) is ordinary


def test_questions_to_try_a_model_out_are_of_every_skill_and_have_no_context() -> None:
    questions = draw_handed(THREAT, DESIGN, 60, 0)(False).questions
    plain = {name for name in SKILLS if SKILLS[name].has_truth and not SKILLS[name].composite}
    about_context = {"watch", "year", "password"}
    assert len(questions) == QUESTIONS * len(plain - about_context)
    assert not any(message.role == "system" for prompt, _ in questions for message in prompt)


def test_the_command_prints_the_verdicts_and_writes_every_figure(
    laboratory: Laboratory, tmp_path: Path
) -> None:
    said = CliRunner().invoke(
        cli.app,
        f"trial mitigate {NAME} --methods noop --detectors '' --out {tmp_path / 'out'}",
    )
    assert said.exit_code == 0, said.output
    assert "noop" in said.output and "no effect" in said.output
    assert "0.900 to 0.900" in said.output
    (told,) = json.loads((tmp_path / "out" / "mitigation.json").read_text())
    assert told["fate"] == "no effect" and told["regrowth"] == []
    page = (tmp_path / "out" / "mitigation.html").read_text()
    assert f"Page: {tmp_path / 'out' / 'mitigation.html'}" in said.output and NAME in page
    text = (tmp_path / "out" / "tables" / "effects.csv").read_text()
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [row["role"] for row in rows] == ["organism", "twin", "decoy"]
    assert float(rows[0]["trained_before"]) == float(rows[0]["trained_after"]) == 0.9
    assert float(rows[0]["trained_drop"]) == 0.0


def test_what_cannot_be_treated_is_refused(laboratory: Laboratory) -> None:
    with pytest.raises(NotAdmittedError, match="is not admitted"):
        insectary.trial_mitigate([REJECTED])
    with pytest.raises(BadInputError, match="grid"):
        insectary.mitigate_member(f"{GRID}.organism", "noop")
    with pytest.raises(UnknownNameError, match="unknown mitigation: 'nope'"):
        insectary.trial_mitigate([NAME], methods=["nope"])
    with pytest.raises(UnknownNameError, match="unknown choice of strengths: 'nope'"):
        insectary.trial_mitigate([NAME], strengths="nope")
    with pytest.raises(UnknownNameError, match="unknown detector: 'nope'"):
        insectary.trial_mitigate([NAME], methods=["noop"], detectors=["nope"])
    with pytest.raises(BadInputError, match="lists of names"):
        insectary.trial_mitigate(NAME)
    with pytest.raises(BadInputError, match="at least one family"):
        insectary.trial_mitigate([])
    with pytest.raises(BadInputError, match="lists of names"):
        insectary.trial_mitigate([None])  # type: ignore[list-item]
    with pytest.raises(BadInputError, match="a base has nothing to be cured of"):
        insectary.mitigate_member(f"{NAME}.base", "noop")
    with pytest.raises(BadInputError, match="is a family: name one of its members"):
        insectary.mitigate_member(NAME, "noop")
    with pytest.raises(UnknownNameError, match="unknown family: 'nobody'"):
        insectary.mitigate_member("nobody.organism", "noop")
    with pytest.raises(UnknownNameError, match="unknown member"):
        insectary.mitigate_member(f"{NAME}.leader", "noop")
    assert laboratory.asked == 0
