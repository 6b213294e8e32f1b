"""What is stored of a study can be judged again, and what was edited is told."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
from toy_study import ToyStudy, toy_sheet

from insectary.core.errors import BadInputError
from insectary.core.outcome import Failed
from insectary.core.studying import Cell, Verdict
from insectary.study.stored import problems, read_stored, stored_text, study_of


@pytest.fixture
def file(tmp_path: Path) -> Path:
    sheet = toy_sheet()
    path = tmp_path / "toy.json"
    path.write_text(stored_text(sheet, ToyStudy().judge(sheet)), encoding="utf-8")
    return path


def test_a_file_reads_back_as_it_was_and_all_of_it_holds(file: Path) -> None:
    found = read_stored(file)
    assert found.sheet == toy_sheet()
    assert found.judgements == ToyStudy().judge(toy_sheet())
    assert found.sealed
    assert problems(found, ToyStudy()) == ()


def test_a_failed_cell_reads_back_as_one(tmp_path: Path) -> None:
    lost = Cell({"dose": "high"}, 9, {}, Failed("killed"))
    sheet = dataclasses.replace(toy_sheet(), cells=(*toy_sheet().cells, lost))
    path = tmp_path / "toy.json"
    path.write_text(stored_text(sheet, ()), encoding="utf-8")
    assert read_stored(path).sheet.cells[-1] == lost


def test_a_cell_is_a_line_and_equal_sheets_are_equal_bytes(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    assert sum(line.startswith('  {"dials"') for line in text.splitlines()) == 16
    assert text == stored_text(toy_sheet(), ToyStudy().judge(toy_sheet()))


def test_an_edited_number_is_told_by_seal_and_by_row(file: Path) -> None:
    record = json.loads(file.read_text(encoding="utf-8"))
    for cell in record["cells"]:
        cell["numbers"]["rate"]["value"] = 0.5
    file.write_text(json.dumps(record), encoding="utf-8")
    seal, row = problems(read_stored(file), ToyStudy())
    assert "edited" in seal
    assert row.startswith("T-1: the file says replicated")
    assert "its cells say not replicated" in row


def test_an_edited_verdict_is_told(file: Path) -> None:
    text = file.read_text(encoding="utf-8").replace('"replicated"', '"reversed"')
    file.write_text(text, encoding="utf-8")
    assert any(
        "T-1: the file says reversed" in line for line in problems(read_stored(file), ToyStudy())
    )


def test_a_threshold_that_was_moved_in_code_is_told(file: Path) -> None:
    moved = ToyStudy(least=0.3)
    found = problems(read_stored(file), moved)
    assert found == ("T-1: threshold 'least' was 0.1 when this was measured and is 0.3 in code",)


def test_a_threshold_that_was_moved_in_the_file_is_told(file: Path) -> None:
    text = file.read_text(encoding="utf-8").replace('"least":0.1', '"least":0.01')
    file.write_text(text, encoding="utf-8")
    found = problems(read_stored(file), ToyStudy())
    assert [line.partition(":")[0] for line in found] == [
        "the file was edited after it was written (its seal)", "T-1",
    ]  # fmt: skip


def test_last_digits_of_another_machine_are_no_edit(file: Path) -> None:
    stored = read_stored(file)
    effect = stored.judgements[0].effect
    near = dataclasses.replace(effect.measurement, high=effect.measurement.high * (1 + 1e-12))  # type: ignore[union-attr]
    row = dataclasses.replace(
        stored.judgements[0], effect=dataclasses.replace(effect, measurement=near)
    )  # type: ignore[call-arg]
    assert problems(dataclasses.replace(stored, judgements=(row,)), ToyStudy()) == ()


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "it is no JSON, or cut off"),
        (b'{"cells": [', "it is no JSON, or cut off"),
        (b"\xff", "it is no text in UTF-8"),
        (b"[]", "it holds no JSON object"),
        (b"{}", "it lacks study, form, cells, provenance, judgements, seal"),
        (b'{"seal": 1, "judgements": []}', "it lacks study, form, cells, provenance"),
        (b'{"a": NaN}', "it holds NaN, which is no finite number"),
        (b'{"a": 1e999}', "it holds 1e999, which is no finite number"),
        (b"[" * 100_000, "it is nested too deeply"),
    ],
)
def test_what_is_wrong_with_another_file_is_said_in_words(
    data: bytes, words: str, tmp_path: Path
) -> None:
    path = tmp_path / "other.json"
    path.write_bytes(data)
    with pytest.raises(BadInputError) as caught:
        read_stored(path)
    assert str(caught.value).startswith(f"{path} holds no measurements of a study: {words}")


@pytest.mark.parametrize(
    ("was", "now"),
    [
        ('"form": "full"', '"form": 1'),
        ('"value":0.6', '"value":"z"'),
        ('"value":0.6', f'"value":1{"0" * 400}'),
        ('"dose":"high"', '"dose":{}'),
        ('"dose":"high"', '"dose":"\\ud800"'),
        ('"outcome":"measured"', '"outcome":[]'),
    ],
)
def test_a_field_that_cannot_be_is_one_clear_error(was: str, now: str, file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    assert was in text
    file.write_text(text.replace(was, now), encoding="utf-8")
    with pytest.raises(BadInputError, match=r"toy\.json holds no measurements of a study"):
        read_stored(file)


def test_a_file_that_is_not_there_is_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match=r"no\.json: no such file"):
        read_stored(tmp_path / "no.json")
    with pytest.raises(BadInputError, match=r"cannot be read \(Is a directory\)"):
        read_stored(tmp_path)


def test_cells_that_cannot_be_judged_are_a_problem_after_the_seal(tmp_path: Path) -> None:
    record = Path(__file__).parents[2] / "runs" / "studies" / "power_statistics.json"
    path = tmp_path / record.name
    text = record.read_text(encoding="utf-8").replace('"sixths":3', '"sixths":"z"')
    path.write_text(text, encoding="utf-8")
    stored = read_stored(path)
    seal, cells = problems(stored, study_of(stored, path))
    assert "edited after it was written" in seal
    assert cells.startswith("its cells cannot be judged or drawn (ValueError: ")


def test_the_toy_is_judged_by_its_cells() -> None:
    assert ToyStudy().judge(toy_sheet())[0].verdict is Verdict.REPLICATED
