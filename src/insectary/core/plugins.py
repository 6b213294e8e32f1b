"""Plugins: found by name in an entry-point group, built-ins by the same road."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from insectary.core.errors import BadInputError, UnknownNameError, noted


def _registered(group: str) -> dict[str, EntryPoint]:
    found: dict[str, EntryPoint] = {}
    for point in entry_points(group=group):
        other = found.setdefault(point.name, point)
        if other.value != point.value:
            raise BadInputError(
                f"{group}: {point.name!r} is registered twice, as {other.value} and as"
                f" {point.value}; uninstall one of the two packages"
            )
    return found


def names(group: str) -> tuple[str, ...]:
    """Names of all plugins of a group, sorted.

    Raises:
        BadInputError: if two packages register one name.
    """
    return tuple(sorted(_registered(group)))


def origin(group: str, name: str) -> str:
    """What a plugin's entry point names, as ``"module:object"``; for error messages.

    Raises:
        KeyError: if there is none of that name.
        BadInputError: if two packages register one name.
    """
    return _registered(group)[name].value


def make(group: str, kind: str, name: str, members: str, fits: Callable[[Any], bool]) -> Any:
    """What a plugin's entry point makes, called without arguments, if it is of its kind.

    Args:
        group: As in :func:`load`, as for the next two.
        kind: What to call it.
        name: The plugin; what it makes has to say the same ``name``.
        members: What it needs beside the name, for the error message.
        fits: Whether it has these.

    Raises:
        UnknownNameError: if no installed package registers the name.
        BadInputError: if it is registered twice, cannot be imported, or does not fit.
    """
    factory = load(group, kind, name)
    made = factory() if callable(factory) else factory
    if getattr(made, "name", None) != name or not fits(made):
        raise BadInputError(
            f"{kind} {name!r}: {origin(group, name)} made {type(made).__name__}, which lacks a"
            f" matching name, {members}"
        )
    return made


def load(group: str, kind: str, name: str) -> Any:
    """The object that a plugin's entry point names. Only this one is imported.

    Args:
        group: For instance ``"insectary.threats"``.
        kind: What to call it in an error message.
        name: The plugin.

    Raises:
        UnknownNameError: if there is none of that name.
        BadInputError: if two packages register it, or it cannot be imported.

    Whatever else its module raises goes up as it is, with a note that names the plugin.
    """
    found = _registered(group)
    if name not in found:
        raise UnknownNameError.of(kind, name, sorted(found))
    try:
        with noted(f"{kind} {name!r} ({found[name].value})"):
            return found[name].load()
    except (ImportError, AttributeError) as error:
        raise BadInputError(
            f"{kind} {name!r} ({found[name].value}) cannot be imported: {error};"
            " mend or uninstall the package that registers it"
        ) from error
