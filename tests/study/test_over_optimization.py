"""The verdicts of C-1 and C-2, on curves that are known and on sheets that are wrong."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from insectary.core.errors import BadInputError
from insectary.core.outcome import Failed, Measured
from insectary.core.step import Json, Step
from insectary.core.studying import Cell, Judgement, Provenance, Sheet, Verdict
from insectary.study.ladder import sized_form
from insectary.study.over_optimization import NS, OverOptimization, form_gain
from insectary.study.string_world import distance

STUDY = OverOptimization()
FORM = STUDY.forms["full"]
D = np.array([distance(n) for n in NS])
Floats = NDArray[np.float64]
Shape = Callable[[float], Floats]


def falling(height: float) -> Floats:
    """Gao's form, with its peak in the middle."""
    curve: Floats = height * D * (1 - D / D[-1])
    return curve


def rising(height: float) -> Floats:
    line: Floats = height * D
    return line


def results(shape: Shape, proxy: Floats = D) -> dict[str, Json | Failed]:
    """Gold of that shape, the higher the wider the proxy and the more its data, with noise."""
    return {step.key: _one(step, shape, proxy) for step in STUDY.steps(FORM)}


def _one(step: Step, shape: Shape, proxy: Floats) -> Json:
    rng = np.random.default_rng([step.params["seed"], step.params["saturation"] == "log"])
    found = []
    for pairs, width in step.params["proxies"]:
        gold = shape(1 + np.log(pairs) / 10 + np.log(width) / 10)
        noisy = [(gold + rng.normal(0, 0.02, len(NS))).tolist() for _ in range(2)]
        found.append({"gold": noisy[0], "again": noisy[1], "proxy": proxy.tolist()})
    return found


def rows(cells: tuple[Cell, ...]) -> dict[str, Judgement]:
    return {found.finding: found for found in STUDY.judge(sheet(cells))}


def sheet(cells: tuple[Cell, ...]) -> Sheet:
    return Sheet(STUDY.name, "full", cells, Provenance((), (), (), (), {}, 0.0, {}))


def judged(shape: Shape, proxy: Floats = D) -> dict[str, Judgement]:
    return rows(STUDY.cells(FORM, results(shape, proxy)))


def test_gold_that_falls_from_a_peak_replicates_it() -> None:
    found = judged(falling)
    assert {row.verdict for row in found.values()} == {Verdict.REPLICATED}
    effect = found["C-1"].effect
    assert isinstance(effect, Measured)
    assert effect.measurement.value == pytest.approx(falling(1.95).max(), abs=0.1)
    assert found["C-1"].p == pytest.approx(1 / 256)
    assert found["C-2"].p_holm is None, "exploratory rows take no part"


def test_gold_that_rises_to_the_end_does_not() -> None:
    assert judged(rising)["C-1"].verdict is Verdict.NOT_REPLICATED


def test_a_peak_that_is_only_noise_before_a_flat_end_does_not() -> None:
    found = judged(lambda height: height * np.minimum(D, 1.5))
    assert found["C-1"].verdict is Verdict.NOT_REPLICATED


def test_a_proxy_that_falls_is_no_proxy() -> None:
    assert judged(falling, D[::-1])["C-1"].verdict is Verdict.NOT_REPLICATED


def test_more_data_and_width_that_lower_the_peak_are_a_reversal() -> None:
    found = judged(lambda height: falling(4 - height))
    assert found["C-2"].verdict is found["C-2 data"].verdict is Verdict.REVERSED
    assert found["C-1"].verdict is Verdict.REPLICATED


def test_five_seeds_are_too_few() -> None:
    few = tuple(c for c in STUDY.cells(FORM, results(falling)) if c.seed < 5)
    assert rows(few)["C-1"].verdict is Verdict.INCONCLUSIVE


def test_a_step_that_failed_is_no_number() -> None:
    first = STUDY.steps(FORM)[0].key
    made = STUDY.cells(FORM, results(falling) | {first: Failed("out of memory")})
    found = rows(made)
    assert found["C-1"].verdict is found["C-2"].verdict is Verdict.INCONCLUSIVE
    assert "out of memory" in str(found["C-1"].effect)
    assert found["C-1 shift"].verdict is Verdict.REPLICATED, "it was another step"


def test_a_number_that_was_taken_out_is_missed_by_name() -> None:
    def without(cell: Cell) -> Cell:
        kept = {name: x for name, x in cell.numbers.items() if name != "gold 64"}
        return dataclasses.replace(cell, numbers=kept)

    row = rows(tuple(map(without, STUDY.cells(FORM, results(falling)))))["C-1"]
    assert row.verdict is Verdict.INCONCLUSIVE
    assert "'gold 64' was not measured" in str(row.effect)


def test_the_quick_form_says_what_it_lacks() -> None:
    quick = STUDY.forms["quick"]
    made = STUDY.cells(quick, {s.key: _one(s, falling, D) for s in STUDY.steps(quick)})
    found = rows(made)
    assert found["C-1"].verdict is Verdict.INCONCLUSIVE, "three seeds"
    assert "the full one" in found["C-1 shift"].note and "the full one" in found["C-2"].note


def test_the_peak_is_looked_for_on_one_pool_and_measured_on_the_other() -> None:
    made = results(lambda _: np.zeros(len(NS)))
    for found in made.values():
        for one in found:
            one["gold"], one["again"] = [0.0] * len(NS), [0.0] * len(NS)
            one["gold"][5], one["again"][7] = 9.0, 9.0
    assert {cell.numbers["drop"].value for cell in STUDY.cells(FORM, made)} == {0.0}


def test_the_form_wins_where_there_is_a_peak_and_loses_on_a_line() -> None:
    assert form_gain(falling(1)) > 10
    noise = 0.05 * np.cos(np.pi * np.arange(len(NS)))
    assert form_gain(rising(1) + noise) < 0


def test_the_plot_has_a_line_for_each_amount_of_data_and_the_proxy_in_grey() -> None:
    plot = STUDY.plot(sheet(STUDY.cells(FORM, results(falling))))
    assert [curve.plain for curve in plot.curves] == [False, False, False, True]
    assert [point.x for point in plot.curves[0].points] == pytest.approx(D.tolist())


@pytest.mark.parametrize("size", ["0", "-4", "4.5", "x"])
def test_a_width_that_cannot_be_is_refused(size: str) -> None:
    with pytest.raises(BadInputError, match=f"a proxy's hidden units, such as 16, not '{size}'"):
        STUDY.steps(sized_form(STUDY.forms["quick"], [size]))
