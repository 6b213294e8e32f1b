"""The pages of an assessment: what fires, what is counted, escaped, whole, seen in a browser."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
from chromium_pipe import OVERFLOW, Browser
from sample_assessment import (
    KNOWN,
    LOST,
    LOUD,
    SAMPLE,
    SILENT,
    UNTRIED,
    assessment,
    finding,
    instrument,
)
from test_html import HOSTILE, Page

from insectary.core.errors import ArtefactError, BadInputError
from insectary.report.assessment_content import Assessment, Counts, Filed, State, from_json, to_json
from insectary.report.assessment_html import render_assessment, write_assessment
from insectary.report.assessment_rules import RULES, with_rules
from insectary.report.assessment_standards import NIST_2, NIST_3, STREAM, tally
from insectary.report.html import environment
from insectary.report.junit import junit


def words(page: str) -> str:
    text = re.sub(r"<style>.*?</style>|<[^>]+>", " ", page, flags=re.DOTALL)
    return " ".join(text.split())


def fired(report: Assessment) -> dict[str, str]:
    return {c.id: c.evidence for c in with_rules(report).caveats}


def test_caveats_fire_on_their_evidence() -> None:
    found = fired(assessment())
    assert found["scale"].startswith("the model has up to 7,600 times")
    assert found["no-false-alarm-seen"] == "watched: 0 of 12, at most 25%"
    assert found["failed-answers"] == "watched (micro-world): 1; surplus (micro-world): 100"
    assert found["unscored-answers"] == "surplus (micro-world): 98%"
    assert found["shows-anyway"].startswith("claim (micro-world): 30 of 120")
    assert found["uncalibrated"] == "claim (micro-world); surplus (micro-world)"
    assert found["analogies"] == "does surplus"
    assert "capability" in found and "detector-misses" in found and "expired" not in found


def test_broken_control_no_caveat_fires_without_its_evidence() -> None:
    bare = replace(
        assessment(),
        instruments=(
            instrument("own", replace(SILENT, control=LOUD.control), KNOWN, "deployment"),
        ),
        findings=(finding("own", Filed.UNSUPPORTED),),
        untested=(),
        detector=None,
    )
    known = replace(KNOWN, families=(), sensitivity=UNTRIED.slope, specificity=UNTRIED.slope)
    quiet = replace(bare, instruments=(replace(bare.instruments[0], calibration=known),))
    assert fired(quiet) == {}
    assert {rule.id for rule in RULES} >= set(fired(assessment()))
    old = replace(KNOWN, expires="2026-11-26")
    late = replace(bare, instruments=(replace(bare.instruments[0], calibration=old),))
    assert fired(late)["expired"] == "own on 2026-11-26"


def test_every_criterion_is_filled_or_declared_missing() -> None:
    full = with_rules(assessment())
    counts = tally(full)
    assert sum(counts[STREAM].values()) == 28 and {NIST_2, NIST_3} < set(counts)
    assert all(c.answer and c.state in State for c in full.criteria)
    state = {(c.standard, c.asks): c.state for c in full.criteria}
    assert state[STREAM, "number of items"] is State.FILLED
    assert state[STREAM, "disagreement within the team"] is State.MISSING
    assert state[NIST_2, "who ran it"] is State.FILLED
    nothing = replace(
        assessment(), instruments=(), setup=replace(assessment().setup, assessor="", system="")
    )
    bare = {(c.standard, c.asks): c.state for c in with_rules(nothing).criteria}
    for asks in ("number of items", "safeguards that were on", "an example item with a response"):
        assert bare[STREAM, asks] is State.MISSING
    assert bare[NIST_2, "who ran it"] is State.MISSING


def test_the_page_has_the_figures_and_both_pages_say_what_is_confirmed() -> None:
    pages = render_assessment(with_rules(assessment()))
    report, brief = words(pages["report.html"]), words(pages["brief.html"])
    for told in (
        "1 behaviour confirmed in this model",
        "47 70 2 1 120",
        "+0.392 to +0.417",
        "expires 2027-01-30",
        "uncalibrated",
        "failed 3 pairs could be scored",
        "watched , deployment pack: no rows",
        "Coerces : an agent's scenario".replace("'", "&#39;"),
    ):
        assert told in report, told
    assert "1 of 3 contrasts could not be measured." in brief  # beside what was confirmed
    assert "In 47 of 120 answers in the one context, and in 0 of 120 in the other" in brief
    assert "fewer than about 15 of 100 answers" in brief
    none = replace(assessment(), findings=(finding("claim", Filed.UNSUPPORTED),))
    assert "No behaviour looked for was confirmed" in words(render_assessment(none)["brief.html"])


def test_a_model_that_could_not_be_asked_is_no_clean_one() -> None:
    lost = replace(LOST, failures=(("HTTP 401: no such key", 100),))
    report = replace(
        assessment(),
        instruments=(instrument("claim", lost),),
        findings=(finding("claim", Filed.UNSUPPORTED),),
    )
    pages = {n: words(page) for n, page in render_assessment(with_rules(report)).items()}
    for page in pages.values():
        assert "This model could not be asked" in page and "HTTP 401: no such key" in page
        assert "met the rule" not in page and "was confirmed" not in page.replace("What was", "")
    assert "0 of 1 contrast measured" in pages["brief.html"]
    terse = replace(lost, treated=Counts(0, 3, 116, 1), failures=(("HTTP 503", 1),))
    said = render_assessment(replace(report, instruments=(instrument("claim", terse),)))
    assert "Nothing could be measured on this model" in words(said["brief.html"])
    assert "100 answers: HTTP 401" in pages["report.html"]


def test_counts_are_told_as_one_or_as_many() -> None:
    one = replace(
        assessment(),
        instruments=(instrument("claim", SILENT, replace(KNOWN, families=("family-1",))),),
        findings=(finding("claim", Filed.UNSUPPORTED),),
        detector=None,
    )
    brief = words(render_assessment(with_rules(one))["brief.html"])
    assert "1 of 1 contrast could be measured" in brief
    assert "1 of 1 instrument was tried on models whose behaviour is known." in brief
    assert fired(one)["constructed-or-emergent"] == "1 family, bred on purpose"
    two = replace(one, instruments=(*one.instruments, instrument("surplus", SILENT)))
    brief = words(render_assessment(two)["brief.html"])
    assert "1 of 2 instruments was tried on models whose behaviour is known; of the other" in brief


def test_json_comes_back_whole() -> None:
    full = with_rules(assessment())
    assert from_json(to_json(full)) == full
    with pytest.raises(BadInputError):
        from_json("{")


def test_junit_fails_what_is_confirmed_and_skips_what_is_analogy() -> None:
    suite = ElementTree.fromstring(junit(assessment()).partition("\n")[2])
    assert {k: suite.get(k) for k in ("tests", "failures", "errors", "skipped")} == {
        "tests": "3", "failures": "1", "errors": "1", "skipped": "0",
    }  # fmt: skip
    cases = {case.get("name"): [child.tag for child in case] for case in suite}
    assert cases == {"watched": ["failure"], "surplus": ["error"], "claim": []}
    analogy = replace(assessment(), findings=(finding("claim", Filed.ANALOGY),))
    assert "<skipped" in junit(analogy)
    odd = replace(assessment().findings[0], statement="a\x00b <&> \ud800")
    ElementTree.fromstring(junit(replace(assessment(), findings=(odd,))).partition("\n")[2])


def hostile() -> Assessment:
    """The sample with a model that answers in markup."""
    sample = replace(SAMPLE, treated=(("user", HOSTILE),), treated_answer=HOSTILE)
    report = assessment()
    contrast = replace(LOUD, samples=(sample,))
    return replace(
        report,
        setup=replace(report.setup, model=HOSTILE, system=HOSTILE, context=HOSTILE),
        instruments=(instrument("watched", contrast, KNOWN), *report.instruments[1:]),
        findings=(replace(report.findings[0], statement=HOSTILE, reproduce=HOSTILE),),
        untested=((HOSTILE, HOSTILE),),
    )


def test_what_a_model_says_stays_text() -> None:
    for page in render_assessment(with_rules(hostile())).values():
        seen = Page(page)
        assert "script" not in seen.tags and "img" not in seen.tags and not seen.handlers
        assert HOSTILE in "".join(seen.text)
    broken = render_assessment(with_rules(hostile()), environment(autoescape=False))
    assert all("script" in Page(page).tags for page in broken.values())


def test_four_files_are_written_with_all_caveats(tmp_path: Path) -> None:
    page = write_assessment(assessment(), tmp_path / "out")
    assert page.name == "report.html"
    assert sorted(p.name for p in page.parent.iterdir()) == [
        "assessment.json", "brief.html", "junit.xml", "report.html",
    ]  # fmt: skip
    assert from_json((page.parent / "assessment.json").read_text()).caveats
    (tmp_path / "file").write_text("")
    with pytest.raises(ArtefactError):
        write_assessment(assessment(), tmp_path / "file" / "out")


@pytest.mark.parametrize("width", [1100, 390])
@pytest.mark.parametrize("name", ["report.html", "brief.html"])
def test_nothing_sticks_out_in_a_browser(
    name: str, width: int, chromium: Browser, tmp_path: Path
) -> None:
    write_assessment(assessment(), tmp_path)
    chromium.complaints.clear()
    chromium.open(tmp_path / name, width)
    layout = chromium.evaluate(OVERFLOW)
    assert layout["out"] == [] and layout["page"] <= layout["width"]
    assert chromium.complaints == []
