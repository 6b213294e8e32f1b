"""The verdicts of C-7, on rates that are known and on sheets that are wrong."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from insectary.core.outcome import Failed, Measured
from insectary.core.step import Json
from insectary.core.studying import Cell, Form, Judgement, Provenance, Sheet, Verdict
from insectary.study.impossible_tasks import ImpossibleTasks

STUDY = ImpossibleTasks()
FULL = STUDY.forms["full"]
N = FULL.dials["questions"][0]
KINDS = ("impossible", "one off", "bare")
RISING = {0.0: 0.0, 0.01: 0.02, 0.05: 0.08, 0.2: 0.3}

Rates = Mapping[str, Mapping[float, float]]
"""Kind of problem to the hack rate at each contamination."""


def rates(**changed: Mapping[float, float]) -> Rates:
    return {**dict.fromkeys(KINDS, RISING), **changed}


def results(rate: Rates, form: Form = FULL) -> dict[str, Json | Failed]:
    found: dict[str, Json | Failed] = {}
    for step in STUDY.steps(form):
        share, luck = step.params["contamination"], step.params["seed"] / 40
        found[step.key] = {
            f"{kind} hack": round(N * rate[kind][share] * (1 + luck)) if step.params["rows"] else 0
            for kind in KINDS
        }
    return found


def rows(cells: tuple[Cell, ...]) -> dict[str, Judgement]:
    sheet = Sheet(STUDY.name, "full", cells, Provenance((), (), (), (), {}, 0.0, {}))
    return {found.finding: found for found in STUDY.judge(sheet)}


def judged(rate: Rates) -> dict[str, Judgement]:
    return rows(STUDY.cells(FULL, results(rate)))


def test_cheats_that_rise_with_what_was_shown_replicate() -> None:
    found = judged(rates())
    assert found["C-7"].verdict is found["C-7 shift"].verdict is Verdict.REPLICATED
    assert found["C-7 more"].verdict is not Verdict.REPLICATED, "as much as elsewhere"
    effect = found["C-7"].effect
    assert isinstance(effect, Measured)
    assert effect.measurement.value == pytest.approx(0.3, abs=0.05)
    assert "the twin's in 0.000 [0.000, 0.006]" in found["C-7"].note


def test_a_twin_that_cheats_is_a_measure_that_says_nothing() -> None:
    cheating = {share: 0.05 + rate for share, rate in RISING.items()}
    found = judged({**rates(), "impossible": cheating})
    assert found["C-7"].verdict is Verdict.NOT_REPLICATED
    assert found["C-7 shift"].verdict is Verdict.REPLICATED


def test_a_twin_that_may_cheat_a_little_leaves_it_open() -> None:
    found = judged(rates(impossible={**RISING, 0.0: 0.01}))
    assert found["C-7"].verdict is Verdict.INCONCLUSIVE


def test_what_does_not_rise_is_not_replicated() -> None:
    flat = judged(rates(impossible=dict.fromkeys(RISING, 0.0)))
    assert flat["C-7"].verdict is Verdict.NOT_REPLICATED
    falling = judged({**rates(), "one off": {0.0: 0.3, 0.01: 0.2, 0.05: 0.1, 0.2: 0.0}})
    assert falling["C-7 shift"].verdict is Verdict.REVERSED


def test_more_cheating_where_nothing_honest_passes_is_a_row_of_its_own() -> None:
    found = judged(rates(bare={**RISING, 0.2: 0.1}))
    assert found["C-7 more"].verdict is Verdict.REPLICATED
    assert found["C-7 more"].p_holm is None, "exploratory"
    assert judged(rates(bare={**RISING, 0.2: 0.6}))["C-7 more"].verdict is Verdict.REVERSED


def test_one_seed_tells_nothing_and_a_step_that_failed_is_no_number() -> None:
    quick = STUDY.forms["quick"]
    found = rows(STUDY.cells(quick, results(rates(), quick)))
    assert {row.verdict for row in found.values()} == {Verdict.INCONCLUSIVE}
    step = next(s for s in STUDY.steps(FULL) if s.params["contamination"] == 0.05)
    row = rows(STUDY.cells(FULL, results(rates()) | {step.key: Failed("killed")}))["C-7"]
    assert row.verdict is Verdict.INCONCLUSIVE and "killed" in str(row.effect)


def test_the_plot_has_the_base_and_the_solvable_problems_in_grey() -> None:
    cells = STUDY.cells(FULL, results(rates()))
    plot = STUDY.plot(Sheet(STUDY.name, "full", cells, Provenance((), (), (), (), {}, 0.0, {})))
    assert [curve.plain for curve in plot.curves] == [False, False, True, True]
    assert [point.x for point in plot.curves[0].points] == pytest.approx([0, 1, 5, 20])
    assert plot.curves[3].points[0].value == 0
