"""Which names may become paths. One strict pattern each, no cleaning up."""

from __future__ import annotations

import re

from insectary.core.errors import BadInputError

_ID = re.compile(r"\A[A-Za-z0-9](?:[A-Za-z0-9_-]|\.(?!\.)){0,127}\Z")
_KIND = re.compile(r"\A[a-z][a-z0-9-]{0,31}\Z")
_DIGEST = re.compile(r"\Asha256:[0-9a-f]{64}\Z")
_FILE_PART = re.compile(r"\A[A-Za-z0-9_][A-Za-z0-9_.+@=-]{0,199}\Z")


def check_id(name: str) -> str:
    """Return ``name`` if it may be an id.

    Raises:
        BadInputError: unless it is 1 to 128 of ``A-Z a-z 0-9 _ - .``, starts
            with a letter or digit and holds no two dots in a row.
    """
    if not isinstance(name, str) or not _ID.match(name):
        raise BadInputError(
            f"bad id {name!r}: use 1 to 128 letters, digits, '-', '_' and single '.',"
            " starting with a letter or digit"
        )
    return name


def check_kind(name: str) -> str:
    """Return ``name`` if it may be a kind (small letters, digits, hyphens)."""
    if not _KIND.match(name):
        raise BadInputError(f"bad kind {name!r}: use 1 to 32 of a-z, 0-9 and '-'")
    return name


def is_digest(name: str) -> bool:
    """True for ``"sha256:"`` and 64 hexadecimal digits."""
    return _DIGEST.match(name) is not None


def is_file_name(name: str) -> bool:
    """True if ``name`` (with forward slashes) may be a file within an object."""
    return len(name) <= 512 and all(_FILE_PART.match(part) for part in name.split("/"))
