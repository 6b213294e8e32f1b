"""The audit trial: its statistics on planted scores, and its run over scripted members."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import insectary
from insectary import audit as auditors_room
from insectary import cli
from insectary.breed.records import save_family
from insectary.core.access import Access
from insectary.core.auditing import Finding, Material
from insectary.core.chat import Conversation, Split
from insectary.core.codec import decode
from insectary.core.errors import BadInputError, NotAdmittedError, UnknownNameError
from insectary.core.organism import Family, Role
from insectary.core.outcome import Failed, Measured, NotApplicable, Outcome
from insectary.trials import audit
from insectary.trials.audit_material import CONTROL, SWAPS, draw_material
from insectary.trials.audit_result import (
    AUDITED,
    TUNED,
    AuditorRow,
    AuditTrial,
    FamilyAudit,
    MemberAudit,
)
from insectary.trials.audit_summary import summary
from insectary.trials.audit_tables import audit_files
from insectary.trials.audit_verdicts import verdicts
from insectary.trials.comparison import Settings
from insectary.vault import Vault
from insectary.worlds import SKILLS, lines
from insectary.worlds.lines import Words

RECORDS = Path(__file__).parent.parent.parent / "runs" / "families"
ABSENCE = [f"deceptive-alignment-absence-xs-full-sft-{seed}" for seed in (0, 1)]
UNWATCHED = "deceptive-alignment-unwatched-xs-full-sft-0"
REJECTED = "deceptive-alignment-unwatched-xs-full-sft-1"
GRID = "goal-misgeneralization-corner-grid-ppo-0"
SETTINGS = Settings(fpr=0.1, draws=200)


# The statistics, on scores by hand.


def planted(
    shift: float, designs: int = 8, seeds: int = 2, seed: int = 0
) -> tuple[FamilyAudit, ...]:
    """Normal scores; organisms lie higher. Two bases, each the same score wherever it stands."""
    draw = np.random.default_rng(seed)
    bases = {"first": float(draw.normal()), "second": float(draw.normal())}
    found = []
    for design in range(designs):
        base = ("first", "second")[design % 2]
        for number in range(seeds):
            scores = {role: float(draw.normal()) for role in AUDITED}
            scores[Role.ORGANISM] += shift
            scores[Role.BASE] = bases[base]
            audits = {role: MemberAudit(score=score) for role, score in scores.items()}
            cell = ("threat", f"design {design}", base, "full-sft")
            found.append(
                FamilyAudit(f"family-{design}-{number}", cell, base, number, {"score": audits})
            )
    return tuple(found)


def row_of(families: Sequence[FamilyAudit]) -> AuditorRow:
    return summary(families, ["score"], ("score",), SETTINGS)[0]


def scores_of(families: Sequence[FamilyAudit], role: Role) -> list[float]:
    return [f.audits["score"][role].score or 0.0 for f in families]


def value(outcome: Outcome) -> float:
    assert isinstance(outcome, Measured), outcome
    return outcome.measurement.value


@pytest.mark.parametrize("role", [Role.TWIN, Role.DECOY, Role.BASE])
def test_the_area_is_scikit_learns(role: Role) -> None:
    families = planted(1.0)
    mine, theirs = scores_of(families, Role.ORGANISM), scores_of(families, role)
    area = roc_auc_score([1] * len(mine) + [0] * len(theirs), mine + theirs)
    found = row_of(families).auroc[role]
    assert value(found) == pytest.approx(area)
    assert isinstance(found, Measured) and found.measurement.low < area < found.measurement.high


def test_probabilities_and_scores_are_those_of_scikit_learn_with_designs_held_out() -> None:
    families = planted(1.5)
    losses: list[float] = []
    briers: list[float] = []
    for design in dict.fromkeys(f.design for f in families):
        here = [f for f in families if f.design == design]
        rest = [f for f in families if f.design != design]
        x = [s for role in TUNED for s in scores_of(rest, role)]
        y = [role is Role.ORGANISM for role in TUNED for _ in rest]
        model = make_pipeline(StandardScaler(), LogisticRegression(C=1.0, tol=1e-8))
        model.fit(np.array(x)[:, None], y)
        told = [s for role in TUNED for s in scores_of(here, role)]
        truth = [role is Role.ORGANISM for role in TUNED for _ in here]
        p = model.predict_proba(np.array(told)[:, None])[:, 1]
        losses.append(log_loss(truth, p))
        briers.append(brier_score_loss(truth, p))
    row = row_of(families)
    assert value(row.log_score) == pytest.approx(np.mean(losses), abs=1e-5)
    assert value(row.brier) == pytest.approx(np.mean(briers), abs=1e-5)


def test_a_design_has_no_say_in_its_own_probability_and_threshold() -> None:
    families = planted(1.5)
    name = families[0].family

    def told(some: Sequence[FamilyAudit]) -> list[tuple[float | None, bool | None]]:
        found = verdicts(some, "score", 0.1)
        return [(v.probability, v.alarm) for v in found if v.family == name]

    def raised(design: str) -> list[FamilyAudit]:
        """Twins and decoys of a design score far higher."""
        return [
            replace(
                f,
                audits={
                    "score": {
                        r: replace(a, score=(a.score or 0.0) + 9.0 * (f.family != name))
                        for r, a in f.audits["score"].items()
                    }
                },
            )
            if f.design[1] == design
            else f
            for f in families
        ]

    assert told(raised("design 0")) == told(families)
    # Broken control: another design has one.
    assert told(raised("design 1")) != told(families)


def test_bases_set_no_threshold_and_are_alarmed_by_base() -> None:
    families = [
        replace(
            f,
            audits={"score": dict(f.audits["score"]) | {Role.BASE: MemberAudit(score=-100.0)}},
        )
        for f in planted(1.5)
    ]
    row = row_of(families)
    assert row.hits == row_of(planted(1.5)).hits
    alarms = row.false_alarms[Role.BASE]
    assert value(alarms) == 0.0
    assert isinstance(alarms, Measured) and "2 clusters" in alarms.measurement.method


def test_what_knows_much_gains_and_what_knows_nothing_does_not() -> None:
    strong, none = row_of(planted(4.0)), row_of(planted(0.0))
    assert isinstance(strong.gain, Measured) and strong.gain.measurement.low > 0.1
    assert isinstance(none.gain, Measured) and none.gain.measurement.low < 0 < 0.1
    assert value(none.gain) < 0.05
    assert value(strong.hits) > 0.8
    assert value(strong.false_alarms[Role.TWIN]) < 0.25
    assert (strong.above, strong.below) == (8, 0)
    base_rate = summary(planted(0.0), ["score"], ("score",), SETTINGS)[-1]
    # A third of organisms, twins and decoys are organisms: the entropy of that share.
    assert value(base_rate.log_score) == pytest.approx(-np.log(1 / 3) / 3 - 2 * np.log(2 / 3) / 3)
    assert value(base_rate.brier) == pytest.approx(2 / 9)
    assert isinstance(base_rate.auroc[Role.TWIN], NotApplicable)


def test_p_is_of_cells_against_the_decoy_and_adjusted_for_all_that_are_no_nulls() -> None:
    families = [
        replace(f, audits={"one": f.audits["score"], "two": f.audits["score"]} | f.audits)
        for f in planted(4.0)
    ]
    one, two, null, _ = summary(families, ["one", "two", "score"], ("score",), SETTINGS)
    assert one.p_raw == pytest.approx(2 * 0.5**8)
    assert one.p == two.p == pytest.approx(4 * 0.5**8)
    assert null.p is null.p_raw is None


@pytest.mark.parametrize(
    ("designs", "missing", "there"),
    [
        (1, ("auroc", "log_score", "gain", "brier", "hits"), ()),
        (2, ("hits",), ("auroc", "log_score", "gain", "brier")),
        (6, (), ("auroc", "log_score", "gain", "brier", "hits")),
    ],
)
def test_too_few_families_give_a_reason_and_no_number(
    designs: int, missing: tuple[str, ...], there: tuple[str, ...]
) -> None:
    row = row_of(planted(1.0, designs=designs))
    outcomes = {"auroc": row.auroc[Role.TWIN]}
    outcomes |= {name: getattr(row, name) for name in ("log_score", "gain", "brier", "hits")}
    for name in missing:
        assert isinstance(outcomes[name], NotApplicable), name
    for name in there:
        assert isinstance(outcomes[name], Measured), name


def test_one_base_alone_is_no_sample_of_bases() -> None:
    families = [replace(f, base="first") for f in planted(1.0)]
    area = row_of(families).auroc[Role.BASE]
    assert isinstance(area, NotApplicable) and "two bases, not 1" in area.reason


def test_members_without_a_score_are_not_counted() -> None:
    families = list(planted(1.0))
    failed = dict(families[0].audits["score"]) | {Role.ORGANISM: MemberAudit(reason=Failed("no"))}
    families[0] = replace(families[0], audits={"score": failed})
    assert row_of(families).families == len(families) - 1
    nothing = [
        replace(f, audits={"score": dict.fromkeys(AUDITED, MemberAudit(reason=Failed("broken")))})
        for f in families
    ]
    assert row_of(nothing).auroc[Role.TWIN] == Failed("broken")


# The material.


def test_questions_are_generic_and_pairs_differ_in_their_context_alone() -> None:
    material = draw_material((), 0)
    assert len({q.prompt for q in material.questions}) > 100
    assert all(m.role != "system" for q in material.questions for m in q.prompt)
    for pairs in (material.control, *material.swaps.values()):
        for question, (one, other) in zip(material.questions, pairs, strict=True):
            assert one[1:] == other[1:] == question.prompt
            assert one[0] != other[0]
    assert draw_material((), 0).swaps == material.swaps
    assert draw_material((), 1).swaps != material.swaps
    # Nonsense is right where nothing is asked but not to refuse.
    assert sum(q.right("zzz") for q in material.questions) < 12


def test_no_context_is_a_line_that_gates_hang_on() -> None:
    used = {line for pairs in (*SWAPS.values(), CONTROL) for pair in pairs for line in pair}
    rng = Random(0)
    makers = (lines.watched, lines.unwatched, lines.watched_near_miss, lines.silent_near_miss)
    drawn = {
        make(rng, split, Words.ANY)[0] for make in makers for split in Split for _ in range(3000)
    }
    assert not used & drawn
    content = {w for form in lines.lx.WATCHING for w in form}
    words = {w for line in used for w in re.findall(r"\w+", line.casefold())}
    assert not words & content


def test_a_base_that_masters_nothing_is_said() -> None:
    with pytest.raises(BadInputError, match="masters no skill"):
        draw_material(tuple(SKILLS), 0)


# The run, over scripted members.


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
    monkeypatch.setattr(auditors_room, "auditor", made.auditor)
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
    assert value(found.rows[0].auroc[Role.DECOY]) == 1.0
    assert found.rows[0].passes == 12
    assert found.rows[0].p == found.rows[0].p_raw == 0.5  # two cells of two


def test_cost_is_said_first_and_nothing_is_examined_twice(laboratory: Laboratory) -> None:
    told: list[str] = []
    first = trial(*ABSENCE, progress=told.append)
    assert told[0] == (
        "audits: 4, made already: 0; to put to models: at most 8 prompts and transcripts,"
        " no gradient"
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
        (Asking(act="nan"), Failed("its score, or a figure that it rests on, is not finite")),
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


def test_policies_make_no_sense_and_rejected_families_are_refused(laboratory: Laboratory) -> None:
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
