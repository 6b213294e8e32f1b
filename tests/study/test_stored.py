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
from insectary.study.stored import problems, read_stored, stored_text


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


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"seal": 1, "judgements": []}'])
def test_what_is_no_such_file_is_named(text: str, tmp_path: Path) -> None:
    path = tmp_path / "other.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(BadInputError, match=r"other\.json"):
        read_stored(path)


def test_the_toy_is_judged_by_its_cells() -> None:
    assert ToyStudy().judge(toy_sheet())[0].verdict is Verdict.REPLICATED
