"""What an audit trial says over families, on planted scores, and what it lets auditors ask."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from random import Random

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from insectary.core.chat import Split
from insectary.core.errors import BadInputError
from insectary.core.organism import Role
from insectary.core.outcome import Failed, Measured, NotApplicable, Outcome
from insectary.trials.audit_material import CONTROL, SWAPS, draw_material
from insectary.trials.audit_result import AUDITED, TUNED, AuditorRow, FamilyAudit, MemberAudit
from insectary.trials.audit_summary import summary
from insectary.trials.audit_verdicts import verdicts
from insectary.trials.comparison import Settings
from insectary.worlds import SKILLS, lines
from insectary.worlds.lines import Words

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


def test_what_is_the_same_in_every_cell_is_not_certain() -> None:
    """As of a score that is the same for all: it has the base rate, and no spread to go by."""
    same = {"score": dict.fromkeys(AUDITED, MemberAudit(score=0.5))}
    row = row_of([replace(f, audits=same) for f in planted(1.0)])
    assert isinstance(row.gain, Failed) and "the same in every cell" in row.gain.reason
    assert value(row.auroc[Role.TWIN]) == 0.5
    assert (row.above, row.below, value(row.hits)) == (0, 0, 0.0)


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
