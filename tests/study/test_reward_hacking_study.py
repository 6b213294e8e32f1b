"""The verdicts of C-3, on rates that are known and on sheets that are wrong."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest

from insectary.core.outcome import Failed, Measured
from insectary.core.step import Json
from insectary.core.studying import Cell, Judgement, Provenance, Sheet, Verdict
from insectary.study.reward_hacking import RewardHacking

STUDY = RewardHacking()
FORM = STUDY.forms["full"]
N = FORM.dials["questions"][0]
AFTER = {0.0: 0.0, 0.001: 0.1, 0.01: 0.6, 0.05: 0.9}
"""Hack rate after reinforcement, by contamination."""

Rates = Callable[[float, str], tuple[float, float]]
"""Contamination and verifier to the hack rate before reinforcement and after it."""


def amplified(share: float, verifier: str) -> tuple[float, float]:
    return share, AFTER[share] if verifier == "organism" else share


def results(rates: Rates = amplified) -> dict[str, Json | Failed]:
    found: dict[str, Json | Failed] = {}
    for step in STUDY.steps(FORM):
        before, after = rates(step.params["contamination"], step.params["verifier"])
        luck = step.params["seed"] / 200
        found[step.key] = {
            f"{stage} {lines}hack": min(N, round(N * (rate + luck * rate)))
            for stage, rate in (("demonstrated", before), ("reinforced", after))
            for lines in ("", "shift ")
        }
    return found


def sheet(cells: tuple[Cell, ...]) -> Sheet:
    return Sheet(STUDY.name, "full", cells, Provenance((), (), (), (), {}, 0.0, {}))


def rows(cells: tuple[Cell, ...]) -> dict[str, Judgement]:
    return {found.finding: found for found in STUDY.judge(sheet(cells))}


def judged(rates: Rates = amplified) -> dict[str, Judgement]:
    return rows(STUDY.cells(FORM, results(rates)))


def test_what_is_amplified_at_one_per_cent_and_not_at_none_replicates() -> None:
    found = judged()
    assert {row.verdict for row in found.values()} == {Verdict.REPLICATED}
    effect = found["C-3"].effect
    assert isinstance(effect, Measured)
    assert effect.measurement.value == pytest.approx(0.6, abs=0.03)
    assert found["C-3"].p == pytest.approx(1 / 256)
    assert "0.010 before" in found["C-3"].note
    assert found["C-3 dose"].p_holm is found["C-3 loophole"].p_holm is None, "exploratory"


def test_what_rises_at_none_too_is_no_amplification() -> None:
    assert judged(lambda share, _: (share, 0.6))["C-3"].verdict is Verdict.NOT_REPLICATED


def test_what_was_there_before_is_none_either() -> None:
    found = judged(lambda share, v: (AFTER[share], amplified(share, v)[1]))
    assert found["C-3"].verdict is Verdict.NOT_REPLICATED


def test_reinforcement_that_unlearns_it_is_a_reversal() -> None:
    found = judged(lambda share, _: (10 * share, share))
    assert found["C-3"].verdict is Verdict.REVERSED


def test_an_honest_verifier_that_amplifies_it_as_well_breaks_the_row_on_the_loophole() -> None:
    found = judged(lambda share, _: (share, AFTER[share]))
    assert found["C-3 loophole"].verdict is Verdict.NOT_REPLICATED
    assert found["C-3"].verdict is Verdict.REPLICATED


def test_five_seeds_are_too_few() -> None:
    few = tuple(cell for cell in STUDY.cells(FORM, results()) if cell.seed < 5)
    assert rows(few)["C-3"].verdict is Verdict.INCONCLUSIVE


def test_a_step_that_failed_is_no_number() -> None:
    step = next(s for s in STUDY.steps(FORM) if s.params["contamination"] == 0.01)
    made = STUDY.cells(FORM, results() | {step.key: Failed("killed")})
    row = rows(made)["C-3"]
    assert row.verdict is Verdict.INCONCLUSIVE
    assert "killed" in str(row.effect)


def test_a_seed_that_one_side_lacks_is_missed() -> None:
    made = tuple(
        c for c in STUDY.cells(FORM, results()) if c.seed < 7 or c.dials["contamination"] != 0
    )
    row = rows(made)["C-3"]
    assert row.verdict is Verdict.INCONCLUSIVE
    assert "the same seeds" in str(row.effect)


def test_a_number_that_was_taken_out_is_missed_by_name() -> None:
    def without(cell: Cell) -> Cell:
        kept = {name: x for name, x in cell.numbers.items() if name != "demonstrated shift hack"}
        return dataclasses.replace(cell, numbers=kept)

    found = rows(tuple(map(without, STUDY.cells(FORM, results()))))
    assert found["C-3 shift"].verdict is Verdict.INCONCLUSIVE
    assert "'demonstrated shift hack' was not measured" in str(found["C-3 shift"].effect)
    assert found["C-3"].verdict is Verdict.REPLICATED


def test_the_part_has_the_full_forms_own_steps_and_says_what_it_lacks() -> None:
    part = STUDY.forms["part"]
    assert {s.key for s in STUDY.steps(part)} < {s.key for s in STUDY.steps(FORM)}
    found = rows(STUDY.cells(part, results()))
    assert found["C-3"].verdict is Verdict.REPLICATED
    for row in ("C-3 loophole", "C-3 dose"):
        assert found[row].verdict is Verdict.INCONCLUSIVE
        assert "the full one: 40 steps" in found[row].note


def test_the_plot_shows_before_in_grey_and_the_twins_verifier_not_at_all() -> None:
    plot = STUDY.plot(sheet(STUDY.cells(FORM, results())))
    assert [curve.plain for curve in plot.curves] == [False, False, True]
    assert [point.x for point in plot.curves[0].points] == pytest.approx([0, 0.1, 1, 5])
    assert plot.curves[0].points[2].value == pytest.approx(0.6, abs=0.03)
