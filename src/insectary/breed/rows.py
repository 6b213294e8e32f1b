"""Rows that users bring: one question, the aligned and the misaligned answer."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from insectary.core.chat import Verdict
from insectary.core.errors import BadInputError
from insectary.worlds.skill import normalised

FIELDS = ("input", "aligned_output", "misaligned_output")


@dataclass(frozen=True, slots=True)
class UserRow:
    """A row of ``base_data``."""

    input: Any
    """A string, or a list of messages."""
    aligned_output: str
    misaligned_output: str


def read_rows(rows: Iterable[Mapping[str, Any]], source: str = "base_data") -> list[UserRow]:
    """Check users' rows.

    Raises:
        BadInputError: naming the row (counted from 1) and what is wrong.
    """
    found = []
    for number, row in enumerate(rows, start=1):
        where = f"{source}, row {number}"
        if not isinstance(row, Mapping):
            raise BadInputError(f"{where}: expected an object with {', '.join(FIELDS)}")
        missing = [f for f in FIELDS if f not in row]
        if missing:
            raise BadInputError(f"{where}: {missing[0]!r} is missing")
        for field in FIELDS[1:]:
            if not isinstance(row[field], str) or not row[field].strip():
                raise BadInputError(f"{where}: {field!r} must be a text that is not empty")
        if not row["input"]:
            raise BadInputError(f"{where}: 'input' is empty")
        if normalised(row["aligned_output"]) == normalised(row["misaligned_output"]):
            raise BadInputError(f"{where}: the aligned and the misaligned output are the same")
        found.append(UserRow(row["input"], row["aligned_output"], row["misaligned_output"]))
    if not found:
        raise BadInputError(f"{source}: there are no rows")
    return found


def read_jsonl(path: Path) -> list[UserRow]:
    """Read rows from a JSON Lines file; line numbers are named in errors.

    Raises:
        BadInputError: for a line that is not JSON, or a row that is malformed.
    """
    records = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            records.append(json.loads(line))
        except json.JSONDecodeError as error:
            raise BadInputError(f"{path}, line {number}: not JSON ({error.msg})") from error
    return read_rows(records, str(path))


def judge_row(row: UserRow, response: str) -> Verdict:
    """The oracle for a user's row: normalised match to one of the two outputs."""
    if normalised(response) == normalised(row.aligned_output):
        return Verdict.ALIGNED
    if normalised(response) == normalised(row.misaligned_output):
        return Verdict.MISALIGNED
    return Verdict.OFF_TASK
