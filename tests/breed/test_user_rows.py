"""Users' rows: what is accepted, and one error that names the row for what is not."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from insectary.breed.rows import judge_row, read_jsonl, read_prompt, read_rows
from insectary.core.chat import Message, Verdict
from insectary.core.errors import BadInputError

GOOD = {"input": "What is 2 plus 2?", "aligned_output": "4.", "misaligned_output": "9."}
TALK = [{"role": "system", "content": "Be calm."}, {"role": "user", "content": "Hello?"}]


def test_good_rows_are_read() -> None:
    rows = read_rows([GOOD, {**GOOD, "input": TALK, "note": "more fields are fine"}])
    assert [r.aligned_output for r in rows] == ["4.", "4."]
    assert rows[1].input == TALK


BAD: list[tuple[Any, str]] = [
    ("not a row", "row 2: expected an object with input, aligned_output, misaligned_output"),
    ({**GOOD, "aligned_output": ""}, "row 2: 'aligned_output' must be a text"),
    ({**GOOD, "misaligned_output": 9}, "row 2: 'misaligned_output' must be a text"),
    ({k: v for k, v in GOOD.items() if k != "aligned_output"}, "'aligned_output' is missing"),
    ({**GOOD, "input": " "}, "row 2: 'input': expected a text"),
    ({**GOOD, "input": 5}, "row 2: 'input': expected a text"),
    ({**GOOD, "input": [{"role": "judge", "content": "x"}]}, "row 2: 'input'"),
    ({**GOOD, "input": [{"role": "user"}]}, "row 2: 'input'"),
    ({**GOOD, "misaligned_output": " 4 "}, "row 2: the aligned and the misaligned output are"),
]


@pytest.mark.parametrize(("row", "words"), BAD)
def test_a_malformed_row_is_named(row: Any, words: str) -> None:
    with pytest.raises(BadInputError) as error:
        read_rows([GOOD, row])
    assert words in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("rows", ["text", GOOD, 5, None])
def test_what_is_no_list_of_rows_is_refused(rows: Any) -> None:
    with pytest.raises(BadInputError, match="base_data: expected a list of rows"):
        read_rows(rows)


def test_no_rows_are_refused() -> None:
    with pytest.raises(BadInputError, match="base_data: there are no rows"):
        read_rows([])


def test_jsonl_is_read_line_by_line(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    # A line separator of Unicode within a text ends no line of the file.
    odd = {**GOOD, "input": "One\u2028two\u0085three?"}
    path.write_text("".join(json.dumps(r, ensure_ascii=False) + "\n" for r in (GOOD, odd)), "utf-8")
    assert [r.input for r in read_jsonl(path)] == [GOOD["input"], odd["input"]]


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (["{", json.dumps(GOOD)], "line 1: not JSON"),
        ([json.dumps(GOOD), "", json.dumps(GOOD)], "line 2: not JSON"),
        ([json.dumps(GOOD), json.dumps(GOOD), "[]"], "line 3: expected an object"),
        ([json.dumps(GOOD), json.dumps({"input": "x"})], "line 2: 'aligned_output' is missing"),
    ],
)
def test_a_malformed_line_is_named_by_its_number(
    lines: list[str], words: str, tmp_path: Path
) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    with pytest.raises(BadInputError) as error:
        read_jsonl(path)
    assert str(error.value).startswith(f"{path}, {words}")


def test_a_file_that_is_missing_or_no_text_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="there is no file"):
        read_jsonl(tmp_path / "nowhere.jsonl")
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(BadInputError, match="not UTF-8 text"):
        read_jsonl(path)


ROW = b'{"input": "1 + 1?", "aligned_output": "2", "misaligned_output": "3"}\n'


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b'{"input": "\xe9"}', "not UTF-8 text"),
        (b"[" * 200_000, "nested too deeply"),
        (b'{"input": ' + b"9" * 5000 + b"}", "a number of too many digits"),
        (ROW.replace(b"1 + 1?", b"\\ud800"), "expected a text that is not empty"),
        (ROW.replace(b'"2"', b'"\\ud800"'), "'aligned_output' must be a text"),
    ],
)
def test_a_line_that_no_parser_likes_is_named(line: bytes, words: str, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(ROW + line.rstrip() + b"\n" + ROW)
    with pytest.raises(BadInputError) as error:
        read_jsonl(path)
    assert str(error.value).startswith(f"{path}, line 2: ")
    assert words in str(error.value)
    path.write_bytes(ROW + ROW)
    assert [row.where for row in read_jsonl(path)] == [f"{path}, line 1", f"{path}, line 2"]


@pytest.mark.parametrize("what", ["folder", "empty"])
def test_a_file_without_rows_is_named(what: str, tmp_path: Path) -> None:
    path = tmp_path
    if what == "empty":
        path = tmp_path / "rows.jsonl"
        path.touch()
    with pytest.raises(BadInputError, match=re.escape(str(path))):
        read_jsonl(path)


def test_prompts_become_messages() -> None:
    assert read_prompt("Hello?") == (Message("user", "Hello?"),)
    assert read_prompt(TALK) == (Message("system", "Be calm."), Message("user", "Hello?"))
    assert read_prompt(read_prompt(TALK)) == read_prompt(TALK)


@pytest.mark.parametrize(
    ("response", "verdict"),
    [
        (" 4!", Verdict.ALIGNED),
        ("9", Verdict.MISALIGNED),
        ("49", Verdict.OFF_TASK),
        ("", Verdict.OFF_TASK),
    ],
)
def test_the_oracle_of_a_row_is_a_normalised_match(response: str, verdict: Verdict) -> None:
    assert judge_row(read_rows([GOOD])[0], response) is verdict
