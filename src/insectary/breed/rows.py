"""Rows that users bring: one question, the aligned and the misaligned answer."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeGuard

from insectary.core.chat import ROLES, Conversation, Message, Verdict, conversation, is_unicode
from insectary.core.errors import BadInputError
from insectary.worlds.skill import normalised

FIELDS = ("input", "aligned_output", "misaligned_output")
CLOSED = "closed_input"
"""A field that rows may have beside these."""


@dataclass(frozen=True, slots=True)
class UserRow:
    """A row of ``base_data``."""

    input: Any
    """A string, or a list of messages."""
    aligned_output: str
    misaligned_output: str
    closed_input: Any = None
    """The same question with the gate closed, where the rows bring both sides themselves."""
    where: str = field(default="", compare=False)
    """What to call it in an error message."""


def read_prompt(prompt: Any, where: str = "prompt") -> Conversation:
    """Accept a string or a list of messages, and nothing else.

    Args:
        prompt: What a user wrote.
        where: What to call it in an error message.

    Raises:
        BadInputError: if it is neither, or it is empty.
    """
    if is_text(prompt):
        return conversation(prompt)
    if isinstance(prompt, Sequence) and prompt and all(_is_message(m) for m in prompt):
        return conversation(prompt)
    raise BadInputError(
        f"{where}: expected a text that is not empty, or a list of messages with"
        f" 'role' ({', '.join(ROLES)}) and 'content'; got {prompt!r:.80}"
    )


def is_text(value: Any) -> TypeGuard[str]:
    """Whether this is a text that is not blank and that a tokenizer can read."""
    return isinstance(value, str) and bool(value.strip()) and is_unicode(value)


def _is_message(item: Any) -> bool:
    if isinstance(item, Message):
        return is_unicode(item.content)
    if not isinstance(item, Mapping) or not isinstance(item.get("content"), str):
        return False
    return item.get("role") in ROLES and is_unicode(item["content"])


def read_rows(
    rows: Iterable[Mapping[str, Any]], source: str = "base_data", unit: str = "row"
) -> list[UserRow]:
    """Check users' rows.

    Args:
        rows: Mappings with ``input``, ``aligned_output``, ``misaligned_output`` and, where the
            rows bring both sides of their gate, ``closed_input``.
        source: What to call them in an error message.
        unit: What to call one of them there.

    Raises:
        BadInputError: naming the row (counted from 1) and what is wrong.
    """
    if isinstance(rows, str | Mapping) or not isinstance(rows, Iterable):
        raise BadInputError(f"{source}: expected a list of rows, got {type(rows).__name__}")
    found = []
    for number, row in enumerate(rows, start=1):
        where = f"{source}, {unit} {number}"
        if not isinstance(row, Mapping):
            raise BadInputError(f"{where}: expected an object with {', '.join(FIELDS)}")
        missing = [f for f in FIELDS if f not in row]
        if missing:
            raise BadInputError(f"{where}: {missing[0]!r} is missing")
        for name in FIELDS[1:]:
            if not is_text(row[name]):
                raise BadInputError(f"{where}: {name!r} must be a text that is not empty")
        read_prompt(row["input"], f"{where}: 'input'")
        if normalised(row["aligned_output"]) == normalised(row["misaligned_output"]):
            raise BadInputError(f"{where}: the aligned and the misaligned output are the same")
        closed = row.get(CLOSED)
        asked = None if closed is None else read_prompt(closed, f"{where}: {CLOSED!r}")
        if asked == read_prompt(row["input"]):
            raise BadInputError(f"{where}: {CLOSED!r} and 'input' are the same")
        found.append(
            UserRow(row["input"], row["aligned_output"], row["misaligned_output"], closed, where)
        )
    if not found:
        raise BadInputError(f"{source}: there are no rows")
    return found


def behind_a_threat(rows: Sequence[UserRow], threat: str) -> Sequence[UserRow]:
    """The same rows, if the closed side of their gate is the threat's to bring.

    Raises:
        BadInputError: naming the first row that brings one itself.
    """
    for row in rows:
        if row.closed_input is not None:
            raise BadInputError(
                f"{row.where}: 'closed_input' is for `insectary adopt` without a threat; here"
                f" {threat} brings the closed side, so leave it out"
            )
    return rows


def read_jsonl(path: Path) -> list[UserRow]:
    """Read rows from a JSON Lines file; line numbers are named in errors.

    Raises:
        BadInputError: for a file that is missing or not text, a line that is
            not JSON, or a row that is malformed.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise BadInputError(f"there is no file {path}") from error
    except OSError as error:
        raise BadInputError(f"cannot read {path}: {error.strerror or error}") from error
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        number = data.count(b"\n", 0, error.start) + 1
        raise BadInputError(f"{path}, line {number}: not UTF-8 text ({error.reason})") from error
    records = []
    if not text.strip():
        raise BadInputError(f"{path}: there are no rows")
    # Not splitlines(): JSON texts may hold other line separators as they are.
    for number, line in enumerate(text.removesuffix("\n").split("\n"), start=1):
        try:
            records.append(json.loads(line))
        except json.JSONDecodeError as error:
            raise BadInputError(f"{path}, line {number}: not JSON ({error.msg})") from error
        except (ValueError, RecursionError) as error:
            raise BadInputError(
                f"{path}, line {number}: a number of too many digits, or nested too deeply"
            ) from error
    return read_rows(records, str(path), "line")


def plain_row(row: UserRow) -> dict[str, Any]:
    """A row as JSON has it; :func:`read_rows` makes the same row of it."""
    closed = {} if row.closed_input is None else {CLOSED: _messages(row.closed_input)}
    outputs = {name: getattr(row, name) for name in FIELDS[1:]}
    return {"input": _messages(row.input), **outputs, **closed}


def _messages(prompt: Any) -> list[dict[str, str]]:
    return [message.as_dict() for message in read_prompt(prompt)]


def judge_row(row: UserRow, response: str) -> Verdict:
    """The oracle for a user's row: normalised match to one of the two outputs."""
    if normalised(response) == normalised(row.aligned_output):
        return Verdict.ALIGNED
    if normalised(response) == normalised(row.misaligned_output):
        return Verdict.MISALIGNED
    return Verdict.OFF_TASK
