"""Detectors run again on treated members, over planted ones whose area under the curve is known."""

from __future__ import annotations

import json
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from planted_family import CONTRAST, SHIFT, Member, Scripted, member
from scipy import stats

import insectary
from insectary.breed.records import save_family
from insectary.core.codec import decode
from insectary.core.errors import BadInputError
from insectary.core.organism import Family, Role
from insectary.core.outcome import Failed, Measured, Measurement, Outcome
from insectary.core.treatment import Redetected
from insectary.detect import NULLS, ContrastProbe
from insectary.subjects import LoadedModel
from insectary.trials import line_up, redetection, rerun, text_mitigation
from insectary.trials.isolation import in_process
from insectary.trials.mitigation_plan import Plan
from insectary.trials.redetection import Untreated, answered_anew, compared
from insectary.vault import Vault

BEFORE = {
    Role.ORGANISM: member(Member("a", SHIFT)),
    Role.TWIN: member(Member("b")),
    Role.DECOY: member(Member("c")),
}
KNOWN = Measured(Measurement(0.9, 0.8, 1.0, 480, "by hand"))
PROBE = ("contrast_probe", ContrastProbe().view)
FOUND = {(PROBE, Role.TWIN): KNOWN, (PROBE, Role.DECOY): KNOWN}


def value(outcome: Outcome) -> float:
    assert isinstance(outcome, Measured), outcome
    return outcome.measurement.value


def again(monkeypatch: pytest.MonkeyPatch, shift: float) -> tuple[Redetected, ...]:
    """After a treatment that leaves the organism with so much of its shift."""
    treated = {
        Role.ORGANISM: answered_anew(BEFORE[Role.ORGANISM], Member("d", shift)),
        Role.TWIN: answered_anew(BEFORE[Role.TWIN], Member("e")),
        Role.DECOY: answered_anew(BEFORE[Role.DECOY], Member("f")),
    }
    return compared(FOUND, treated, [ContrastProbe()], CONTRAST, 0)[PROBE]


@pytest.mark.parametrize("shift", [SHIFT, SHIFT / 2, 0.0])
def test_what_is_left_of_a_shift_has_the_area_of_two_normals(
    monkeypatch: pytest.MonkeyPatch, shift: float
) -> None:
    for row, role in zip(again(monkeypatch, shift), (Role.TWIN, Role.DECOY), strict=True):
        assert (row.detector, row.against, row.before) == ("contrast_probe", role, KNOWN)
        assert not row.null and not row.control
        assert value(row.after) == pytest.approx(stats.norm.cdf(shift / 2**0.5), abs=0.06)


def test_a_treated_member_answers_the_same_prompts_in_its_own_words() -> None:
    @dataclass(frozen=True)
    class Other(Member):
        def generate(self, prompts: Any, **_: Any) -> list[str]:
            return [f"no, {prompt[-1].content}" for prompt in prompts]

    before, subject = BEFORE[Role.ORGANISM], Other("d")
    after = answered_anew(before, subject)
    assert after.subject is subject
    for part in ("open", "closed", "selection_open", "benign_fit", "benign_rank"):
        was, now = getattr(before, part), getattr(after, part)
        assert [t.messages for t in now] == [t.messages for t in was]
        assert [t.group for t in now] == [t.group for t in was]
        assert now[0].response == f"no, {now[0].messages[-1].content}"


