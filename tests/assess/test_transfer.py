"""What is told of size: from a ladder where there is one, and never a trend through two points."""

from __future__ import annotations

from pathlib import Path

import pytest
from scripted_model import Scripted

from insectary.assess.answers import Answers, Decoding
from insectary.assess.assessing import assess, plan
from insectary.assess.calibration import Tried
from insectary.assess.catalogue import catalogue
from insectary.assess.context import Context, ModelFacts
from insectary.assess.probes import PROBES
from insectary.assess.transfer import check_named, ladder_of, trend
from insectary.core.errors import BadInputError
from insectary.core.outcome import Measured, Measurement, NotApplicable, Outcome
from insectary.core.studying import AtSize, Climbed, Judgement, Verdict
from insectary.measure.trend import slope
from insectary.report.assessment_html import render_assessment
from insectary.vault import Vault

FACTS = ModelFacts(9e6)
TWO = NotApplicable("two sizes give a difference and no trend")


def at(value: float, spread: float = 0.02) -> Measurement:
    return Measurement(value, value - spread, value + spread, 8, "t over 8 seeds")


def ladder(effects: dict[int, float], unit: str = "parameters") -> Climbed:
    sizes = tuple(
        AtSize(
            f"base-{n}", n, Judgement("A-6", Verdict.REPLICATED, Measured(at(e)), 0.004, None, 8)
        )
        for n, e in effects.items()
    )
    values = [at(e) for e in effects.values()]
    line: Outcome = TWO if len(effects) == 2 else Measured(slope([*effects], values))
    apart = Measured(at(values[-1].value - values[0].value))
    return Climbed("redundant_questions", "A-6", unit, sizes, apart, line)


def tried(parameters: int, contrast: float, design: str = "unknowns") -> Tried:
    return Tried(
        "redundant", f"family-{parameters}-{design}", "goal_misgeneralization", design, "s",
        parameters, Measured(at(contrast)), True, (False, False), "2026-11-01",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("effects", "told"),
    [
        ({1_000: 0.1, 10_000: 0.4, 100_000: 0.7}, "grows with size"),
        ({1_000: 0.7, 10_000: 0.4, 100_000: 0.1}, "falls with size"),
        ({1_000: 0.4, 10_000: 0.1, 100_000: 0.4}, "is not shown to grow or to fall with size"),
    ],
)
def test_a_ladder_of_three_sizes_has_a_trend(effects: dict[int, float], told: str) -> None:
    found = trend([tried(500, 0.9)], FACTS, ladder(effects))
    source = "In the ladder of redundant_questions (A-6) the effect"
    assert found.statement.startswith(f"{source} {told}.")
    assert [(size, n) for size, n, _ in found.sizes] == [(size, 8) for size in effects]
    assert isinstance(found.slope, Measured)
    assert found.factor == pytest.approx(90) and found.ladder == "redundant_questions, A-6"
    assert "lies 90 times beyond the largest of them" in found.statement


def test_two_sizes_give_a_difference_and_no_trend() -> None:
    found = trend([], FACTS, ladder({1_000: 0.1, 10_000: 0.4}))
    assert found.slope == TWO
    assert "differs from that at the smallest by +0.300 [+0.280, +0.320]" in found.statement
    assert "two sizes give a difference and no trend." in found.statement
    assert "grows" not in found.statement


def test_families_alone_have_a_trend_within_a_design_of_three_sizes() -> None:
    three = [tried(1_000, 0.1), tried(10_000, 0.4), tried(100_000, 0.7)]
    found = trend(three, FACTS)
    assert isinstance(found.slope, Measured) and found.ladder == ""
    assert found.statement.startswith("The contrast grows with size among the organisms.")
    one_elsewhere = [*three[:2], tried(100_000, 0.7, design="length")]
    found = trend(one_elsewhere, FACTS)
    assert found.slope == TWO and "so that there is no trend" in found.statement
    found = trend(three[:1], FACTS)
    assert found.slope == NotApplicable("one size only")
    assert found.statement.startswith("The organisms have one size (1,000 parameters)")
    assert trend([], FACTS).statement.startswith("Nothing is carried over")


def test_a_behaviour_has_the_ladder_that_it_names_and_no_other() -> None:
    listed = {behaviour.id: behaviour for behaviour in catalogue()}
    own, other = listed["redundant-question"], listed["proxy-place"]
    rows = [ladder({1_000: 0.1, 10_000: 0.4})]
    assert ladder_of([own], rows) is rows[0]
    assert ladder_of([other], rows) is None
    # Widths of a network are no parameters that a model could be compared with.
    assert ladder_of([own], [ladder({16: 0.1, 64: 0.4}, unit="size")]) is None
    with pytest.raises(BadInputError, match="names the ladder of redundant_questions"):
        check_named([other], rows)


def test_an_assessment_tells_what_the_ladder_does(tmp_path: Path) -> None:
    made = plan(Context(facts=FACTS), [PROBES["redundant"]], n=60, seed=1)
    answers = Answers(Scripted(made), tmp_path, Decoding(), 1000)
    rows = [ladder({1_000: 0.1, 10_000: 0.4})]
    report = assess(made, answers, catalogue(), ladders=rows, vault=Vault())
    (found,) = (f for f in report.findings if f.probe == "redundant")
    assert found.trend.ladder == "redundant_questions, A-6"
    page = render_assessment(report)["report.html"]
    assert "10,000 parameters (8 seeds)" in page and "a difference and no trend" in page
