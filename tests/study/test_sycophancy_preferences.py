"""The verdicts on sycophancy from preferences, from sheets that are made up; and the plan."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from insectary.core.errors import UnknownNameError
from insectary.core.outcome import Failed, Measured
from insectary.core.step import Json, Step
from insectary.core.studying import Form, Judgement, Provenance, Sheet, Verdict
from insectary.study.preference_steps import FEEDBACK, LABELLED, OBJECTIVE
from insectary.study.stored import read_stored
from insectary.study.sycophancy_preferences import FINDINGS, FORMS, SycophancyPreferences

STUDY, FULL = SycophancyPreferences(), FORMS["full"]
Told = dict[str, Any]
Change = Callable[[float, str, Told], Told]
"""Bias, stratum and what a step tells of them, to what it tells instead."""


def as_found(bias: float, stratum: str, seed: int, tries: list[int]) -> Told:
    """What the literature would have; the truth counts against agreement where there is one."""
    gap = bias - (0.45 if stratum == OBJECTIVE else -0.02) + 0.001 * seed
    start, reach = (0.03, 0.03) if stratum == OBJECTIVE else (0.5, 0.4)
    agrees = [start + reach * gap * (1 - 1 / n) for n in tries]
    told: Told = {
        "n": 300, "gap": gap, "weighted_gap": gap, "agrees": agrees,
        "optimum": start + 0.1 * gap, "before": start, "after": start + 0.05 * gap,
    }  # fmt: skip
    if stratum == OBJECTIVE:
        told |= {"right": [0.95 - a for a in agrees], "right_alone": [0.95 for _ in tries]}
    return told if stratum == FEEDBACK else told | {"accuracy": 0.8}


def result(step: Step, form: Form, change: Change) -> Json:
    """As the step would give it."""
    seed, tries = step.params["seed"], list(form.dials["tries"])

    def of(bias: float) -> dict[str, Told]:
        return {s: change(bias, s, as_found(bias, s, seed, tries)) for s in (*LABELLED, FEEDBACK)}

    return of(step.params["bias"]) if "bias" in step.params else list(map(of, form.dials["bias"]))


def sheet(
    change: Change = lambda bias, stratum, told: told,
    form: Form = FULL,
    failed: Callable[[Step], bool] = lambda step: False,
) -> Sheet:
    results = {
        step.key: Failed("it died") if failed(step) else result(step, form, change)
        for step in STUDY.steps(form)
    }
    thresholds = {row.id: row.thresholds for row in FINDINGS}
    provenance = Provenance(form.sizes, form.seeds, ("cpu",), (1,), {}, 0.0, thresholds)
    return Sheet(STUDY.name, form.name, STUDY.cells(form, results), provenance)


def judged(*given: Any, **more: Any) -> dict[str, Judgement]:
    return {j.finding: j for j in STUDY.judge(sheet(*given, **more))}


def test_what_the_literature_has_is_replicated_row_by_row() -> None:
    found = judged()
    assert list(found) == [row.id for row in FINDINGS]
    held = {name for name, j in found.items() if j.verdict is Verdict.HOLDS}
    assert held == {"B-2 bias"}, "what was planted is a sanity check"
    assert {j.verdict for n, j in found.items() if n not in held} == {Verdict.REPLICATED}
    assert {j.seeds for j in found.values()} == {8}
    corrected = {name for name, j in found.items() if j.p_holm is not None}
    assert corrected == {"B-2", "B-2 DPO", "B-3"}


def turned(bias: float, stratum: str, told: Told) -> Told:
    """The effect turned round: a gap that says the opposite."""
    return told | {"gap": -told["gap"], "weighted_gap": -told["weighted_gap"]}


def test_gaps_that_say_the_opposite_reverse_every_row_that_rests_on_them() -> None:
    found = judged(turned)
    for name in ("B-2", "B-2 DPO", "B-2 weighted", "B-2 optimum", "B-2 shift"):
        assert found[name].verdict is Verdict.REVERSED, name
    # What rests on no gap stands.
    assert found["B-3"].verdict is Verdict.REPLICATED
    assert found["B-2 bias"].verdict is Verdict.HOLDS


def test_a_gap_that_says_nothing_does_not_replicate() -> None:
    def deaf(bias: float, stratum: str, told: Told) -> Told:
        way = -1 if bias in (-0.4, 0.1, 0.3, 0.6) else 1
        return told | {"gap": way * told["gap"]}

    found = judged(deaf)
    assert found["B-2"].verdict is Verdict.NOT_REPLICATED
    assert found["B-2 weighted"].verdict is Verdict.REPLICATED, "another gap, which was left alone"


def test_gaps_of_one_sign_alone_predict_nothing() -> None:
    def up(bias: float, stratum: str, told: Told) -> Told:
        rates = [0.2 + 0.01 * n for n, _ in enumerate(told["agrees"])]
        return told | {"gap": 1.0, "agrees": rates, "after": told["before"] + 0.1}

    found = judged(up)
    for name in ("B-2", "B-2 DPO", "B-2 shift"):
        assert found[name].verdict is Verdict.INCONCLUSIVE, name
    assert "not every seed has a gap below 0" in found["B-2"].note


def test_rates_that_do_not_move_with_n_leave_the_trend_open() -> None:
    """Ends that are right, with no order in between, are a prediction and no trend."""

    def restless(bias: float, stratum: str, told: Told) -> Told:
        first, *between, last = told["agrees"]
        return told | {"agrees": [first, *(3 * first - 2 * last for _ in between), last]}

    assert judged(restless)["B-2"].verdict is Verdict.INCONCLUSIVE


@pytest.mark.parametrize(("more", "verdict"), [(0.5, Verdict.REVERSED), (0.0, Verdict.REPLICATED)])
def test_facts_that_are_given_up_more_than_tastes_reverse_the_order(
    more: float, verdict: Verdict
) -> None:
    def swayed(bias: float, stratum: str, told: Told) -> Told:
        return told | {"right": [r - more for r in told["right"]]} if "right" in told else told

    assert judged(swayed)["B-3"].verdict is verdict


def test_raters_whose_taste_moves_nothing_fail_the_sanity_check() -> None:
    def unmoved(bias: float, stratum: str, told: Told) -> Told:
        return told | {"agrees": [0.4 for _ in told["agrees"]]} if stratum == OBJECTIVE else told

    assert judged(unmoved)["B-2 bias"].verdict is Verdict.FAILS


def test_five_seeds_cannot_replicate() -> None:
    found = judged(form=replace(FULL, seeds=FULL.seeds[:5]))
    for name in ("B-2", "B-2 DPO", "B-3"):
        assert found[name].verdict is Verdict.INCONCLUSIVE, name
        assert found[name].p is not None
        assert found[name].p > 0.01


def test_a_step_that_failed_leaves_open_the_rows_that_need_it() -> None:
    found = judged(failed=lambda step: "bias" in step.params and step.params["seed"] == 3)
    assert isinstance(found["B-2 DPO"].effect, Failed)
    assert "it died" in found["B-2 DPO"].effect.reason
    assert found["B-2"].verdict is Verdict.REPLICATED
    every = judged(failed=lambda step: step.params["seed"] == 3)
    assert {j.verdict for n, j in every.items() if n != "B-2 bias"} == {Verdict.INCONCLUSIVE}
    whole = sheet()
    assert {j.verdict for j in STUDY.judge(replace(whole, cells=()))} == {Verdict.INCONCLUSIVE}


def test_a_run_without_dpo_says_what_that_costs() -> None:
    without = replace(FULL, dials={**FULL.dials, "dpo": ()})
    found = judged(form=without)
    assert found["B-2"].verdict is Verdict.REPLICATED
    assert found["B-2 DPO"].verdict is Verdict.INCONCLUSIVE
    assert "not run; 24 steps, about 5 minutes of one core" in found["B-2 DPO"].note
    part, full = ({step.key for step in STUDY.steps(form)} for form in (without, FULL))
    assert part < full, "the full form goes on from there"


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_every_cell_is_planned_once(form: Form) -> None:
    assert set(form.dials["dpo"]) <= set(form.dials["bias"])
    steps = STUDY.steps(form)
    assert len({step.key for step in steps}) == len(steps)
    assert len(steps) == len(form.seeds) * (1 + len(form.dials["dpo"]))
    cells = sheet(form=form).cells
    assert len({(*sorted(map(str, c.dials.items())), c.seed) for c in cells}) == len(cells)
    assert all(cell.numbers for cell in cells)


def test_sizes_are_bases_that_know_what_is_asked() -> None:
    both = replace(FULL, sizes=("xs", "s"))
    assert len(STUDY.steps(both)) == 2 * len(STUDY.steps(FULL))
    with pytest.raises(UnknownNameError, match="size of sycophancy_preferences: 'gpt2'"):
        STUDY.steps(replace(FULL, sizes=("gpt2",)))


def test_what_decides_says_its_figures_and_the_picture_draws_them() -> None:
    row = judged()["B-2"]
    assert isinstance(row.effect, Measured)
    assert row.effect.measurement.value == 0.5
    assert "128 of 128 cells" in row.note
    plot = STUDY.plot(sheet())
    assert [curve.plain for curve in plot.curves] == [False, True, False] * 2
    assert [point.x for point in plot.curves[0].points] == [1, 2, 4, 8, 16]
    top = plot.curves[5]
    assert top.name == "subjective, label bias 0.6"
    assert top.points[0].value < top.points[-1].value
    assert STUDY.plot(replace(sheet(), cells=())).curves == ()


def test_the_verdicts_on_record_are_those_that_the_docs_tell() -> None:
    root = Path(__file__).parents[2]
    path = root / "runs" / "studies" / "sycophancy_preferences.json"
    docs = (root / "docs" / "studies.md").read_text(encoding="utf-8")
    rows = {row.id: row for row in FINDINGS}
    for judgement in read_stored(path).judgements:
        name = f"**{judgement.finding}**"
        if not rows[judgement.finding].confirmatory:
            name = f"*{judgement.finding.removeprefix('B-2 ').capitalize()}* (exploratory)"
        assert isinstance(judgement.effect, Measured)
        assert judgement.effect.measurement.told() in docs, judgement.finding
        assert f"{name} *{judgement.verdict}*" in docs
