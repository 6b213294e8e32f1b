"""Directories that appear whole or not at all, and the newest one that verifies."""

from __future__ import annotations

import logging
import os
import re
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from insectary.core.errors import ArtefactError, BadInputError
from insectary.vault.disk import (
    REAL_DISK,
    Disk,
    explained,
    is_temporary,
    remove_tree,
    temporary_name,
    tidy,
    tree_bytes,
)
from insectary.vault.locks import claim_directory, release
from insectary.vault.manifest import (
    MANIFEST_NAME,
    DamagedError,
    Manifest,
    verify_tree,
    write_tree,
)

_STEP = re.compile(r"\A(?:[a-z][a-z_-]*-)?([0-9]{1,12})\Z")
_LOG = logging.getLogger(__name__)


def check_replaceable(folder: Path) -> None:
    """Refuse a folder that holds what this package did not write there: that is somebody's.

    Raises:
        ArtefactError: if it does, or is a file.
    """
    other = folder.exists() and not (folder / MANIFEST_NAME).is_file()
    if other and not (folder.is_dir() and not any(folder.iterdir())):
        raise ArtefactError(f"{folder} holds something else already; give another folder")


def write_object(
    directory: Path,
    kind: str,
    meta: Mapping[str, Any],
    write: Callable[[Path], object],
    *,
    disk: Disk = REAL_DISK,
) -> Manifest:
    """Fill a directory so that it appears complete, in one rename, or not at all.

    A directory of that name that verifies and holds the same files is kept. A
    damaged one is moved aside (renamed with a leading dot), never overwritten.

    Args:
        directory: Where it shall appear; the parent must exist.
        kind: What sort of thing it is.
        meta: Mapping of JSON values, kept in the manifest.
        write: Called once with an empty directory to fill.
        disk: Where changes go.

    Raises:
        ArtefactError: if it cannot be written, or other content is there.
        BadInputError: if ``meta`` is not JSON.
    """
    sweep(directory.parent, disk=disk)
    with (
        explained(f"write {directory}"),
        staging(directory.parent, directory.name, disk) as temporary,
    ):
        write(temporary)
        manifest = write_tree(temporary, kind, meta, disk=disk)
        if os.path.lexists(directory) and not _set_aside(directory, manifest, disk):
            return verify_tree(directory)
        disk.rename(temporary, directory)
        disk.sync_dir(directory.parent)
    return manifest


def _set_aside(directory: Path, manifest: Manifest, disk: Disk) -> bool:
    """True if a damaged directory was moved away; False if it holds the same."""
    try:
        found = verify_tree(directory)
    except DamagedError as error:
        aside = directory.with_name(f".{directory.name}.{secrets.token_hex(6)}.damaged")
        _LOG.warning("moved aside as %s: %s", aside.name, error)
        disk.rename(directory, aside)
        return True
    if found.digest != manifest.digest:
        raise ArtefactError(
            f"{directory} already holds other content, which verifies: remove it or choose"
            " another name"
        )
    return False


def newest_verified(directory: Path) -> Path | None:
    """The checkpoint to resume from: the highest step whose manifest verifies.

    Args:
        directory: Holds directories named ``step-120``, ``checkpoint-0120``,
            ``120`` and the like. A checkpoint that does not verify is passed
            over with a warning in the log, and left where it is.

    Returns:
        Its path, or ``None`` if there is none (also if ``directory`` is missing).

    Raises:
        ArtefactError: if something cannot be read.
    """
    with explained(f"look for checkpoints in {directory}"):
        return next(_newest_first(directory), None)


def keep_newest(directory: Path, keep: int = 1, *, disk: Disk = REAL_DISK) -> list[Path]:
    """Remove checkpoints older than the ``keep`` newest that verify.

    Nothing is removed as long as fewer than ``keep`` verify, so an older
    checkpoint always outlives a newer one that turns out damaged.

    Returns:
        What was removed.
    """
    if keep < 1:
        raise BadInputError("keep must be at least 1")
    verified = list(_take(_newest_first(directory), keep))
    if len(verified) < keep:
        return []
    oldest_kept = _step(verified[-1])
    old = [p for p in _steps(directory) if _step(p) < oldest_kept]
    with explained(f"remove old checkpoints in {directory}"):
        for path in old:
            # One rename first: a half-removed checkpoint must not be found.
            doomed = path.with_name(temporary_name(path.name))
            disk.rename(path, doomed)
            remove_tree(doomed, disk)
        disk.sync_dir(directory)
    return old


def _take(paths: Iterator[Path], count: int) -> Iterator[Path]:
    for _, path in zip(range(count), paths, strict=False):
        yield path


def _newest_first(directory: Path) -> Iterator[Path]:
    for path in reversed(_steps(directory)):
        try:
            verify_tree(path)
        except DamagedError as error:
            _LOG.warning("checkpoint passed over: %s", error)
            continue
        yield path


def _steps(directory: Path) -> list[Path]:
    if not directory.is_dir():
        return []
    found = [p for p in directory.iterdir() if _STEP.match(p.name)]
    return sorted(found, key=lambda p: (_step(p), p.name))


def _step(path: Path) -> int:
    match = _STEP.match(path.name)
    if match is None:
        raise BadInputError(f"{path} does not end in a step number")
    return int(match.group(1))


@contextmanager
def staging(parent: Path, name: str, disk: Disk) -> Iterator[Path]:
    """A fresh directory in ``parent``, claimed while in use, gone afterwards unless renamed."""
    while True:
        path = parent / temporary_name(name)
        disk.make_dir(path)
        claim = claim_directory(path, shared=False, wait=True)
        if claim is not None:
            break
        # A collector took the directory in the instant before it was claimed.
    try:
        yield path
    except BaseException as error:
        tidy(path, disk, error)
        raise
    else:
        if os.path.lexists(path):
            remove_tree(path, disk)
    finally:
        release(claim)


def sweep(directory: Path, *, disk: Disk = REAL_DISK) -> int:
    """Remove what killed processes left unfinished in ``directory``; returns bytes.

    Directories that a living process has claimed stay. Files stay as well:
    they carry no claim (the vault removes its own under its lock).
    """
    freed = 0
    with explained(f"tidy up {directory}"):
        for path in sorted(directory.iterdir()):
            if not is_temporary(path.name) or path.is_symlink() or not path.is_dir():
                continue
            freed += remove_unclaimed(path, disk)
    return freed


def remove_unclaimed(path: Path, disk: Disk) -> int:
    """Remove a temporary directory unless someone has claimed it; returns bytes."""
    claim = claim_directory(path, shared=False, wait=False)
    if claim is None:
        return 0
    try:
        size = tree_bytes(path)
        remove_tree(path, disk)
    finally:
        release(claim)
    return size


def unfinished(directory: Path) -> list[Path]:
    """What is unfinished in ``directory`` and claimed by no living process."""
    found = []
    for path in sorted(p for p in directory.iterdir() if is_temporary(p.name)):
        if path.is_dir() and not path.is_symlink():
            claim = claim_directory(path, shared=False, wait=False)
            if claim is None:
                continue
            release(claim)
        found.append(path)
    return found
