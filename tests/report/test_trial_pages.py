"""The pages of trials: what they say of verdicts, bands and cells, and that they are whole."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from sample_trials import (
    DECOY,
    GONE,
    LEFT,
    LINES,
    TREATMENTS,
    TWIN,
    change,
    detections,
    line,
    mitigations,
    rate,
    treatment,
)

from insectary.core.codec import decode
from insectary.core.outcome import Failed, Measured
from insectary.core.treatment import Fate, Treatment
from insectary.report import detection_views, mitigation_views
from insectary.report.detection_html import render_detection
from insectary.report.html import environment
from insectary.report.mitigation_html import render_mitigation
from insectary.trials.mitigation_page import mitigation_page

HOSTILE = "<script>alert('x')</script>\"><img src=x onerror=alert(1)>"
RECORD = Path(__file__).parents[2] / "runs" / "mitigation" / "mitigation.json"


class Page(HTMLParser):
    """Tags, what they point at, and the text by the section that it stands in."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.outside: list[str] = []
        self.sections: dict[str, str] = {}
        self._at = "header"
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        given = dict(attrs)
        if tag == "section":
            self._at = given.get("aria-labelledby") or ""
        self.outside += [
            value or ""
            for name, value in attrs
            if name in ("src", "href", "xlink:href", "srcset", "data") or name.startswith("on")
        ]

    def handle_data(self, data: str) -> None:
        self.sections[self._at] = self.sections.get(self._at, "") + data + " "

    def said(self, section: str) -> str:
        return " ".join(self.sections[section].split())


def _hostile_mitigation(env: Any) -> str:
    hurt = tuple(
        dataclasses.replace(
            t, family=HOSTILE, method=HOSTILE, settings=HOSTILE, no_regrowth=HOSTILE
        )
        for t in TREATMENTS
    )
    report = dataclasses.replace(mitigations(hurt), baseline=HOSTILE, version=HOSTILE)
    return render_mitigation(report, env)


def _hostile_detection(env: Any) -> str:
    hurt = tuple(
        dataclasses.replace(
            each, detector=HOSTILE, view=HOSTILE, behind=HOSTILE, gain=Failed(HOSTILE),
            families=tuple(
                dataclasses.replace(f, family=HOSTILE, cell=HOSTILE) for f in each.families
            ),
        )
        for each in LINES
    )  # fmt: skip
    report = detections(hurt)
    families = tuple(dataclasses.replace(f, id=HOSTILE, cell=HOSTILE) for f in report.families)
    return render_detection(
        dataclasses.replace(report, families=families, left_out=((HOSTILE, HOSTILE),)), env
    )


HURT = pytest.mark.parametrize("made", [_hostile_mitigation, _hostile_detection])


@HURT
def test_hostile_text_is_escaped_and_nothing_is_loaded(made: Callable[[Any], str]) -> None:
    page = Page(made(None))
    assert not {"script", "img"} & {*page.tags}
    assert [r for r in page.outside if r != "data:,"] == []
    assert HOSTILE in "".join(page.sections.values())


@HURT
def test_broken_control_without_escaping_the_script_stands_there(
    made: Callable[[Any], str],
) -> None:
    assert "script" in Page(made(environment(autoescape=False))).tags


def test_the_same_report_gives_the_same_page() -> None:
    assert render_mitigation(mitigations()) == render_mitigation(mitigations())
    assert render_detection(detections()) == render_detection(detections())


def test_what_only_looks_gone_is_named_with_the_reason() -> None:
    found = mitigation_views.flattered(TREATMENTS)
    told = {f.treatment.method: (f.treatment.fate, f.held_out, bool(f.back)) for f in found}
    assert told == {
        "by_words": (Fate.HIDDEN, True, False),
        "by_rows": (Fate.HIDDEN, False, True),
        "broken": (Fate.BROKE, False, True),
    }
    # The control: what is gone, and what never looked so; a ceiling is no method.
    assert {t.method for t in mitigation_views.passed_as_usual(TREATMENTS)} == {
        *told, "good", "cues_alone",
    }  # fmt: skip
    page = Page(render_mitigation(mitigations()))
    assert "5 of them are successes. 3 of these only look so" in page.said("finding")
    said = page.said("flattered")
    assert "4 triggered rows: 8 steps, its treated twin not in 48 steps" in said
    assert "cues_alone on family-1 (no row of the design teaches it alone)" in said
    assert "good" not in said.replace("Looks good", "") and "told" not in said


def test_nothing_is_called_flattered_where_nothing_is() -> None:
    honest = tuple(t for t in TREATMENTS if t.method in ("noop", "good"))
    page = Page(render_mitigation(mitigations(honest)))
    assert "No held-out cue and no training on showed the behaviour again" in page.said("finding")
    assert "None." in page.said("flattered")


def test_a_figure_stands_under_its_own_heading_with_n() -> None:
    """What was read from a file has its places in another order."""
    only = (treatment("by_words", rate(0.012), LEFT, back=(40, 40)),)
    said = Page(render_mitigation(mitigations(only))).said("flattered")
    assert "0.012 0.002–0.022 n = 400 0.400 0.390–0.410 n = 400" in said


