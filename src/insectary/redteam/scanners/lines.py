"""Reading reports of one JSON object a line, with the line's number in every error."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from insectary.core.errors import BadInputError


def entries(file: Path, tool: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Line numbers, from 1, and their objects.

    A last line without an end is of a tool that was stopped while it wrote, and is left out.

    Raises:
        BadInputError: if the file cannot be read, or a line is no object.
    """
    try:
        text = file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInputError(f"{file}: cannot be read as a report of {tool}: {error}") from error
    for number, line in enumerate(text.split("\n")[: text.count("\n")], start=1):
        if not line.strip():
            continue
        try:
            entry = json.loads(line)
        except ValueError as error:
            raise BadInputError(f"{file}, line {number}: no JSON: {error}") from error
        if not isinstance(entry, dict):
            raise BadInputError(f"{file}, line {number}: an object is expected, not {line[:40]!r}")
        yield number, entry


@contextmanager
def of(file: Path, number: int) -> Iterator[None]:
    """Whatever is missing or of another shape in a line is named with the line."""
    try:
        yield
    except (KeyError, TypeError, AttributeError, ValueError, IndexError) as error:
        told = f"{type(error).__name__}: {error}"
        raise BadInputError(
            f"{file}, line {number}: not as this tool writes it ({told})"
        ) from error
