"""Answer keys: ground truth in a place of its own, apart from the weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from insectary.core.canonical import plain
from insectary.core.errors import ArtefactError, BadInputError, UnknownNameError
from insectary.core.organism import AnswerKey, Role
from insectary.vault.disk import Disk, explained
from insectary.vault.manifest import DamagedError
from insectary.vault.names import check_id
from insectary.vault.records import read_record, write_record


def write_key(directory: Path, family: str, key: AnswerKey, disk: Disk, *, replace: bool) -> None:
    """Store the key of one family.

    Raises:
        BadInputError: if the key is another family's.
        ArtefactError: if a different key is there and ``replace`` is false.
    """
    path = _path(directory, family)
    if key.family != family:
        raise BadInputError(f"the answer key is of family {key.family!r}, not {family!r}")
    if not replace and path.exists() and read_key(directory, family) != key:
        raise ArtefactError(f"family {family!r} already has another answer key: remove it first")
    record: dict[str, Any] = plain(key)
    write_record(path, record, disk)


def read_key(directory: Path, family: str) -> AnswerKey:
    """Read the key of one family.

    Raises:
        UnknownNameError: if there is none.
        DamagedError: if it was changed.
    """
    path = _path(directory, family)
    try:
        record = read_record(path)
    except FileNotFoundError:
        known = sorted(p.stem for p in directory.glob("[!.]*.json"))
        raise UnknownNameError.of("family", family, known, few=True) from None
    try:
        roles = {str(member): Role(role) for member, role in record["roles"].items()}
        key = AnswerKey(record["family"], record["threat"], record["design"], roles)
    except (KeyError, ValueError, AttributeError) as error:
        raise DamagedError(directory, path.name, f"is no answer key ({error})") from error
    if key.family != family:
        raise DamagedError(directory, path.name, f"is the key of family {key.family!r}")
    return key


def delete_key(directory: Path, family: str, disk: Disk) -> None:
    """Remove the key of one family, if there is one."""
    path = _path(directory, family)
    with explained(f"remove {path}"):
        if path.exists():
            disk.unlink(path)
            disk.sync_dir(directory)


def _path(directory: Path, family: str) -> Path:
    return directory / f"{check_id(family)}.json"
