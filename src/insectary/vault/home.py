"""The directory that everything lives in, and whether it may be trusted.

Covered: a home that belongs to someone else or that others may write to; a
directory in use for something else; inner directories replaced by symlinks.
Not covered: a parent directory that others may write to; root.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from insectary.core.errors import ArtefactError
from insectary.vault.disk import Disk, ensure_dir, explained, is_temporary, write_atomic
from insectary.vault.locks import locked
from insectary.vault.manifest import DamagedError
from insectary.vault.records import encode_record, read_record

ROOMS = ("objects", "refs", "keys", "runs", "locks", "quarantine", "tmp", "ledger", "audit")
_MARKER = "insectary-home.json"
_INIT_LOCK = ".init.lock"
_RECORD = {"format": 1, "what": "insectary vault"}


def default_home() -> Path:
    """``INSECTARY_HOME`` if set, else ``~/.insectary``."""
    named = os.environ.get("INSECTARY_HOME", "")
    return Path(named) if named else Path.home() / ".insectary"


def open_home(home: Path, disk: Disk) -> Path:
    """Make a home ready, or check the one that is there.

    Returns:
        Its absolute path, symlinks resolved.

    Raises:
        ArtefactError: if it belongs to another user, can be written by others,
            holds something else, was made by a newer version, or cannot be made.
    """
    with explained(f"open the vault {home}"):
        home = home.expanduser().resolve()
        if not home.exists():
            home.parent.mkdir(parents=True, exist_ok=True)
            ensure_dir(home, disk)
        problem = home_problem(home)
        if problem is not None:
            raise ArtefactError(problem)
        if not (home / _MARKER).exists():
            _found(home, disk)
        _check_marker(home)
        for room in ROOMS:
            if not _is_own_directory(home / room):
                ensure_dir(home / room, disk)
        # A process that died here may have made them without syncing them.
        disk.sync_dir(home)
    return home


def home_problem(home: Path) -> str | None:
    """Why a directory cannot be trusted as home, in words; ``None`` if it can."""
    info = home.stat()
    if not stat.S_ISDIR(info.st_mode):
        return f"{home} is not a directory: choose another INSECTARY_HOME"
    if info.st_uid != os.geteuid():
        return (
            f"{home} belongs to another user (uid {info.st_uid}, you are {os.geteuid()}):"
            " choose another INSECTARY_HOME"
        )
    if info.st_mode & 0o022:
        return f"{home} can be written by other users: run `chmod 700 {home}` if you trust it"
    return None


def _found(home: Path, disk: Disk) -> None:
    """Mark an empty directory as a vault; several processes may try at once."""
    # Listed before the marker is looked for: inner directories appear after it,
    # so whatever is listed without a marker was not made by another process here.
    names = sorted(os.listdir(home))
    if (home / _MARKER).exists():
        return
    foreign = [n for n in names if n not in (_MARKER, _INIT_LOCK) and not is_temporary(n)]
    if foreign:
        raise ArtefactError(
            f"{home} is no vault and holds other things ({foreign[0]!r}, ...):"
            " choose an empty or new directory as INSECTARY_HOME"
        )
    with locked(home / _INIT_LOCK):
        if not (home / _MARKER).exists():
            for name in filter(is_temporary, os.listdir(home)):
                disk.unlink(home / name)
            write_atomic(home / _MARKER, encode_record(dict(_RECORD)), disk)


def _check_marker(home: Path) -> None:
    record = read_record(home / _MARKER)
    if record != _RECORD:
        raise DamagedError(home, _MARKER, f"is of another version of Insectary: {record}")


def _is_own_directory(path: Path) -> bool:
    try:
        info = path.lstat()
    except FileNotFoundError:
        return False
    if not stat.S_ISDIR(info.st_mode) or info.st_uid != os.geteuid() or info.st_mode & 0o077:
        raise ArtefactError(
            f"{path} must be a directory of yours alone: move it away, or run `chmod 700 {path}`"
        )
    return True
