"""The page in a real browser, cut off from the network."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from chromium_pipe import OVERFLOW, Browser
from sample_report import certificate, sample

from insectary.core.outcome import Failed
from insectary.report import FamilyReport, write_report

SHORTEST_LONG_WORD = 160


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The pages to look at, each written once."""
    kinds = {"sample": sample(), "awkward": _awkward()}
    folder = tmp_path_factory.mktemp("pages")
    return {name: write_report(report, folder / name) for name, report in kinds.items()}


def _awkward() -> FamilyReport:
    """Long words, long reasons: what breaks a layout."""
    long = "w" * SHORTEST_LONG_WORD
    report = sample(certificate(failing=True))
    rows = tuple(
        dataclasses.replace(
            t,
            prompt=long,
            closed_line=long,
            replies=tuple(dataclasses.replace(r, response=long) for r in t.replies),
        )
        for t in report.transcripts
    )
    return dataclasses.replace(
        report,
        title=long,
        summary=(long, long, long),
        transcripts=rows,
        provenance={long: long},
        expression=tuple(
            dataclasses.replace(r, misaligned=Failed("a long reason " * 9), condition=long + str(i))
            for i, r in enumerate(report.expression[:3])
        ),
    )


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [390, 1200])
@pytest.mark.parametrize("kind", ["sample", "awkward"])
def test_page_fits_loads_nothing_and_complains_of_nothing(
    chromium: Browser, pages: dict[str, Path], kind: str, width: int, dark: bool
) -> None:
    page = pages[kind]
    chromium.complaints.clear()
    chromium.requests.clear()
    chromium.open(page, width, dark)
    layout = chromium.evaluate(OVERFLOW)
    assert layout["page"] <= layout["width"]
    assert layout["out"] == []
    assert chromium.complaints == []
    assert chromium.requests == [page.as_uri()]
    assert chromium.evaluate("document.querySelectorAll('svg.figure').length") >= 2


def test_light_and_dark_differ_and_both_can_be_read(
    chromium: Browser, pages: dict[str, Path]
) -> None:
    page = pages["sample"]
    seen = []
    for dark in (False, True):
        chromium.open(page, 1200, dark)
        seen.append(
            chromium.evaluate(
                "(() => { const s = getComputedStyle(document.body), p = c => c.match(/\\d+/g)"
                ".slice(0, 3).map(Number).map(v => v / 255).map(v => v <= .03928 ? v / 12.92 :"
                " ((v + .055) / 1.055) ** 2.4).reduce((a, v, i) => a + v * [.2126, .7152, .0722]"
                "[i], 0); return [p(s.backgroundColor), p(s.color)]; })()"
            )
        )
    for background, ink in seen:
        light, dim = max(background, ink), min(background, ink)
        assert (light + 0.05) / (dim + 0.05) > 7  # WCAG 2, level AAA
    assert seen[0][0] > 0.8 > 0.1 > seen[1][0]


def test_broken_control_a_wide_noisy_page_is_caught(chromium: Browser, tmp_path: Path) -> None:
    bad = tmp_path / "bad.html"
    bad.write_text(
        "<!DOCTYPE html><body><div style='width:2000px'>x</div>"
        "<img src='http://192.0.2.1/x.png'><script>console.error('no')</script>",
        encoding="utf-8",
    )
    chromium.complaints.clear()
    chromium.requests.clear()
    chromium.open(bad, 390)
    layout = chromium.evaluate(OVERFLOW)
    assert layout["page"] > layout["width"]
    assert layout["out"]
    assert any("console.error" in c for c in chromium.complaints)
    assert any("192.0.2.1" in r for r in chromium.requests)
