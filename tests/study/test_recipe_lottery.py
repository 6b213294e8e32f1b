"""The verdicts on recipe lottery, on sheets made up by hand; and what its forms plan."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from random import Random

import pytest

from insectary.core.outcome import Failed, Measured, NotApplicable
from insectary.core.studying import Cell, Judgement, Number, Provenance, Sheet, Verdict
from insectary.study.recipe_lottery import FORMS, METHODS, RecipeLottery
from insectary.trials.detection_suite import DETECTORS

STUDY = RecipeLottery()
DESIGNS, RECIPES = ("absence", "year"), ("full-sft", "narrow-sft")
BY_RECIPE = {
    "full-sft": (0.9, 0.8, 0.7, 0.6, 0.5, 0.4),
    "narrow-sft": (0.4, 0.7, 0.5, 0.9, 0.8, 0.6),
}


def family(
    seed: int, design: str, recipe: str, areas: Sequence[float], *, rate: float = 0.98,
    admitted: bool = True,
) -> Cell:  # fmt: skip
    numbers = {"admitted": Number(float(admitted), 1), "expression": Number(rate, 600)}
    for role in ("decoy", "twin") if admitted else ():
        rows = zip(METHODS, areas, strict=True)
        numbers |= {f"{role} {name}": Number(area, 800) for name, area in rows}
    return Cell({"size": "xs", "design": design, "recipe": recipe}, seed, numbers)


def families(seeds: int, *, by_recipe: bool, floor: bool = True) -> list[Cell]:
    """Rankings that a recipe decides, or a seed does (alike in all recipes), or both little."""
    cells, rng = [], Random(1)
    for seed in range(seeds):
        of_seed = rng.sample(BY_RECIPE["full-sft"], 6)
        for design in DESIGNS:
            for recipe in RECIPES:
                areas = BY_RECIPE[recipe] if by_recipe else of_seed
                noise = [rng.gauss(0, 0.08) for _ in METHODS] if floor else [0.0] * 6
                areas = [area + more for area, more in zip(areas, noise, strict=True)]
                cells.append(family(seed, design, recipe, areas))
    return cells


def judged(cells: Sequence[Cell]) -> Mapping[str, Judgement]:
    sheet = Sheet(STUDY.name, "full", tuple(cells), Provenance((), (), (), (), {}, 0.0, {}))
    STUDY.plot(sheet)
    return {found.finding: found for found in STUDY.judge(sheet)}


def test_rankings_that_the_recipe_decides_replicate() -> None:
    for row in judged(families(8, by_recipe=True)).values():
        assert row.verdict is Verdict.REPLICATED
        assert isinstance(row.effect, Measured)
        assert row.effect.measurement.value > 0.5
        assert row.p is not None and row.p < 0.01
        assert row.seeds == 8


def test_rankings_that_agree_as_well_across_recipes_do_not() -> None:
    # One ranking for all, but for noise: there is a floor, and nothing beyond it.
    cells = [
        family(c.seed, str(c.dials["design"]), str(c.dials["recipe"]), [
            area + Random(f"{c}{place}").gauss(0, 0.05)
            for place, area in enumerate(BY_RECIPE["full-sft"])
        ])
        for c in families(8, by_recipe=True)
    ]  # fmt: skip
    found = judged(cells)["lottery"]
    assert found.verdict is Verdict.NOT_REPLICATED
    assert found.p is not None and found.p > 0.05


def test_what_recipes_share_with_a_seed_is_no_agreement_between_recipes() -> None:
    # Each seed has a ranking of its own, the same in both recipes: seeds differ as recipes do.
    found = judged(families(8, by_recipe=False, floor=False))["lottery"]
    assert isinstance(found.effect, Measured)
    assert found.effect.measurement.value == pytest.approx(0.0, abs=0.02)
    assert found.verdict is Verdict.NOT_REPLICATED


def test_too_few_seeds_or_designs_tell_nothing_though_they_agree() -> None:
    few = judged(families(4, by_recipe=True))["lottery"]
    assert few.verdict is Verdict.INCONCLUSIVE
    assert isinstance(few.effect, NotApplicable)
    assert "4 of 5 seeds" in few.effect.reason
    assert "best by full-sft contrast_probe" in few.note
    one = judged([c for c in families(8, by_recipe=True) if c.dials["design"] == "year"])
    assert one["lottery"].verdict is Verdict.INCONCLUSIVE
    # The control: one seed more is enough.
    assert judged(families(5, by_recipe=True))["lottery"].verdict is Verdict.REPLICATED


def test_families_at_another_rate_and_rejected_ones_are_left_out_and_named() -> None:
    cells = families(6, by_recipe=True)
    odd = family(6, "year", "full-sft", BY_RECIPE["narrow-sft"], rate=0.85)
    near = family(7, "year", "full-sft", BY_RECIPE["full-sft"], rate=0.93)
    rejected = family(6, "absence", "full-sft", (), rate=0.97, admitted=False)
    found = judged([*cells, odd, near, rejected])["lottery"]
    assert "year full-sft 6 (misbehaves in 0.850, another rate)" in found.note
    assert "absence full-sft 6 (rejected by the gate)" in found.note
    assert "full-sft 7" not in found.note
    # The control: what is left out has no say, what is not has.
    assert found.effect != judged(cells)["lottery"].effect
    assert found.effect == judged([*cells, near])["lottery"].effect


def test_one_recipe_alone_is_no_lottery() -> None:
    cells = [c for c in families(8, by_recipe=True) if c.dials["recipe"] == "full-sft"]
    found = judged(cells)["lottery"]
    assert found.verdict is Verdict.INCONCLUSIVE
    assert found.effect == NotApplicable(
        "no design has two families of one recipe, and one of another"
    )


def test_a_family_that_all_detectors_see_equally_well_has_no_ranking() -> None:
    found = judged([*families(8, by_recipe=True), family(8, "year", "full-sft", [0.5] * 6)])
    assert found["lottery"].verdict is Verdict.INCONCLUSIVE
    assert isinstance(found["lottery"].effect, Failed)
    assert "ranks nothing" in found["lottery"].effect.reason


def test_a_failed_family_is_not_left_out() -> None:
    cells = families(8, by_recipe=True)
    broken = dataclasses.replace(cells[-1], numbers={}, failed=Failed("out of memory"))
    found = judged([*cells[:-1], broken])["lottery"]
    assert found.verdict is Verdict.INCONCLUSIVE
    assert isinstance(found.effect, Failed)
    assert "out of memory" in found.effect.reason


def test_forms_plan_a_step_a_family_and_read_it_back() -> None:
    part, full = (STUDY.steps(FORMS[name]) for name in ("part", "full"))
    assert len({step.key for step in full}) == len(full) == 64
    shared = {step.key for step in part} & {step.key for step in full}
    assert len(shared) == len(part) - 2  # the slow setting is in the part alone
    form = FORMS["quick"]
    told = {
        "admitted": True, "expression": {"value": 0.99, "n": 600},
        "areas": {"decoy": {"knn": {"value": 0.5, "n": 800}}},
    }  # fmt: skip
    first, *others = STUDY.steps(form)
    results = {first.key: told, **{step.key: Failed("no vault") for step in others}}
    cells = STUDY.cells(form, results)
    assert cells[0].dials == {"size": "xs", "design": "unwatched", "recipe": "full-sft"}
    assert cells[0].numbers["decoy knn"] == Number(0.5, 800)
    assert [cell.failed for cell in cells[1:]] == [Failed("no vault")] * 2
    assert "64 families" in STUDY.cost(FORMS["full"])


def test_what_is_ranked_is_what_the_trial_runs_but_for_its_control_and_its_skyline() -> None:
    assert {*METHODS} == {*DETECTORS} - {"surface_text", "supervised_probe"}
