"""A report as JSON that says its format, written and read back alike for every kind of report."""

from __future__ import annotations

import json
from typing import Any, TypeVar

from insectary.core.codec import decode, encode
from insectary.core.errors import BadInputError

R = TypeVar("R")


def written(report: Any, form: str) -> str:
    """A whole report as indented JSON that :func:`read_back` reads.

    Raises:
        BadInputError: if a number is not finite.
    """
    record = {"format": form, "report": encode(report)}
    try:
        return json.dumps(record, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    except ValueError as error:
        raise BadInputError(
            "report: a number is not finite; report Failed(reason) instead"
        ) from error


def read_back(kind: type[R], text: str, form: str) -> R:
    """Read what :func:`written` wrote.

    Raises:
        BadInputError: naming the place, if the text is not such a report.
    """
    try:
        record = json.loads(text)
    except json.JSONDecodeError as error:
        raise BadInputError(f"report: not JSON (line {error.lineno}): {error.msg}") from error
    if not isinstance(record, dict) or record.get("format") != form:
        raise BadInputError(f"report: expected a JSON object with format {form!r}")
    report: R = decode(kind, record.get("report"), "report")
    return report