def test_every_verdict_is_a_word_and_what_failed_has_a_reason() -> None:
    page = Page(render_mitigation(mitigations()))
    words = re.findall("|".join(f.value for f in Fate), page.said("finding").split("Method")[1])
    assert words[: len(TREATMENTS)] == [t.fate.value for t in TREATMENTS][: len(words)]
    assert "failed no answer" in page.said("rates")
    assert "seed 7" in page.said("how")
    assert page.said("harm").count("n = 840") == 3 * len(TREATMENTS)


def test_several_strengths_have_a_row_each_and_one_of_each_family_says_which() -> None:
    def at(strength: float, family: str) -> Treatment:
        return treatment("cut", GONE, GONE, strength=strength, family=family)

    every = [at(s, f) for f in ("a", "b") for s in (0.1, 400_000.0)]
    rows = mitigation_views.matrix(every)
    assert [row.name for row in rows] == ["cut at 0.1", "cut at 400,000"]
    assert all(len(cell) == 1 for row in rows for cell in row.cells)
    (row,) = mitigation_views.matrix([at(0.1, "a"), at(0.3, "b")])
    assert (row.name, row.strengths) == ("cut", True)
    (row,) = mitigation_views.matrix([at(0.1, "a"), at(0.1, "b")])
    assert (row.name, row.strengths) == ("cut at 0.1", False)


def test_a_regrowth_curve_is_as_high_as_its_steps() -> None:
    views = mitigation_views
    (panel,) = views.panels([treatment("m", GONE, GONE, back=(12, 48))])
    assert [(d.y, d.never) for d in panel.organism] == [
        (views.NEVER, True),
        (views.FLOOR - (views.FLOOR - views.CAP) / 4, False),
    ]
    assert [d.y for d in panel.twin] == [views.NEVER, views.CAP]
    assert [n for _, n in panel.rows] == [0, 4]
    assert panel.organism[1].words == "organism, 4 triggered rows: 12 steps"


def test_the_record_is_shown_as_the_documentation_tells_it() -> None:
    told = json.loads(RECORD.read_text())
    kept = [{k: v for k, v in t.items() if k not in ("fate", "beyond_untargeted")} for t in told]
    page = Page(mitigation_page([decode(Treatment, t, "record") for t in kept]))
    said = page.said("flattered")
    assert "clean_sft deceptive-alignment-year-xs-full-sft-1" in said
    assert "1 triggered row: 8 steps, its treated twin not in 48 steps" in said
    assert "+0.282 +0.220 to +0.351" in page.said("rates")


def test_the_band_is_of_the_nulls_of_its_own_view() -> None:
    report = detections()
    scale = detection_views.axis(report, DECOY)
    prompt, both = detection_views.forests(report, DECOY, scale)
    assert prompt.band == pytest.approx((-0.3, 0.3)) and both.band == pytest.approx((-0.15, 0.55))
    assert [bar.line.detector for bar in prompt.bars] == [
        "sees", "guesses", "dies", "bound", "nothing",
    ]  # fmt: skip
    assert [bar.at is None for bar in prompt.bars] == [False, False, True, False, False]
    # Above its band stands one; the other has the same gain, and wider nulls.
    assert [each.detector for each in detection_views.beyond(report)] == ["sees"]


def test_a_scale_holds_every_interval_and_zero() -> None:
    report = detections()
    scale = detection_views.axis(report, DECOY)
    assert (scale.low, scale.high) == (-0.5, 0.75)
    assert (scale.at(-0.5), scale.at(0.75), scale.at(0.0), scale.at(9.0)) == (0, 100, 40, 100)
    assert detection_views.axis(report, TWIN).low == -0.75
    alone = detections((line("dies", Failed("it raised")),))
    assert detection_views.axis(alone, DECOY) == detection_views.Axis(-0.25, 0.25)


def test_a_cell_counts_once_whatever_its_seeds() -> None:
    assert detection_views.cells(LINES[0]) == [("one", pytest.approx(0.7), 2), ("two", 0.5, 1)]


def test_the_page_of_detectors_says_what_was_tested_and_what_was_left_out() -> None:
    page = Page(render_detection(detections()))
    finding = page.said("finding")
    assert "Of 3 methods, 2 have a mean gain" in finding and ": sees, reads_all." in finding
    assert "reach by chance lies sees, by the whole interval" in finding
    assert "failed it raised" in page.said("gain")
    assert page.said("gain").index("Organism vs decoy registered") < page.said("gain").index(
        "Organism vs twin"
    )
    assert "nulls reach from −0.30 to +0.30" in page.said("gain")
    assert "0.50 to 0.70 2 cells" in page.said("cells")
    assert "policy-1 its members are policies" in page.said("families")
    assert "theirs adopted, in no mean" in page.said("families")
    assert "3" in page.said("header").split("Families")[1].split("Cells")[0]


def test_without_a_test_there_is_none_to_boast_of() -> None:
    lines = (line("alone", Failed("1 cell")), line("nothing", change(0.0), kind="null"))
    finding = Page(render_detection(detections(lines))).said("finding")
    assert "No method could be tested" in finding and "No method’s whole interval" in finding
    assert isinstance(LINES[0].gain, Measured)