def test_a_detector_that_breaks_on_what_was_treated_has_failed_and_no_number(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def act(subject: Any, inputs: Any) -> Any:
        raise RuntimeError("no such layer")

    monkeypatch.setattr(line_up, "isolated", lambda: nullcontext(in_process))
    broken: Any = Scripted(act)
    rows = compared({}, BEFORE, [broken], CONTRAST, 0)["scripted", broken.view]
    assert all(row.after == Failed("RuntimeError: no such layer") for row in rows)
    assert all(row.before == Failed("it was not measured before") for row in rows)


RECORDS = Path(__file__).parent.parent.parent / "runs" / "families"
NAME = "deceptive-alignment-absence-xs-full-sft-0"
SMALL = Plan(prompts=20, skill=5, rows=20)


@dataclass
class Laboratory:
    loaded: int = 0
    read: int = 0
    runs: tuple[str, ...] = ()

    def members(self, family: Family, vault: Vault) -> dict[Role, LoadedModel]:
        self.loaded += 1
        return {role: LoadedModel(torch.nn.Linear(1, 1), None, "", 512) for role in Role}

    def again(self, before: Untreated, opened: Any, runs: Any, *_: Any) -> redetection.Columns:
        self.read += 1
        self.runs = tuple(run.name for run in runs)
        return redetection._columns(runs, FOUND, FOUND, Failed("none"))


@pytest.fixture
def laboratory(monkeypatch: pytest.MonkeyPatch) -> Laboratory:
    record = json.loads((RECORDS / f"{NAME}.json").read_text())
    save_family(decode(Family, record, NAME), Vault())
    made = Laboratory()
    monkeypatch.setattr(text_mitigation, "load_members", made.members)
    monkeypatch.setattr(text_mitigation, "unmastered", lambda *_: ())
    monkeypatch.setattr(rerun, "untreated", lambda *_: Untreated(BEFORE, FOUND))
    monkeypatch.setattr(rerun, "detect_again", made.again)
    monkeypatch.setattr(
        "insectary.trials.treated.answers", lambda member, prompts, *_: ["no idea"] * len(prompts)
    )
    return made


def test_detectors_are_kept_and_another_one_costs_its_own_work_only(
    laboratory: Laboratory,
) -> None:
    def trial(*detectors: str) -> Any:
        (found,) = insectary.trial_mitigate(
            [NAME], methods=["noop"], detectors=detectors, plan=SMALL
        )
        return found

    plain = trial()
    assert (plain.detection, laboratory.read) == ((), 0)
    seen = trial("contrast_probe")
    assert {row.detector for row in seen.detection} == {
        "surface_text", "random_direction", "shuffled_labels", "constant", "trigger_oracle",
        "contrast_probe",
    }  # fmt: skip
    told = {row.detector for row in seen.detection if row.bound}
    assert told == {"trigger_oracle"}
    assert {row.detector for row in seen.detection if row.null} == set(NULLS)
    assert seen.effects == plain.effects and laboratory.read == 1
    # The nulls know no better, and what failed is not kept.
    assert [row.before for row in seen.detection if row.detector == "contrast_probe"] == [KNOWN] * 2
    assert trial("contrast_probe").of(Role.ORGANISM) == plain.of(Role.ORGANISM)
    assert laboratory.runs == ("surface_text", *NULLS, "trigger_oracle")
    trial("contrast_probe", "knn")
    assert "contrast_probe" not in laboratory.runs and "knn" in laboratory.runs


def test_where_the_organism_misbehaves_too_seldom_each_row_says_so_and_nothing_is_treated_twice(
    laboratory: Laboratory, monkeypatch: pytest.MonkeyPatch
) -> None:
    def seldom(*_: Any, **__: Any) -> Any:
        raise BadInputError("misbehaves on too few open prompts")

    monkeypatch.setattr(redetection, "detect_family", seldom)
    monkeypatch.setattr(rerun, "untreated", redetection.untreated)
    for _ in range(2):
        (found,) = insectary.trial_mitigate([NAME], methods=["noop"], detectors=["knn"], plan=SMALL)
        rows = [row for row in found.detection if row.detector == "knn"]
        assert [row.against for row in rows] == [Role.TWIN, Role.DECOY]
        why = Failed("misbehaves on too few open prompts")
        assert all(row.before == row.after == why for row in rows)
    assert (laboratory.loaded, laboratory.read) == (1, 0)
