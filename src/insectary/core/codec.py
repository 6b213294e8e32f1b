"""Frozen dataclasses to JSON's own types and back, told apart by their types."""

from __future__ import annotations

import dataclasses
import enum
import types
import typing
from collections.abc import Mapping
from typing import Any

from insectary.core.canonical import named
from insectary.core.errors import BadInputError
from insectary.core.outcome import Failed, Measured, NotApplicable

# Failed and NotApplicable have the same fields, so an outcome says which it is.
_OUTCOMES: dict[type, str] = {
    Measured: "measured",
    Failed: "failed",
    NotApplicable: "not-applicable",
}

_ADDED = "added"


def added(before: Any) -> Any:
    """A field that records of earlier versions lack, and what it was before there was one.

    An ordinary default does not do for that: it is what somebody gets who asks for
    nothing now, and a recipe of an earlier version may have been another.
    """
    return dataclasses.field(default=before, metadata={_ADDED: True})


def encode(value: Any) -> Any:
    """Turn dataclasses, enums, tuples and mappings into JSON's own types.

    Raises:
        BadInputError: if two keys of a mapping are written alike, as 1 and "1".
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        record = {f.name: encode(getattr(value, f.name)) for f in dataclasses.fields(value)}
        kind = _OUTCOMES.get(type(value))
        return record if kind is None else {"outcome": kind} | record
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, Mapping):
        return named((k, str(encode(k)), encode(v)) for k, v in value.items())
    if isinstance(value, list | tuple):
        return [encode(v) for v in value]
    if hasattr(value, "item") and callable(value.item):  # a NumPy scalar
        return value.item()
    return value


def decode(kind: Any, value: Any, where: str) -> Any:
    """Build a value of type ``kind`` from JSON's own types.

    Args:
        kind: A dataclass, enum, primitive, tuple, mapping or union of these.
        value: What ``json.loads`` gave.
        where: Path of the value, for the error message.

    Raises:
        BadInputError: naming the path, if the value does not fit.
    """
    origin = typing.get_origin(kind)
    if origin in (typing.Union, types.UnionType):
        return _decode_union(typing.get_args(kind), value, where)
    if origin is typing.Literal:
        return _expect(value, value in typing.get_args(kind), where, kind)
    if origin is tuple:
        return _decode_tuple(typing.get_args(kind), value, where)
    if origin is Mapping:
        _expect(value, isinstance(value, dict), where, "an object")
        key, item = typing.get_args(kind)
        return {decode(key, k, where): decode(item, v, f"{where}.{k}") for k, v in value.items()}
    if dataclasses.is_dataclass(kind):
        return _decode_record(kind, value, where)
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        _expect(value, value in [m.value for m in kind], where, kind.__name__)
        return kind(value)
    if kind is float:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return float(_expect(value, number, where, "a number"))
    return _expect(value, type(value) is kind, where, getattr(kind, "__name__", kind))


def _expect(value: Any, fits: bool, where: str, wanted: object) -> Any:
    if not fits:
        raise BadInputError(f"{where}: expected {wanted}, got {value!r}")
    return value


def _decode_union(options: tuple[Any, ...], value: Any, where: str) -> Any:
    if value is None and type(None) in options:
        return None
    if type(value) in options:
        return value
    rest = [o for o in options if o is not type(None)]
    if len(rest) == 1:
        return decode(rest[0], value, where)
    _expect(value, isinstance(value, dict), where, "an object")
    if "outcome" in value:
        names = {name: kind for kind, name in _OUTCOMES.items()}
        _expect(value["outcome"], value["outcome"] in names, f"{where}.outcome", list(names))
        return _decode_record(names[value["outcome"]], value, where)
    for option in rest:
        kinds = {f.name: f.default for f in dataclasses.fields(option)}
        if "kind" in kinds and kinds["kind"] == value.get("kind"):
            return _decode_record(option, value, where)
    raise BadInputError(f"{where}: none of {[o.__name__ for o in rest]} has this kind")


def _decode_tuple(items: tuple[Any, ...], value: Any, where: str) -> tuple[Any, ...]:
    _expect(value, isinstance(value, list), where, "a list")
    if len(items) == 2 and items[1] is Ellipsis:
        return tuple(decode(items[0], v, f"{where}[{i}]") for i, v in enumerate(value))
    _expect(value, len(value) == len(items), where, f"a list of {len(items)}")
    return tuple(
        decode(item, v, f"{where}[{i}]")
        for i, (item, v) in enumerate(zip(items, value, strict=True))
    )


def _decode_record(kind: Any, value: Any, where: str) -> Any:
    _expect(value, isinstance(value, dict), where, "an object")
    if kind in _OUTCOMES and "outcome" in value:
        _expect(value["outcome"], value["outcome"] == _OUTCOMES[kind], where, _OUTCOMES[kind])
        value = {name: item for name, item in value.items() if name != "outcome"}
    hints = typing.get_type_hints(kind)
    fields = {f.name: f for f in dataclasses.fields(kind)}
    for name, field in fields.items():
        if name not in value and not field.metadata.get(_ADDED):
            raise BadInputError(f"{where}: the field {name!r} is missing")
    for name in value:
        if name not in fields:
            raise BadInputError(f"{where}: unknown field {name!r}")
    return kind(
        **{name: decode(hints[name], item, f"{where}.{name}") for name, item in value.items()}
    )
