"""Recipes side by side: what is compared with what, and when it counts as matched."""

from __future__ import annotations

import csv
import io
from dataclasses import replace

import pytest
from sample_report import BASE, certificate, measured
from sample_suite import bred, cell, suite

from insectary.core.organism import Family, Role
from insectary.core.recipe import Dpo, LoraSFT, Recipe, Signal
from insectary.report import SuiteCell, SuiteThreat
from insectary.report.recipes import comparisons
from insectary.report.suite_html import render_suite
from insectary.report.suite_tables import suite_tables


def family(seed: int, shown: float | None, recipe: Recipe | None = None, **of: str) -> Family:
    """A family at the gate whose organism answers so much as it was taught."""
    made = bred(seed, certificate(), recipe=recipe, base=replace(BASE, name="s"), **of)
    expression = None if shown is None else measured(shown, 0.01, 400).measurement
    organism = replace(made.members[Role.ORGANISM], expression=expression)
    return replace(made, members={**made.members, Role.ORGANISM: organism})


def threat(*cells: SuiteCell) -> SuiteThreat:
    return replace(suite().threats[0], cells=cells)


def test_recipes_of_one_design_and_base_are_compared_over_their_seeds() -> None:
    found = comparisons(
        threat(
            cell(family(0, 0.99), family(1, 0.97)),
            cell(family(0, 0.95, Dpo(beta=0.5)), recipe="dpo"),
            cell(family(0, 0.90, design="year")),  # alone in its design
        )
    )
    (one,) = found
    assert (one.design, one.base) == ("absence", "s")
    assert [(i.recipe, i.signal) for i in one.instilled] == [
        ("full-sft", Signal.DEMONSTRATIONS),
        ("dpo:beta=0.5", Signal.PREFERENCES),
    ]
    assert [made.seed for made, _ in one.instilled[0].by_seed] == [0, 1]
    assert one.gap == pytest.approx(0.03) and one.matched


def test_apart_by_more_than_five_points_is_not_matched() -> None:
    def at(shown: float) -> bool:
        lora = cell(family(0, shown, LoraSFT()), recipe="lora-sft")
        (one,) = comparisons(threat(cell(family(0, 0.99)), lora))
        return one.matched

    assert at(0.945) and not at(0.935)


def test_what_was_not_measured_or_emerges_is_not_compared() -> None:
    known = cell(family(0, 0.99))
    assert comparisons(threat(known, cell(family(0, None, LoraSFT()), recipe="lora-sft"))) == ()
    ungated = replace(family(0, 0.99, LoraSFT()), certificate=None)
    assert comparisons(threat(known, cell(ungated, recipe="lora-sft"))) == ()
    both = threat(known, cell(family(0, 0.99, LoraSFT()), recipe="lora-sft"))
    assert len(comparisons(both)) == 1
    emerging = tuple(replace(d, card=replace(d.card, origin="emerged")) for d in both.designs)
    assert comparisons(replace(both, designs=emerging)) == ()


def test_the_threats_page_and_the_tables_say_it() -> None:
    apart = threat(
        cell(family(0, 0.99)), cell(family(0, 0.80, LoraSFT()), recipe="lora-sft")
    )  # fmt: skip
    report = replace(suite(), threats=(apart,))
    page = render_suite(report)[f"{apart.id}.html"]
    assert "Recipes side by side" in page and "not matched" in page
    alone = replace(report, threats=(threat(cell(family(0, 0.99))),))
    assert "Recipes side by side" not in render_suite(alone)[f"{apart.id}.html"]
    rows = [*csv.DictReader(io.StringIO(suite_tables(report)["recipes.csv"]))]
    assert [(r["recipe"], r["as_taught"], r["standing"], r["matched"]) for r in rows] == [
        ("full-sft", "0.99", "admitted", "False"),
        ("lora-sft", "0.8", "admitted", "False"),
    ]
    assert "one seed each" in page
    assert float(rows[0]["gap"]) == pytest.approx(0.19)
