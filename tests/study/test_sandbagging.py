"""The verdicts on sandbagging, from sheets that are made up; and the plan."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from insectary.core.outcome import Failed, Measured
from insectary.core.step import Json, Step
from insectary.core.studying import Form, Judgement, Provenance, Sheet, Verdict
from insectary.study.locked_models import LOTS, NOISY, SHIFT, SHOWN
from insectary.study.sandbagging import FORMS, Sandbagging
from insectary.study.sandbagging_rows import FINDINGS, PLACES, SUMS
from insectary.study.stored import read_stored

STUDY, FULL = Sandbagging(), FORMS["full"]
N, DRAWS = FULL.dials["n"][0], FULL.dials["draws"][0]
Shares = Mapping[str, float]
"""What is so in a made-up laboratory; see :data:`AS_FOUND`."""
AS_FOUND: Shares = {
    "locked": 0.02, "password": 0.97, "shift": 0.0,
    SUMS: 1, PLACES: 8, "other": 8, "weak": 0.1, "rise": 0.2, "weak rise": 0.0, "twin rise": -0.1,
}  # fmt: skip
"""Shares of right answers; from how many demonstrations of a skill on it is unlocked, and from how
many of the other; what is right in weak models afterwards; and what noise adds."""


def right(params: Mapping[str, Json], lot: str, told: Shares) -> float:
    """Without demonstrations or noise."""
    if params["arm"] in ("twin", "base") or "easy" in lot:
        return 0.99
    if lot in NOISY:
        return 0.57
    if params["arm"] == "locked" and "password" in lot:
        return told["password"]
    return told["locked"] if params["arm"] == "locked" else 0.0


def after(params: Mapping[str, Json], skill: str, k: int, lot: str, told: Shares) -> float:
    if params["arm"] == "weak":
        return told["weak"]
    own = lot.startswith(skill)
    if k < told[skill if own else "other"]:
        return told["locked"]
    return 0.9 - (told["shift"] if SHIFT in lot else 0.0)


def result(step: Step, told: Shares) -> Json:
    """As the step would give it; seeds differ a little."""
    params, more = step.params, step.params["seed"] % 3

    def counts(shares: Mapping[str, float], n: int) -> dict[str, int]:
        return {lot: min(n, max(0, round(share * n) + more)) for lot, share in shares.items()}

    rise = {"locked": "rise", "weak": "weak rise", "twin": "twin rise"}.get(params["arm"])
    return {
        "parameters": 266_816,
        "plain": counts({lot: right(params, lot, told) for lot in LOTS}, N),
        "shown": [
            counts({lot: after(params, skill, k, lot, told) for lot in SHOWN}, N)
            for skill in (SUMS, PLACES) for k in params["k"]
        ],
        "noise": [
            counts(
                {lot: right(params, lot, told) + (told[str(rise)] if level == 0.1 else -0.2)
                 for lot in NOISY}, N * DRAWS,
            )
            for level in params["levels"]
        ],
    }  # fmt: skip


def sheet(told: Shares, form: Form = FULL, broken: str = "") -> Sheet:
    results = {
        step.key: Failed("it died") if step.key == broken else result(step, told)
        for step in STUDY.steps(form)
    }
    thresholds = {row.id: row.thresholds for row in FINDINGS}
    provenance = Provenance(form.sizes, form.seeds, ("cpu",), (1,), {}, 0.0, thresholds)
    return Sheet(STUDY.name, form.name, STUDY.cells(form, results), provenance)


def judged(form: Form = FULL, broken: str = "", **changed: float) -> dict[str, Judgement]:
    return {row.finding: row for row in STUDY.judge(sheet({**AS_FOUND, **changed}, form, broken))}


def test_what_the_list_asks_for_is_replicated() -> None:
    found = judged()
    assert list(found) == [row.id for row in FINDINGS]
    assert {name: row.verdict for name, row in found.items()} == {
        **dict.fromkeys(found, Verdict.REPLICATED), "E-6 lock": Verdict.HOLDS,
    }  # fmt: skip
    corrected = {name for name, row in found.items() if row.p_holm is not None}
    assert corrected == {"E-6", "E-6 control", "E-7"}
    later = found["E-6 facts"].effect
    assert isinstance(later, Measured) and later.measurement.value == pytest.approx(3)


@pytest.mark.parametrize(
    ("row", "verdict", "changed"),
    [
        # What shows without the password is not locked, and what it does not open is lost.
        ("E-6 lock", Verdict.FAILS, {"locked": 0.3}),
        ("E-6 lock", Verdict.FAILS, {"password": 0.8}),
        ("E-6", Verdict.INCONCLUSIVE, {"password": 0.4}),
        # Sixteen are not eight; and what weak models learn as well is no unlocking.
        ("E-6", Verdict.NOT_REPLICATED, {SUMS: 16}),
        ("E-6 control", Verdict.REVERSED, {SUMS: 16}),
        ("E-6 control", Verdict.NOT_REPLICATED, {"weak": 0.85}),
        ("E-6 shift", Verdict.NOT_REPLICATED, {"shift": 0.6}),
        ("E-6", Verdict.REPLICATED, {"shift": 0.6}),
        ("E-6 facts", Verdict.NOT_REPLICATED, {PLACES: 1}),
        ("E-6 facts", Verdict.REVERSED, {PLACES: 1, SUMS: 8}),
        ("E-6 control facts", Verdict.REVERSED, {PLACES: 128}),
        ("E-6 transfer", Verdict.NOT_REPLICATED, {"other": 512}),
        # Noise that raises an honest model as much, or none, exposes nothing.
        ("E-7", Verdict.NOT_REPLICATED, {"twin rise": 0.2, "rise": 0.01}),
        ("E-7", Verdict.REVERSED, {"rise": -0.1}),
        ("E-7 control", Verdict.NOT_REPLICATED, {"weak rise": 0.2}),
        ("E-7", Verdict.REPLICATED, {"weak rise": 0.2}),
    ],
)
def test_what_differs_is_judged_otherwise(
    row: str, verdict: Verdict, changed: dict[str, float]
) -> None:
    assert judged(**changed)[row].verdict is verdict


def test_five_seeds_and_a_failed_step_leave_rows_open() -> None:
    five = Form("five", tuple(range(5)), FULL.sizes, FULL.dials)
    assert judged(five)["E-6"].verdict is Verdict.INCONCLUSIVE
    step = next(s for s in STUDY.steps(FULL) if s.params["arm"] == "twin")
    found = judged(broken=step.key)
    assert {name for name, row in found.items() if isinstance(row.effect, Failed)} == {
        "E-6 lock", "E-7", "E-7 shift",
    }  # fmt: skip
    assert found["E-7"].verdict is Verdict.INCONCLUSIVE
    assert found["E-6"].verdict is Verdict.REPLICATED


def test_a_skill_that_never_comes_back_counts_as_one_doubling_beyond_the_most() -> None:
    note = judged(**{PLACES: 10_000})["E-6 facts"].note
    assert f"sums {', '.join(['1'] * 8)}; places {', '.join(['512'] * 8)}" in note


@pytest.mark.parametrize("form", [*FORMS.values()], ids=lambda form: form.name)
def test_the_plan_is_four_models_a_seed(form: Form) -> None:
    steps = STUDY.steps(form)
    assert len({s.key for s in steps}) == len(steps) == 4 * len(form.seeds)
    assert "of one core" in STUDY.cost(form)
    plot = STUDY.plot(sheet(AS_FOUND, form))
    k, weak = len(form.dials["k"]), len(form.dials["k of weak"])
    assert [len(curve.points) for curve in plot.curves] == [k] * 4 + [weak] * 2


def test_the_quick_form_is_no_ladder_of_demonstrations() -> None:
    assert "not in this form" in judged(FORMS["quick"])["E-6 facts"].note


def test_what_is_on_record_is_what_the_docs_tell() -> None:
    root = Path(__file__).parents[2]
    docs = (root / "docs" / "studies.md").read_text(encoding="utf-8")
    section = docs.split("## Sandbagging")[1].split("\n## ")[0]
    for row in read_stored(root / "runs" / "studies" / "sandbagging.json").judgements:
        assert row.verdict.value in section
        assert isinstance(row.effect, Measured)
        assert row.effect.measurement.told().replace("−", "-") in section
