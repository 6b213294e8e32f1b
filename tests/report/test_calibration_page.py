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
from insectary.report.html import environment


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


def test_the_finding_counts_no_luck_of_a_null_and_names_who_raised_alarms() -> None:
    found = Page(render_calibration(calibrations())).said("finding")
    assert "Of 2 planted weaknesses, 1 was named by some method, and 1 by none." in found
    assert "Most by paired_contexts." in found
    assert "in which nothing is planted, by prefill: false alarms" in found
    quiet = tuple(line for line in ATTACKS if line.method != "prefill")
    said = Page(render_calibration(calibrations(quiet))).said("finding")
    assert "Nothing was named of a twin or a decoy; that bounds the rate" in said
    # A method that finds nothing is not the best of them.
    none = (attacked("prefill", rate(0.0)), attacked("direct_questions", NEVER))
    assert views.best(none) == ()


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


@pytest.mark.parametrize("fate", ["found", "missed", "no opportunity", "failed"])
def test_every_fate_has_a_mark_of_its_own(fate: str) -> None:
    assert len({*views.MARKS.values()}) == 4
    assert fate in views.MARKS
