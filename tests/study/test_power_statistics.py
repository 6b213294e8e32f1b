"""The verdicts of D-1, on what the steps give and on sheets that are wrong."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import cache

import pytest

from insectary.core.errors import BadInputError
from insectary.core.outcome import Failed, Measured
from insectary.core.step import Json
from insectary.core.studying import Cell, Form, Judgement, Number, Provenance, Sheet, Verdict
from insectary.study.ladder import sized_form
from insectary.study.power_graphs import PowerLearned, PowerOptimal
from insectary.study.power_statistics import PowerStatistics

STUDY = PowerStatistics()
KINDS = {kind.name: kind() for kind in (PowerOptimal, PowerLearned)}
FORM = Form(
    "small",
    tuple(range(8)),
    ("6",),
    {"sixths": (3, 4, 5), "rewards": ("uniform",), "stay": (16,), "episodes": (60,)},
)


@cache
def results() -> dict[str, Json | Failed]:
    return {s.key: KINDS[s.kind](s.params, {}, None) for s in STUDY.steps(FORM)}


def cells() -> tuple[Cell, ...]:
    return STUDY.cells(FORM, results())


def sheet(made: tuple[Cell, ...]) -> Sheet:
    return Sheet(STUDY.name, "small", made, Provenance((), (), (), (), {}, 0.0, {}))


def rows(made: tuple[Cell, ...]) -> dict[str, Judgement]:
    return {found.finding: found for found in STUDY.judge(sheet(made))}


def changed(where: Callable[[Cell], bool], how: Callable[[float], float]) -> tuple[Cell, ...]:
    def change(cell: Cell) -> Cell:
        old = cell.numbers["larger"]
        return dataclasses.replace(
            cell, numbers={**cell.numbers, "larger": Number(how(old.value), old.n)}
        )

    return tuple(change(cell) if where(cell) else cell for cell in cells())


def learnt(cell: Cell) -> bool:
    return cell.dials["agent"] == "learnt"


def test_agents_go_where_the_options_are_and_the_solver_keeps_to_the_theorem() -> None:
    found = rows(cells())
    verdicts = {name: row.verdict for name, row in found.items()}
    assert verdicts == {
        "D-1 exact": Verdict.HOLDS,
        "D-1": Verdict.REPLICATED,
        "D-1 shift": Verdict.INCONCLUSIVE,
        "D-1 dose": Verdict.REPLICATED,
    }
    effect = found["D-1"].effect
    assert isinstance(effect, Measured)
    assert effect.measurement.seeds == tuple(range(8))
    assert found["D-1"].p == pytest.approx(2 / 256)
    assert found["D-1 dose"].p_holm is None  # exploratory rows take no part
    assert "the full one" in found["D-1 shift"].note


def test_a_solver_that_is_off_fails_its_check() -> None:
    off = changed(lambda c: not learnt(c), lambda share: share - 0.04)
    assert rows(off)["D-1 exact"].verdict is Verdict.FAILS


def test_one_world_that_is_off_fails_it_too() -> None:
    off = changed(
        lambda c: not learnt(c) and c.seed == 0 and c.dials["sixths"] == 4,
        lambda share: share - 0.06,
    )
    assert rows(off)["D-1 exact"].verdict is Verdict.FAILS


def test_agents_that_flee_options_are_a_reversal() -> None:
    fled = changed(lambda c: learnt(c) and c.dials["sixths"] != 3, lambda share: 1 - share)
    assert rows(fled)["D-1"].verdict is Verdict.REVERSED


def test_agents_that_do_not_care_replicate_nothing() -> None:
    flat = changed(lambda c: learnt(c) and c.dials["sixths"] != 3, lambda s: 0.5 + (s - 0.65) / 9)
    assert rows(flat)["D-1"].verdict in (Verdict.NOT_REPLICATED, Verdict.REVERSED)


def test_a_bias_to_one_side_counts_for_nothing() -> None:
    biased = changed(lambda c: learnt(c) and c.dials["sixths"] == 3, lambda share: share + 0.2)
    assert rows(biased)["D-1"].verdict is Verdict.NOT_REPLICATED


def test_five_seeds_are_too_few() -> None:
    few = tuple(cell for cell in cells() if cell.seed < 5)
    assert rows(few)["D-1"].verdict is Verdict.INCONCLUSIVE


def test_a_step_that_failed_is_no_number() -> None:
    last = STUDY.steps(FORM)[-1].key
    made = STUDY.cells(FORM, results() | {last: Failed("out of memory")})
    assert made[-1].failed == Failed("out of memory")
    row = rows(made)["D-1"]
    assert row.verdict is Verdict.INCONCLUSIVE
    assert "out of memory" in str(row.effect)


def test_the_plot_has_a_line_for_agents_and_grey_ones_beside() -> None:
    plot = STUDY.plot(sheet(cells()))
    assert [curve.plain for curve in plot.curves] == [True, False, True]
    assert [point.x for point in plot.curves[1].points] == pytest.approx([1 / 2, 2 / 3, 5 / 6])


def test_a_number_that_was_taken_out_is_missed_by_name() -> None:
    def without(cell: Cell) -> Cell:
        kept = {name: x for name, x in cell.numbers.items() if name != "power smaller"}
        return dataclasses.replace(cell, numbers=kept)

    row = rows(tuple(map(without, cells())))["D-1 exact"]
    assert row.verdict is Verdict.INCONCLUSIVE
    assert "'power smaller' was not measured" in str(row.effect)


@pytest.mark.parametrize("size", ["7", "3", "0", "-6", "7.5", "x"])
def test_a_share_of_terminals_that_is_no_whole_number_is_refused(size: str) -> None:
    study = PowerStatistics()
    with pytest.raises(BadInputError, match=f"a multiple of 6, such as 12, not '{size}'"):
        study.steps(sized_form(study.forms["quick"], [size]))
