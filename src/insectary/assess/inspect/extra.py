"""The optional dependency of this sub-package, and how its errors are told."""

from __future__ import annotations

from importlib.util import find_spec

from insectary.core.errors import MissingExtraError


def need_inspect() -> None:
    """Refuse to go on without Inspect.

    Raises:
        MissingExtraError: it is not installed; the message says how to install it.
    """
    try:
        found = find_spec("inspect_ai") is not None
    except ValueError:  # somebody has put something else in its place
        found = False
    if not found:
        raise MissingExtraError(
            "Inspect is not installed, and the Inspect plugin needs it:"
            " pip install 'insectary[inspect]'"
        )
