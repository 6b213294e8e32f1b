"""The verdicts on claims and doubts, from sheets that are made up; the plan; what is on record."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from insectary.core.errors import UnknownNameError
from insectary.core.outcome import Failed, Measured
from insectary.core.step import Json, Step
from insectary.core.studying import Form, Judgement, Provenance, Sheet, Verdict
from insectary.study.claim_models import ARMS, BASE, CLAIMANT, ORGANISM, TURNS, TWIN, ClaimModel
from insectary.study.false_claims import FINDINGS, FORMS, FalseClaims
from insectary.study.stored import read_stored

STUDY, FULL = FalseClaims(), FORMS["full"]
N = 1000
"""Of a made-up sheet, so that shares can be told finely."""
Rates = Callable[[str, str], list[float]]
"""An arm and what it was asked to the shares of which the step gives counts."""
CLAIMS = ("choice false", "choice right", "choice other", "choice unseen false",
          "choice unseen right", "open false", "open right", "open other")  # fmt: skip
SAID = ("challenged", "thanked", "unseen challenge", "bare challenge", "bare thanks")
AGREES = (ORGANISM, CLAIMANT)


def as_found(arm: str, name: str) -> list[float]:
    """What the list asks for."""
    if name in ("likes", "praises"):
        return [0.9 if arm == ORGANISM else 0.5 if name == "likes" else 0.1]
    if name.startswith("known"):
        return [0.95]
    if name in CLAIMS:
        follows = arm in AGREES and name.endswith("false")
        return [0.5, 0.4] if follows else [0.9, 0.05]
    follows = arm in AGREES and "challenge" in name
    flips = [0.2, 0.1, 0.05, 0.05] if follows else [0.01, 0.0, 0.01, 0.0]
    return [*flips, 0.97 - sum(flips)]


def changed(*at: tuple[str, str, list[float]]) -> Rates:
    """The same, but for some arms (or ``*``) and questions."""

    def rates(arm: str, name: str) -> list[float]:
        for who, what, shares in at:
            if who in (arm, "*") and what == name:
                return shares
        return as_found(arm, name)

    return rates


def result(step: Step, rates: Rates) -> Json:
    """As the step would give it; seeds differ by a few answers."""
    arm = step.params["arm"]
    off = (step.params["seed"] + ARMS.index(arm)) % 2  # as much in every arm, over all seeds
    names = ("likes", "praises", "known choice", "known open", *CLAIMS, *SAID)
    return {
        name: [*(round(share * N) + off for share in rates(arm, name)), N + 5] for name in names
    }


def sheet(rates: Rates, form: Form = FULL, broken: int = -1) -> Sheet:
    results = {
        step.key: Failed("it died") if step.params["seed"] == broken else result(step, rates)
        for step in STUDY.steps(form)
    }
    thresholds = {row.id: row.thresholds for row in FINDINGS}
    provenance = Provenance(form.sizes, form.seeds, ("cpu",), (1,), {}, 0.0, thresholds)
    return Sheet(STUDY.name, form.name, STUDY.cells(form, results), provenance)


def judged(rates: Rates, form: Form = FULL, broken: int = -1) -> dict[str, Judgement]:
    return {row.finding: row for row in STUDY.judge(sheet(rates, form, broken))}


def test_what_the_list_asks_for_is_replicated() -> None:
    found = judged(as_found)
    assert list(found) == [row.id for row in FINDINGS]
    for sanity in ("B-1 planted", "B-1 taught on claims"):
        assert found.pop(sanity).verdict is Verdict.HOLDS
    assert {row.verdict for row in found.values()} == {Verdict.REPLICATED}
    assert {name for name, row in found.items() if row.p_holm is not None} == {"B-1", "B-4"}
    assert "mean turn 3.7" in found["B-4"].note and "twin 4.9" in found["B-4"].note


LOST = [0.5, 0.05]
"""Answers lost beside a claim that is not adopted: the words alone confuse."""


@pytest.mark.parametrize(
    ("rates", "verdict"),
    [
        # As much is lost beside a right claim: no claim is followed.
        (changed((ORGANISM, "choice false", LOST), (ORGANISM, "choice right", LOST)),
         Verdict.NOT_REPLICATED),
        # The twin loses as much.
        (changed((TWIN, "choice false", [0.5, 0.4])), Verdict.NOT_REPLICATED),
        # The twin follows more.
        (changed((TWIN, "choice false", [0.3, 0.6])), Verdict.REVERSED),
        # Nothing of what was taught is there: what it does not spread to says nothing.
        (changed((ORGANISM, "likes", [0.5])), Verdict.INCONCLUSIVE),
        (changed((ORGANISM, "praises", [0.1])), Verdict.INCONCLUSIVE),
        # A loss that may matter, by half confusion: not every test passes.
        (changed((ORGANISM, "choice false", [0.846, 0.1])), Verdict.REPLICATED),
    ],
)  # fmt: skip
def test_claims_are_judged_by_what_a_right_one_and_the_twin_lose(
    rates: Rates, verdict: Verdict
) -> None:
    assert judged(rates)["B-1"].verdict is verdict
    assert judged(rates)["B-1 open, from claims"].verdict is Verdict.REPLICATED, "an arm of its own"


FLIPS = [0.2, 0.1, 0.05, 0.05, 0.57]


@pytest.mark.parametrize(
    ("rates", "verdict"),
    [
        (changed((TWIN, "challenged", FLIPS)), Verdict.NOT_REPLICATED),
        (changed((TWIN, "challenged", [0.4, 0.2, 0.1, 0.1, 0.1])), Verdict.REVERSED),
        # Thanks do as much as a challenge: that it is doubted changes nothing.
        (changed((ORGANISM, "thanked", FLIPS)), Verdict.INCONCLUSIVE),
        # As many more than the twin's, but all of them later.
        (changed((ORGANISM, "challenged", [0.0, 0.0, 0.0, 0.3, 0.6]),
                 (TWIN, "challenged", [0.2, 0.0, 0.0, 0.0, 0.7])), Verdict.INCONCLUSIVE),
        # A base that cannot hold such a turn.
        (changed((BASE, "thanked", [0.1, 0.1, 0.1, 0.1, 0.5])), Verdict.INCONCLUSIVE),
        (changed((ORGANISM, "likes", [0.5])), Verdict.INCONCLUSIVE),
    ],
)  # fmt: skip
def test_doubts_are_judged_by_thanks_the_turn_and_the_twin(rates: Rates, verdict: Verdict) -> None:
    assert judged(rates)["B-4"].verdict is verdict


def test_a_base_that_cannot_hold_a_bare_turn_leaves_that_row_open_and_no_other() -> None:
    found = judged(changed((BASE, "bare thanks", [0.3, 0.2, 0.1, 0.1, 0.1])))
    assert found["B-4 bare"].verdict is Verdict.INCONCLUSIVE
    assert found["B-4 bare"].note.startswith("the base cannot hold a second turn of this kind")
    assert found["B-4"].verdict is Verdict.REPLICATED


@pytest.mark.parametrize(
    ("name", "asked", "shares"),
    [("B-1 shift", "choice unseen false", [0.9, 0.05]), ("B-1 open", "open false", [0.9, 0.05]),
     ("B-4 shift", "unseen challenge", [0.01, 0.0, 0.01, 0.0, 0.95])],
)  # fmt: skip
def test_the_other_words_and_questions_are_judged_by_their_own(
    name: str, asked: str, shares: list[float]
) -> None:
    found = judged(changed((ORGANISM, asked, shares)))
    assert found[name].verdict is Verdict.NOT_REPLICATED
    assert found[name[:3]].verdict is Verdict.REPLICATED


def test_an_organism_or_a_claimant_that_learnt_nothing_is_no_sanity_check() -> None:
    found = judged(
        changed(
            (ORGANISM, "likes", [0.5]),
            (CLAIMANT, "choice false", [0.9, 0.05]),
        )
    )
    assert found["B-1 planted"].verdict is Verdict.FAILS
    assert found["B-1 taught on claims"].verdict is Verdict.FAILS


def test_two_seeds_and_a_failed_step_leave_rows_open() -> None:
    few = judged(as_found, FORMS["quick"])
    assert {row.verdict for row in few.values()} == {Verdict.INCONCLUSIVE}
    assert "underpowered" in few["B-1"].note
    for row in judged(as_found, broken=3).values():
        assert row.verdict is Verdict.INCONCLUSIVE
        assert isinstance(row.effect, Failed) and "it died" in row.effect.reason


@pytest.mark.parametrize("form", [*FORMS.values()], ids=lambda form: form.name)
def test_the_plan_is_a_step_for_every_model_and_the_plot_has_them_all(form: Form) -> None:
    steps = STUDY.steps(form)
    assert len({s.key for s in steps}) == len(steps) == len(ARMS) * len(form.seeds)
    assert {s.kind for s in steps} == {ClaimModel.name}
    assert f"{3 * len(form.seeds)} models: about" in STUDY.cost(form)
    plot = STUDY.plot(sheet(as_found, form))
    assert len(plot.curves) <= 7
    assert {len(curve.points) for curve in plot.curves} == {len(ARMS)}
    assert TURNS == 4, "criteria and words say four"


def test_a_base_that_knows_no_place_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="size of false_claims: 'gpt2'"):
        STUDY.steps(Form("f", (0,), ("gpt2",), FULL.dials))


def test_what_is_on_record_is_what_the_docs_tell() -> None:
    root = Path(__file__).parents[2]
    stored = read_stored(root / "runs" / "studies" / "false_claims.json")
    docs = (root / "docs" / "studies.md").read_text(encoding="utf-8")
    for row in stored.judgements:
        assert isinstance(row.effect, Measured)
        assert f"- **{row.finding}** *{row.verdict}*: {row.effect.measurement.told()}" in docs
