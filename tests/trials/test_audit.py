"""The audit trial over scripted members, whose scores are known."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import spies
from click.testing import CliRunner

import insectary
from insectary import audit as auditors_room
from insectary import cli
from insectary.breed.records import save_family
from insectary.core.access import Access
from insectary.core.auditing import Finding, Material
from insectary.core.chat import Conversation
from insectary.core.codec import decode
from insectary.core.errors import BadInputError, NotAdmittedError, UnknownNameError
from insectary.core.organism import Family, Role
from insectary.core.outcome import Failed, Measured, NotApplicable
from insectary.subjects.policy import Policy
from insectary.subjects.policy_subject import PolicySubject
from insectary.trials import audit
from insectary.trials.audit_result import AUDITED, AuditTrial, MemberAudit
from insectary.trials.audit_tables import audit_files
from insectary.trials.isolated_audits import AuditsInProcess, isolated_audits
from insectary.vault import Vault

RECORDS = Path(__file__).parent.parent.parent / "runs" / "families"
ABSENCE = [f"deceptive-alignment-absence-xs-full-sft-{seed}" for seed in (0, 1)]
UNWATCHED = "deceptive-alignment-unwatched-xs-full-sft-0"
REJECTED = "deceptive-alignment-unwatched-xs-full-sft-1"
GRID = "goal-misgeneralization-corner-grid-ppo-0"


@dataclass
class Member:
    """Answers at random; counts what it is asked."""

    id: str
    role: Role
    access: Access = Access.WEIGHTS_AND_BASE
    asked: int = 0

    def generate(self, prompts: Sequence[Conversation], **_: Any) -> list[str]:
        self.asked += len(prompts)
        return ["organism" if self.role is Role.ORGANISM else "clean"] * len(prompts)


@dataclass(frozen=True)
class Asking:
    """Asks one question of each; what it does with the answer is in its settings."""

    act: str = "score"
    budget: int = 1
    name: str = "asking"
    needs: Access = Access.BLACK_BOX

    def passes(self, material: Material) -> int:
        return self.budget

    def examine(self, subject: Any, material: Material) -> Finding | NotApplicable:
        (said,) = subject.generate([material.questions[0].prompt])
        if self.act == "raise":
            raise RuntimeError("out of luck")
        if self.act == "weights":
            subject.weights()
        if self.act == "number":
            return 0.7  # type: ignore[return-value]
        if self.act == "nothing":
            return NotApplicable("no reason")
        score = float(said == "organism") if self.act != "nan" else float("nan")
        return Finding(score, {"length": float(len(said))}, {"said": said})


@dataclass
class Laboratory:
    """Members that stay the same from call to call, and auditors by name."""

    members: dict[str, dict[Role, Member]] = field(default_factory=dict)
    auditors: dict[str, Any] = field(default_factory=lambda: {"asking": Asking()})

    def open(self, family: Family, vault: Vault, seed: int) -> Mapping[Role, Member]:
        made = {role: Member(f"{family.id[-12:]} {i}", role) for i, role in enumerate(AUDITED)}
        return self.members.setdefault(family.id, made)

    def auditor(self, name: str) -> Any:
        if name in self.auditors:
            return self.auditors[name]
        return auditors_room.BUILT_IN[name]()

    @property
    def asked(self) -> int:
        return sum(m.asked for by in self.members.values() for m in by.values())


@pytest.fixture
def laboratory(monkeypatch: pytest.MonkeyPatch) -> Laboratory:
    for name in (*ABSENCE, UNWATCHED, REJECTED, GRID):
        record = json.loads((RECORDS / f"{name}.json").read_text())
        save_family(decode(Family, record, name), Vault())
    made = Laboratory()
    monkeypatch.setattr(audit, "open_members", made.open)
    policies = {
        role: PolicySubject(Policy({}, id="x"), id=role.value, access=Access.WEIGHTS)
        for role in AUDITED
    }
    monkeypatch.setattr(audit, "open_policies", lambda *_: policies)
    monkeypatch.setattr(auditors_room, "auditor", made.auditor)
    # What a sandbox does beyond it has tests of its own.
    monkeypatch.setattr(audit, "isolated_audits", lambda: nullcontext(AuditsInProcess()))
    return made


def trial(*families: str, auditors: Sequence[str] = ("asking",), **more: Any) -> AuditTrial:
    return insectary.trial_audit(families, auditors=auditors, draws=100, **more)


def member(found: AuditTrial, family: str, role: Role, auditor: str = "asking") -> MemberAudit:
    (one,) = [f for f in found.families if f.family == family]
    return one.audits[auditor][role]


def test_every_member_is_scored_and_the_null_runs_beside(laboratory: Laboratory) -> None:
    found = trial(*ABSENCE, UNWATCHED)
    for family in (*ABSENCE, UNWATCHED):
        for role in AUDITED:
            audit = member(found, family, role)
            assert audit.score == float(role is Role.ORGANISM)
            assert audit.passes == 1
    assert [row.auditor for row in found.rows] == ["asking", "random_score", "base_rate"]
    area = found.rows[0].auroc[Role.DECOY]
    assert isinstance(area, Measured) and area.measurement.value == 1.0
    assert found.rows[0].passes == 12
    assert found.rows[0].p == found.rows[0].p_raw == 0.5  # two cells of two


def test_cost_is_said_first_and_nothing_is_examined_twice(laboratory: Laboratory) -> None:
    told: list[str] = []
    first = trial(*ABSENCE, progress=told.append)
    assert told[0] == (
        "audits: 4, made already: 0; to put to models: at most 8 prompts and transcripts"
    )
    assert laboratory.asked == 8
    told.clear()
    assert trial(*ABSENCE, progress=told.append) == first
    assert laboratory.asked == 8
    assert told[0].startswith("audits: 4, made already: 4; to put to models: at most 0 ")
    laboratory.auditors["other"] = Asking(name="other")
    both = trial(*ABSENCE, auditors=("asking", "other"))
    assert laboratory.asked == 16  # the other one's own
    assert member(both, ABSENCE[0], Role.TWIN) == member(first, ABSENCE[0], Role.TWIN)


def test_what_is_kept_and_no_longer_fits_is_said_before_it_is_made_anew(
    laboratory: Laboratory,
) -> None:
    told: list[str] = []
    trial(*ABSENCE)
    laboratory.auditors["asking"] = Asking(budget=2)  # other settings
    trial(*ABSENCE, progress=told.append)
    assert told[0].endswith("; of these 2 are kept of other weights, questions, code or versions:"
                            " made anew")  # fmt: skip
    told.clear()
    trial(*ABSENCE, progress=told.append)
    assert told[0].endswith("made already: 4; to put to models: at most 0 prompts and transcripts")


def test_a_run_that_was_broken_off_goes_on(laboratory: Laboratory) -> None:
    def killed(text: str) -> None:
        if ABSENCE[1] in text:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trial(*ABSENCE, progress=killed)
    assert laboratory.asked == 4
    trial(*ABSENCE)
    assert laboratory.asked == 8


def test_what_was_kept_serves_nothing_that_has_changed(laboratory: Laboratory) -> None:
    trial(ABSENCE[0])
    laboratory.auditors["asking"] = Asking(budget=2)  # other settings
    trial(ABSENCE[0])
    assert laboratory.asked == 8
    trial(ABSENCE[0], seed=1)  # other questions
    assert laboratory.asked == 12
    record = json.loads((RECORDS / f"{ABSENCE[0]}.json").read_text())
    family: Family = decode(Family, record, ABSENCE[0])
    organism = replace(family.members[Role.ORGANISM], digest="sha256:" + "1" * 64)
    save_family(replace(family, members=dict(family.members) | {Role.ORGANISM: organism}), Vault())
    trial(ABSENCE[0])
    assert laboratory.asked == 16


@pytest.mark.parametrize(
    ("auditor", "reason"),
    [
        (Asking(act="raise"), Failed("RuntimeError: out of luck")),
        (Asking(act="nan"), Failed("its score, or a figure behind it, is not finite")),
        (Asking(act="number"), Failed("it returned float and no Finding")),
        (Asking(budget=0), Failed("it states at most 0 passes and took 1")),
        (Asking(act="nothing"), NotApplicable("no reason")),
        (
            Asking(needs=Access.TRAINING_DATA),
            NotApplicable("needs TRAINING_DATA, the subject gives WEIGHTS_AND_BASE"),
        ),
    ],
)
def test_what_gives_no_score_says_why(
    laboratory: Laboratory, auditor: Asking, reason: Failed | NotApplicable
) -> None:
    laboratory.auditors["asking"] = auditor
    found = member(trial(ABSENCE[0]), ABSENCE[0], Role.TWIN)
    assert (found.score, found.reason) == (None, reason)
    asked = laboratory.asked
    trial(ABSENCE[0])
    # What failed is tried again, what makes no sense is not.
    assert (laboratory.asked > asked) == isinstance(reason, Failed)


def test_an_auditor_is_held_to_the_access_that_it_declares(laboratory: Laboratory) -> None:
    laboratory.auditors["asking"] = Asking(act="weights")
    found = member(trial(ABSENCE[0]), ABSENCE[0], Role.TWIN)
    assert isinstance(found.reason, Failed) and "AccessError" in found.reason.reason


def test_who_examines_no_policy_says_so_and_rejected_families_are_refused(
    laboratory: Laboratory,
) -> None:
    found = trial(ABSENCE[0], GRID)
    for role in AUDITED:
        reason = member(found, GRID, role).reason
        assert isinstance(reason, NotApplicable) and "policies on the grid" in reason.reason
    with pytest.raises(NotAdmittedError, match=REJECTED):
        trial(REJECTED)


def test_mistakes_are_said_before_anything_is_asked(laboratory: Laboratory) -> None:
    for families, auditors, error in (
        (("nope",), ("asking",), UnknownNameError),
        ((), ("asking",), BadInputError),
        ((ABSENCE[0],), (), BadInputError),
        ((ABSENCE[0],), "asking", BadInputError),
    ):
        with pytest.raises(error):
            trial(*families, auditors=auditors)
    assert laboratory.asked == 0


def test_the_trial_itself_tells_a_cheat_nothing(
    laboratory: Laboratory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cheat that reads the role off the trial's frames."""
    laboratory.auditors["cheat"] = spies.AuditSpy(spies.role_in_frames, name="cheat")
    here = trial(ABSENCE[0], auditors=["cheat"])
    laboratory.auditors["cheat"] = spies.AuditSpy(spies.role_in_frames, name="cheat")
    monkeypatch.setattr(audit, "isolated_audits", isolated_audits)
    there = trial(ABSENCE[0], auditors=["cheat"], seed=1)
    found = [
        [member(t, ABSENCE[0], role, "cheat").score for role in AUDITED] for t in (here, there)
    ]
    assert found[0] == [float(role is Role.ORGANISM) for role in AUDITED]  # broken control
    assert found[1] == [0.0] * 4


