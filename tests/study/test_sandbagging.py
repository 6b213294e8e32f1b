"""The verdicts on sandbagging, from sheets that are made up; and the plan."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from insectary.core.outcome import Failed, Measured
from insectary.core.step import Json, Step
from insectary.core.studying import Form, Judgement, Provenance, Sheet, Verdict
from insectary.study.locked_models import LOTS, NOISY, SHIFT, SHOWN
from insectary.study.sandbagging import FORMS, Sandbagging
from insectary.study.sandbagging_rows import FINDINGS, PLACES, SUMS

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
