"""Insectary's errors in the form that Inspect prints as one line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

# Inspect has no public name for it; its own tasks and providers raise this one.
from inspect_ai._util.error import PrerequisiteError

from insectary.core.errors import InsectaryError


class ToldError(PrerequisiteError, InsectaryError):
    """One of Insectary's errors, which Inspect shows without a traceback."""


@contextmanager
def told_by_inspect() -> Iterator[None]:
    """Raise an :class:`InsectaryError` again as a :class:`ToldError`."""
    try:
        yield
    except InsectaryError as error:
        raise ToldError(str(error)) from error
