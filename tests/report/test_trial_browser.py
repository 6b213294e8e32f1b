"""The pages of trials in a real browser, cut off from the network."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from chromium_pipe import OVERFLOW, Browser
from sample_trials import ATTACKS, LINES, TREATMENTS, calibrations, detections, mitigations

from insectary.core.outcome import Failed
from insectary.report.calibration_html import render_calibration
from insectary.report.detection_html import render_detection
from insectary.report.mitigation_html import render_mitigation

LONG = "w" * 160


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The pages, and all of them with words and reasons that break a layout."""
    folder = tmp_path_factory.mktemp("pages")
    wide = tuple(
        dataclasses.replace(t, family=LONG + str(i % 3), method=LONG, settings=LONG)
        for i, t in enumerate(TREATMENTS)
    )
    lines = tuple(
        dataclasses.replace(each, detector=LONG, gain=Failed("a long reason " * 9))
        for each in LINES
    )
    attacks = tuple(
        dataclasses.replace(each, method=LONG, grading=Failed("a long reason " * 9))
        for each in ATTACKS
    )
    made = {
        "calibration": render_calibration(calibrations()),
        "awkward calibration": render_calibration(calibrations(attacks)),
        "mitigation": render_mitigation(mitigations()),
        "detection": render_detection(detections()),
        "awkward mitigation": render_mitigation(mitigations(wide)),
        "awkward detection": render_detection(detections(lines)),
    }
    for name, text in made.items():
        (folder / f"{name}.html").write_text(text, encoding="utf-8")
    return {name: folder / f"{name}.html" for name in made}


@pytest.mark.parametrize(("width", "dark"), [(390, False), (800, True), (1200, False)])
@pytest.mark.parametrize(
    "kind",
    [f"{how}{of}" for how in ("", "awkward ") for of in ("mitigation", "detection", "calibration")],
)
def test_a_page_fits_loads_nothing_and_complains_of_nothing(
    chromium: Browser, pages: dict[str, Path], kind: str, width: int, dark: bool
) -> None:
    chromium.complaints.clear()
    chromium.requests.clear()
    chromium.open(pages[kind], width, dark)
    layout = chromium.evaluate(OVERFLOW)
    assert layout["page"] <= layout["width"]
    assert layout["out"] == []
    assert chromium.complaints == []
    assert chromium.requests == [pages[kind].as_uri()]
    assert chromium.evaluate("document.querySelectorAll('svg').length") >= 2
