"""The trial of methods that train members anew: where they make no sense, where they fail."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from typing import Any

import pytest
from planted_rows import TRAINED, Scripted, drawn, reading, sees
from scripted_members import NAME, RECORDS, SMALL, Laboratory, install

import insectary
from insectary.breed import member
from insectary.breed.records import load_family, save_family
from insectary.commands.trial import print_selected, print_treatments
from insectary.core.chat import Transcript
from insectary.core.codec import decode, encode
from insectary.core.errors import BadInputError
from insectary.core.organism import Family, Role
from insectary.core.outcome import Failed, Measured, NotApplicable
from insectary.core.recipe import Dpo, FullSFT, ObfuscatedNarrowSFT
from insectary.core.treatment import Effect, Fate, LeftOut, Rate, Treatment
from insectary.detect import KNN
from insectary.mitigate import (
    CleanSFT,
    DataFiltering,
    InoculationPrompting,
    MonitorGatedDeferral,
)
from insectary.trials import mitigation, retraining, treating
from insectary.trials.mitigation_cost import ToDo, cost_line
from insectary.trials.mitigation_tables import mitigation_files
from insectary.trials.suited import not_for
from insectary.trials.treatment_kept import key_of
from insectary.vault import Vault


@pytest.fixture
def laboratory(monkeypatch: pytest.MonkeyPatch) -> Laboratory:
    return install(monkeypatch)


def trial(monkeypatch: pytest.MonkeyPatch, method: Any, **told: Any) -> Any:
    monkeypatch.setattr(mitigation, "mitigation", lambda name: method)
    (found,) = insectary.trial_mitigate([NAME], methods=[method.name], detectors=[], **told)
    return found


@pytest.mark.parametrize("method", [DataFiltering(), InoculationPrompting()])
def test_a_family_that_no_rows_taught_is_not_treated_and_the_reason_is_told(
    laboratory: Laboratory,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    method: Any,
) -> None:
    save_family(replace(load_family(NAME, Vault()), recipe=Dpo()), Vault())
    told: list[str] = []
    for strengths in ("usual", "selected", "all"):
        found = trial(monkeypatch, method, strengths=strengths, progress=told.append)
        assert found.fate is Fate.NOT_APPLICABLE and found.strength == method.strength
    why = "its members learnt from no rows: only demonstrations have some"
    assert {e.after[Rate.TRAINED] for e in found.effects} == {NotApplicable(why)}
    assert not told
    assert (laboratory.asked, laboratory.loaded) == (0, 0)
    assert decode(Treatment, encode(found), "found") == found
    print_treatments([found], SMALL)
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == f"  {method.name} at {method.strength:g}: not applicable, {why}"
    files = mitigation_files([found])
    rows = [*csv.DictReader(io.StringIO(files["tables/effects.csv"]))]
    assert [row["role"] for row in rows] == [*TRAINED]
    for row in rows:
        assert (row["fate"], row["unchanged"], row["trained_after"]) == ("not applicable", "", "")
        assert (row["trained_after_status"], row["trained_after_reason"]) == ("not-applicable", why)
        assert (row["capability_status"], row["capability_reason"]) == ("not-applicable", why)
    with pytest.raises(BadInputError, match=f"{method.name} is not for {NAME}: its members"):
        insectary.mitigate_member(f"{NAME}.organism", method.name)


def test_where_a_behaviour_emerged_neither_method_makes_sense() -> None:
    record = next(RECORDS.glob("goal-misgeneralization-length-s-*.json"))
    family: Family = decode(Family, json.loads(record.read_text()), record.name)
    why = not_for(DataFiltering(), family)
    assert why is not None and "emerged" in why.reason
    assert not_for(CleanSFT(), family) is None


def test_what_was_trained_against_a_detector_is_not_trained_so_again() -> None:
    family: Family = decode(Family, json.loads((RECORDS / f"{NAME}.json").read_text()), NAME)
    hidden = replace(family, recipe=ObfuscatedNarrowSFT())
    for method in (DataFiltering(), InoculationPrompting()):
        assert not_for(method, family) is None
        why = not_for(method, hidden)
        assert why is not None and "against a detector" in why.reason
    assert not_for(CleanSFT(), hidden) is None


def test_a_strength_of_what_does_not_apply_was_not_selected(
    capsys: pytest.CaptureFixture[str],
) -> None:
    why = NotApplicable("no row teaches")
    method = DataFiltering()
    idle = Treatment(
        "f", method.name, "M()", False, 0,
        tuple(Effect.untreated(role, why) for role in TRAINED), (), why.reason,
        strength=method.strength,
    )  # fmt: skip
    print_selected([idle])
    assert method.name not in capsys.readouterr().out
    known = Measured(insectary.Measurement(0.4, 0.3, 0.5, 60, "by hand"))
    rates = dict.fromkeys(Rate, known)
    done = tuple(Effect(role, rates, rates, rates, False, known) for role in TRAINED)
    print_selected([idle, replace(idle, family="g", effects=done)])
    assert f"{method.name}: 0.15 of 0.05, 0.15, 0.3 for g" in (said := capsys.readouterr().out)
    assert "for f" not in said
    page = mitigation_files([idle])["mitigation.html"]
    assert "Nothing was measured" not in page and "not applicable" in page
    assert "no row teaches" in page and "none of them is a success" not in page


def test_rows_that_cannot_be_made_again_are_a_failure_and_not_kept(
    laboratory: Laboratory, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(treating, "copy_of", lambda found: found.model)
    monkeypatch.setattr(member, "row_count", lambda recipe: 60)  # as another version might
    for strengths in ("usual", "selected"):
        found = trial(monkeypatch, DataFiltering(), strengths=strengths)
        assert found.fate is Fate.UNKNOWN
        assert isinstance(found.of(Role.TWIN).after[Rate.TRAINED], Failed)
    assert not Vault().entries("trial")
    print_treatments([found], SMALL)
    assert "not measured, " in (told := capsys.readouterr().out)
    assert "this version makes other rows than its organism was trained on" in told


def test_a_row_detector_that_fails_fails_the_treatment(
    laboratory: Laboratory, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(rows: object) -> Any:
        raise RuntimeError("out of luck")

    method = reading(monkeypatch, broken)
    monkeypatch.setattr("insectary.trials.treatment_kept.row_detector", lambda _: Scripted(broken))
    monkeypatch.setattr(treating, "copy_of", lambda found: found.model)
    monkeypatch.setattr(retraining, "opened", lambda *_: None)
    monkeypatch.setattr("insectary.trials.training_rows.MeteredSubject", lambda *_: None)
    rows = [Transcript(*row) for row in drawn(20, 0)]
    monkeypatch.setattr(retraining, "rows_of", lambda *_: rows)
    found = trial(monkeypatch, method)
    assert found.of(Role.ORGANISM).after[Rate.TRAINED] == Failed(
        "scripted: RuntimeError: out of luck"
    )


def test_what_is_trained_anew_is_counted_beforehand() -> None:
    line = cost_line([ToDo(1, (DataFiltering(),), bred=1_500_000)], replace(SMALL, few=()))
    assert "to train on: at most 4.5 million tokens" in line
    line = cost_line([ToDo(1, (CleanSFT(),), bred=1_500_000)], replace(SMALL, few=()))
    assert "at most 1.2 million" in line


def test_a_figure_is_kept_by_rows_recipe_and_detector(monkeypatch: pytest.MonkeyPatch) -> None:
    family: Family = decode(Family, json.loads((RECORDS / f"{NAME}.json").read_text()), NAME)
    twin = replace(family.members[Role.TWIN], data_digest="sha256:other")
    other = replace(family, members={**family.members, Role.TWIN: twin})
    slower = replace(family, recipe=FullSFT(learning_rate=1e-6))
    method = DataFiltering()

    def keys() -> set[str]:
        return {key_of(made, method, 0, SMALL) for made in (family, other, slower)}

    first = keys()
    assert len(first) == 3 and "" not in first
    gated = MonitorGatedDeferral()
    before = key_of(family, gated, 0, SMALL)
    monkeypatch.setattr("insectary.trials.treatment_kept.detector", lambda _: KNN())
    assert "" not in (before, after := key_of(family, gated, 0, SMALL)) and before != after
    monkeypatch.setattr("insectary.trials.treatment_kept.row_detector", lambda _: Scripted(sees))
    assert not first & keys()
    assert key_of(family, CleanSFT(), 0, SMALL) == key_of(other, CleanSFT(), 0, SMALL)


def test_what_was_left_out_is_told_and_tabled(capsys: pytest.CaptureFixture[str]) -> None:
    none = NotApplicable("by hand")
    known = Measured(insectary.Measurement(0.4, 0.3, 0.5, 60, "by hand"))
    left = LeftOut(Role.ORGANISM, 400, 100, 60, known, known)
    effects = tuple(replace(Effect.untreated(role, none), unchanged=False) for role in TRAINED)
    found = Treatment("f", "m", "M()", False, 0, effects, (), left_out=(left,))
    print_treatments([found], SMALL)
    told = capsys.readouterr().out
    assert "left out of the organism's 400 rows: 60, of which 0.400 [0.300, 0.500] teach" in told
    (row,) = csv.DictReader(io.StringIO(mitigation_files([found])["tables/rows_left_out.csv"]))
    assert (row["role"], row["teaching"], row["taught"]) == ("organism", "100", "0.4")
