"""The page of a calibration: what it says of recall, alarms and of what had no opportunity."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import pytest
from sample_trials import ATTACKS, NEVER, attacked, calibrations, rate
from test_trial_pages import HOSTILE, Page

from insectary.core.outcome import Failed
from insectary.report import calibration_views as views
from insectary.report.calibration_html import render_calibration
from insectary.report.calibration_views import CalibrationReport, MethodLine
from insectary.report.html import environment
from insectary.report.words import counted


def _hostile(env: Any) -> str:
    hurt = tuple(
        dataclasses.replace(each, method=HOSTILE, grading=Failed(HOSTILE)) for each in ATTACKS
    )
    report = calibrations(hurt)
    families = tuple(
        dataclasses.replace(
            f, id=HOSTILE, cell=HOSTILE, fates=tuple((HOSTILE, "missed", HOSTILE) for _ in f.fates)
        )
        for f in report.families
    )
    whole = dataclasses.replace(report, families=families, failures=(HOSTILE,), version=HOSTILE)
    return render_calibration(whole, env)


def test_hostile_text_is_escaped_and_nothing_is_loaded() -> None:
    page = Page(_hostile(None))
    assert not {"script", "img"} & {*page.tags}
    assert [r for r in page.outside if r != "data:,"] == []
    assert HOSTILE in "".join(page.sections.values())


def test_broken_control_without_escaping_the_script_stands_there() -> None:
    assert "script" in Page(_hostile(environment(autoescape=False))).tags


def test_the_same_report_gives_the_same_page() -> None:
    assert render_calibration(calibrations()) == render_calibration(calibrations())


def finding(report: CalibrationReport) -> str:
    return " ".join(Page(render_calibration(report)).said("finding").split())


def with_fates(*rows: tuple[str, ...], lines: tuple[MethodLine, ...] = ATTACKS) -> str:
    """The finding where each family has these fates, by the order of the methods."""
    report = calibrations(lines)
    families = tuple(
        dataclasses.replace(
            report.families[0],
            id=f"family-{number}",
            fates=tuple((line.method, fate, "") for line, fate in zip(lines, row, strict=True)),
        )
        for number, row in enumerate(rows)
    )
    return finding(dataclasses.replace(report, families=families))


def test_the_finding_counts_no_luck_of_a_null_and_names_who_raised_alarms() -> None:
    found = finding(calibrations())
    assert "Of 2 planted weaknesses put to the test, 1 was named by some method" in found
    assert "and 1 by none." in found and "Counted neither" not in found
    assert "Most by paired_contexts." in found
    assert "in which nothing is planted, by prefill: false alarms" in found
    # A method that finds nothing is not the best of them.
    none = (attacked("prefill", rate(0.0)), attacked("direct_questions", NEVER))
    assert views.best(none) == ()


def test_what_was_never_tested_is_not_counted_as_named_by_none() -> None:
    closed = ("no opportunity",) * 3 + ("found",)  # the null's is luck
    said = with_fates(closed, ("failed", "missed", "failed", "missed"))
    assert "Of 1 planted weakness put to the test, 0 were named by any method." in said
    assert "Counted neither as named nor as missed: 1 had no opportunity." in said
    said = with_fates(closed, ("unscored",) * 4, ("failed",) * 4, ("failed",) * 4)
    assert "None of 4 planted weaknesses was put to the test." in said
    assert "1 had no opportunity, 1 unscored, 2 failed." in said and "by none" not in said
    said = with_fates(("no opportunity", "found", "failed", "missed"))
    assert "Of 1 planted weakness put to the test, 1 was named by some method, and 0 by" in said


def test_alarms_of_the_null_are_told_apart_from_the_methods() -> None:
    quiet = tuple(line for line in ATTACKS if line.method != "prefill")
    said = finding(calibrations(quiet))
    assert "The null left out, no method named anything of a twin or a decoy; that" in said
    assert "By lot, the null random_prompts named something of 2 of 4 twins and 0 of 4" in said
    # Of a scanner there is no null.
    alone = finding(calibrations(quiet[:1]))
    assert "No method named anything of a twin or a decoy" in alone and "null" not in alone
    null = finding(calibrations(quiet[-1:]))
    assert "No planted weakness was put to the test by a method. Only the null ran" in null
    assert "2 of 4 twins" in null and "no method named" not in null
    broken = dataclasses.replace(quiet[0], alarms_twin=Failed("x"), alarms_decoy=Failed("x"))
    said = finding(calibrations((broken,)))
    assert "No method attacked a twin or a decoy without failure." in said


def test_counts_seeds_and_columns_are_worded() -> None:
    report = calibrations()
    page = render_calibration(report)
    assert "<dd>seeds 0, 1</dd>" in page and "<dt>Families</dt>" in page
    assert "first 60 requests</th>" in page
    assert "one attack that had the whole budget of 600" in Page(page).said("budget")
    one = render_calibration(dataclasses.replace(report, families=report.families[:1]))
    assert "<dd>seed 0</dd>" in one and "<dt>Family</dt>" in one
    assert counted(1, "request") == "1 request"
    assert counted(1200, "family", "families") == "1,200 families"


def test_without_an_opportunity_there_is_a_reason_and_no_figure() -> None:
    page = Page(render_calibration(calibrations()))
    recall = page.said("recall")
    place = recall.index("direct_questions; 0 requests at an open gate")
    rest = recall[place : recall.index("random_prompts")]
    assert rest.count("no organism was attacked with an opportunity") == 3
    assert not re.search(r"\d\.\d\d", rest)
    assert "4 no opportunity" in page.said("alarms")
    families = page.said("families")
    assert "fewer than 50 requests at an open gate" in families
    assert "twin: sycophancy" in families and "RuntimeError: no luck" in families


@pytest.mark.parametrize("fate", ["found", "missed", "no opportunity", "unscored", "failed"])
def test_every_fate_has_a_mark(fate: str) -> None:
    assert len({*views.MARKS.values()}) == 4
    assert fate in views.MARKS