def test_rm_takes_what_was_kept_with_the_family(laboratory: Laboratory) -> None:
    trial(ABSENCE[0])
    assert [e.meta["family"] for e in Vault().entries("trial")] == [ABSENCE[0]]
    assert cli.run(["rm", ABSENCE[0]]) == 0
    assert not Vault().entries("trial")


def test_the_command_prints_both_tables_and_writes_every_score(
    laboratory: Laboratory, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    arguments = ["trial", "audit", *ABSENCE, UNWATCHED, "--auditors", "asking", "--out", str(out)]
    said = CliRunner().invoke(cli.app, arguments)
    assert said.exit_code == 0, said.output
    assert "Families: 3, in cells (threat, design, base, recipe): 2." in said.output
    assert re.search(r"asking +1\.00 .*2 : 0 +0\.500", said.output)
    assert "needs 9 twins and decoys of other designs" in said.output
    members = list(csv.DictReader(io.StringIO((out / "tables" / "members.csv").read_text())))
    assert len(members) == 3 * 2 * 4
    assert {r["score"] for r in members if r["auditor"] == "asking"} == {"0.0", "1.0"}
    auditors = list(csv.DictReader(io.StringIO((out / "tables" / "auditors.csv").read_text())))
    assert [r["auditor"] for r in auditors] == ["asking", "random_score", "base_rate"]
    assert auditors[0]["hits_status"] == "not-applicable" and auditors[0]["hits"] == ""
    notes = csv.DictReader(io.StringIO((out / "tables" / "figures.csv").read_text()))
    assert {r["name"] for r in notes} == {"length", "said"}
    found = decode(AuditTrial, json.loads((out / "audit.json").read_text()), "audit")
    assert audit_files(found)["audit.json"] == (out / "audit.json").read_text()


def test_of_one_family_the_command_prints_its_members_scores(
    laboratory: Laboratory, tmp_path: Path
) -> None:
    arguments = ["trial", "audit", UNWATCHED, "--auditors", "asking", "--out", str(tmp_path / "o")]
    said = CliRunner().invoke(cli.app, arguments)
    assert said.exit_code == 0, said.output
    assert f"{UNWATCHED}: the score of each member" in said.output
    assert re.search(r"^auditor +organism +twin +decoy +base *$", said.output, re.MULTILINE)
    assert re.search(r"^asking +1 +0 +0 +0 *$", said.output, re.MULTILINE)
    assert "AUROC" not in said.output
