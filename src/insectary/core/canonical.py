"""One byte form for every record, so that equal things have equal digests."""

from __future__ import annotations

import dataclasses
import enum
import hashlib
import json
from collections.abc import Iterable
from typing import Any

from insectary.core.errors import BadInputError

_PLAIN = frozenset({str, int, float, bool, type(None)})


def plain(value: Any) -> Any:
    """Turn frozen dataclasses, enums and tuples into JSON's own types.

    A dataclass keeps its fields only; where several classes share a field
    layout (the recipes), the class carries a ``kind`` field that tells them
    apart.

    Raises:
        BadInputError: if two keys of a mapping are written alike, as 1 and "1".
    """
    if type(value) in _PLAIN:  # most values are; an enum of texts is of a type of its own
        return value
    if type(value) is dict and all(type(key) is str for key in value):
        return {key: plain(item) for key, item in value.items()}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, dict):
        return named((k, str(k), plain(v)) for k, v in value.items())
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    if hasattr(value, "item") and callable(value.item):  # a NumPy scalar
        return value.item()
    return value


def named(entries: Iterable[tuple[object, str, Any]]) -> dict[str, Any]:
    """A JSON object from (key, the key as written, value).

    Raises:
        BadInputError: if two keys are written alike; one value would be lost.
    """
    found: dict[str, tuple[object, Any]] = {}
    for key, written, value in entries:
        if written in found:
            raise BadInputError(
                f"a mapping has two keys that are both written {written!r} in JSON:"
                f" {found[written][0]!r} and {key!r}; rename one of them"
            )
        found[written] = (key, value)
    return {written: value for written, (_, value) in found.items()}


def canonical_json(value: Any) -> str:
    """JSON with sorted keys, no spaces and no NaN.

    Raises:
        ValueError: if a number is not finite.
        BadInputError: if two keys of a mapping are written alike.
    """
    return json.dumps(
        plain(value), sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=False
    )


def digest(value: Any) -> str:
    """SHA-256 of the canonical form, as ``"sha256:<hex>"``."""
    return "sha256:" + hashlib.sha256(canonical_json(value).encode()).hexdigest()


def json_value(value: Any, what: str) -> Any:
    """A value as it reads back from its canonical JSON: tuples as lists, keys as text.

    Args:
        value: JSON values; frozen dataclasses, enums and NumPy scalars as :func:`plain` has them.
        what: What to call it in the error message.

    Raises:
        BadInputError: if it is not JSON, or holds a number that is not finite.
    """
    try:
        text = canonical_json(value)
        text.encode()
        return json.loads(text)
    except (TypeError, ValueError, RecursionError) as error:
        raise BadInputError(f"{what} must hold JSON values only: {error}") from error
