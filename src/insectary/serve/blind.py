"""Names that tell nothing, and the sealed list of what they stand for.

Covered:
    - a blind id is drawn at random and depends on nothing of the model;
    - the list is a file of its owner alone; one that others may read is refused;
    - a server that starts again with the same list gives the same models the same ids.
Not covered:
    - what a model gives away by its answers, by its context length or by its speed.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path

from insectary.core.canonical import canonical_json
from insectary.core.errors import ArtefactError
from insectary.vault.disk import REAL_DISK, explained, write_atomic

PREFIX = "organism/"
"""What every id begins with, so that no log can be taken for one of a production model."""
_FORMAT = 1


def blind_ids(members: Mapping[str, str], sealed: Path | None) -> dict[str, str]:
    """Blind id to member, and write the list down.

    Args:
        members: Member to the digest of its weights.
        sealed: Where the list is kept; ids in it are given again to members whose weights
            are the same, and it keeps those that are not served now. ``None`` keeps none.

    Raises:
        ArtefactError: the list is damaged, can be read by others, or cannot be written.
    """
    known = {} if sealed is None else _read(sealed)
    by_member = {told: id for id, told in known.items()}
    found: dict[str, str] = {}
    for member, weights in members.items():
        id = by_member.get((member, weights)) or _fresh(known)
        known[id] = (member, weights)
        found[id] = member
    if sealed is not None:
        _write(sealed, known)
    return found


def read_sealed(sealed: str | Path) -> dict[str, str]:
    """Blind id to member, from a sealed list.

    Raises:
        ArtefactError: it is not there, damaged, or can be read by others.
    """
    place = Path(sealed)
    if not place.exists():
        raise ArtefactError(f"there is no list of served models at {place}")
    return {id: member for id, (member, _) in _read(place).items()}


def _fresh(known: Mapping[str, object]) -> str:
    while (id := PREFIX + secrets.token_hex(4)) in known:
        pass
    return id


def _read(path: Path) -> dict[str, tuple[str, str]]:
    with explained(f"read the list of served models {path}"):
        if not os.path.lexists(path):
            return {}
        check_private(path)
        data = path.read_bytes()
    try:
        told = json.loads(data)
        if told["format"] != _FORMAT:
            raise ValueError(f"is of format {told['format']!r}")
        return {str(id): (str(m["member"]), str(m["subject"])) for id, m in told["models"].items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ArtefactError(f"{path} is no list of served models ({error})") from error


def _write(path: Path, known: Mapping[str, tuple[str, str]]) -> None:
    models = {id: {"member": m, "subject": subject} for id, (m, subject) in known.items()}
    data = canonical_json({"format": _FORMAT, "models": models}) + "\n"
    with explained(f"write the list of served models {path}"):
        write_atomic(path, data.encode(), REAL_DISK)


def check_private(path: Path) -> None:
    """Refuse a file that is a symlink, somebody else's, or open to others.

    Raises:
        ArtefactError: saying what to do.
    """
    told = path.lstat()
    if path.is_symlink() or not path.is_file() or told.st_uid != os.geteuid():
        raise ArtefactError(f"{path} must be a plain file of yours: move it away")
    if told.st_mode & 0o077:
        raise ArtefactError(f"{path} can be read by others: `chmod 600 {path}` if you trust it")
