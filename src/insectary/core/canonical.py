"""One byte form for every record, so that equal things have equal digests."""

from __future__ import annotations

import dataclasses
import enum
import hashlib
import json
from typing import Any


def plain(value: Any) -> Any:
    """Turn frozen dataclasses, enums and tuples into JSON's own types.

    A dataclass keeps its fields only; where several classes share a field
    layout (the recipes), the class carries a ``kind`` field that tells them
    apart.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    if hasattr(value, "item") and callable(value.item):  # a NumPy scalar
        return value.item()
    return value


def canonical_json(value: Any) -> str:
    """JSON with sorted keys, no spaces and no NaN.

    Raises:
        ValueError: if a number is not finite.
    """
    return json.dumps(
        plain(value), sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=False
    )


def digest(value: Any) -> str:
    """SHA-256 of the canonical form, as ``"sha256:<hex>"``."""
    return "sha256:" + hashlib.sha256(canonical_json(value).encode()).hexdigest()
