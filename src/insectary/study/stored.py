"""Stored measurements: one small JSON file for a study, and the check that it still says so.

Covered: a number or a verdict that was edited, a threshold that was moved in the file or in
code, judgements that the code of today makes otherwise.
Not covered: somebody who edits the file and makes its seal anew. Only running the study again
shows that.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from insectary.core.canonical import canonical_json, digest
from insectary.core.codec import decode, encode
from insectary.core.errors import BadInputError, UnknownNameError
from insectary.core.studying import Judgement, Sheet, Study
from insectary.study import study as study_named

_ROUNDING = 1e-6
"""Relative difference of two numbers that come from different machines or libraries."""

_FIELDS = (*(field.name for field in fields(Sheet)), "judgements", "seal")
_NOT_ONE = "{} holds no measurements of a study: {}"


@dataclass(frozen=True, slots=True)
class Stored:
    """What a file holds.

    Attributes:
        sheet: The measurements.
        judgements: As they were made when it was written.
        sealed: Whether the file is as it was written.
    """

    sheet: Sheet
    judgements: tuple[Judgement, ...]
    sealed: bool = True


def stored_text(sheet: Sheet, judgements: tuple[Judgement, ...]) -> str:
    """The file's text: JSON with a line for each cell and each judgement, and a seal."""
    record = encode(sheet) | {"judgements": encode(judgements)}
    record |= {"seal": digest(record)}
    lines = [f"{json.dumps(name)}: {_lines(record[name])}" for name in sorted(record)]
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _lines(value: Any) -> str:
    if not isinstance(value, list) or not value:
        return canonical_json(value)
    return "[\n  " + ",\n  ".join(canonical_json(item) for item in value) + "\n ]"


def read_stored(path: Path) -> Stored:
    """Read a file, also one whose seal is broken.

    Raises:
        BadInputError: if it cannot be read, or holds no study's measurements.
    """
    try:
        record = _fields(path)
        seal = record.pop("seal")
        sealed = digest(record) == seal
        judgements = decode(tuple[Judgement, ...], record.pop("judgements"), "judgements")
        return Stored(decode(Sheet, record, "sheet"), judgements, sealed)
    except OSError as error:
        missing = isinstance(error, FileNotFoundError)
        why = "no such file" if missing else f"cannot be read ({error.strerror})"
        raise BadInputError(f"{path}: {why}") from error
    except RecursionError as error:
        raise BadInputError(_NOT_ONE.format(path, "it is nested too deeply")) from error
    except UnicodeError as error:
        raise BadInputError(_NOT_ONE.format(path, "it is no text in UTF-8")) from error
    except (ValueError, TypeError, OverflowError) as error:
        raise BadInputError(_NOT_ONE.format(path, error)) from error


def _fields(path: Path) -> dict[str, Any]:
    """The fields of a file of measurements, none of them looked at.

    Raises:
        ValueError: saying what is wrong with the file.
    """
    try:
        text = path.read_text(encoding="utf-8")
        record = json.loads(text, parse_float=_finite, parse_constant=_finite)
    except json.JSONDecodeError as error:
        raise ValueError(f"it is no JSON, or cut off ({error})") from error
    if not isinstance(record, dict):
        raise ValueError("it holds no JSON object")
    if missing := [name for name in _FIELDS if name not in record]:
        raise ValueError(f"it lacks {', '.join(missing)}")
    return record


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"it holds {text}, which is no finite number")
    return number


def study_of(stored: Stored, path: Path) -> Study:
    """The study that a file holds measurements of.

    Raises:
        BadInputError: naming the file, if no such study is installed.
    """
    try:
        return study_named(stored.sheet.study)
    except UnknownNameError as error:
        raise BadInputError(f"{path} is of no study that is installed: {error}") from error


def judged_anew(stored: Stored, study: Study) -> tuple[Judgement, ...]:
    """The judgements that a study makes of a file's cells, once it can draw them too.

    Raises:
        BadInputError: if the cells are none that the study's own steps give.
    """
    try:
        study.plot(stored.sheet)
        return study.judge(stored.sheet)
    except Exception as error:  # studies rely on their own cells, and may raise anything at others
        told = f"{type(error).__name__}: {error}"
        raise BadInputError(f"its cells cannot be judged or drawn ({told})") from error


def problems(stored: Stored, study: Study) -> tuple[str, ...]:
    """What does not hold of a file, a sentence each: none if all of it does.

    The judgements are made anew from the cells, by the thresholds that are in code.
    """
    found = [] if stored.sealed else ["the file was edited after it was written (its seal)"]
    then = stored.sheet.provenance.thresholds
    now = {finding.id: finding.thresholds for finding in study.findings}
    for row in sorted({*then, *now}):
        found += _moved(row, then.get(row), now.get(row))
    try:
        made = {judgement.finding: judgement for judgement in judged_anew(stored, study)}
    except BadInputError as error:
        return (*found, str(error))
    told = {judgement.finding: judgement for judgement in stored.judgements}
    for row in sorted({*made, *told}):
        found += _changed(row, told.get(row), made.get(row))
    return tuple(found)


def _moved(row: str, then: Any, now: Any) -> list[str]:
    if then is None or now is None:
        where = "in code alone" if then is None else "in the file alone"
        return [f"{row}: a finding that is {where}"]
    return [
        f"{row}: threshold {name!r} was {then.get(name)} when this was measured and is"
        f" {now.get(name)} in code"
        for name in sorted({*then, *now})
        if then.get(name) != now.get(name)
    ]


def _changed(row: str, told: Judgement | None, made: Judgement | None) -> list[str]:
    if told is None or made is None:
        return [f"{row}: a judgement that is {'not ' if told is None else 'only '}in the file"]
    # A note is prose, with rounded figures in it.
    if _alike(encode(replace(told, note="")), encode(replace(made, note=""))):
        return []
    return [f"{row}: the file says {_said(told)}, its cells say {_said(made)}"]


def _said(judgement: Judgement) -> str:
    p = "" if judgement.p is None else f", p = {judgement.p:.3g}"
    return f"{judgement.verdict}, {judgement.effect}{p}"


def _alike(a: Any, b: Any) -> bool:
    """Equal, numbers up to rounding."""
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(_alike(a[key], b[key]) for key in a)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(_alike, a, b))
    if isinstance(a, float) and isinstance(b, int | float):
        return math.isclose(a, b, rel_tol=_ROUNDING, abs_tol=_ROUNDING)
    return bool(a == b)
