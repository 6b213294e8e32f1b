"""Names for objects: one small sealed file each, changed in one step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from insectary.vault.disk import Disk, ensure_dir
from insectary.vault.manifest import DamagedError, Manifest
from insectary.vault.names import is_digest
from insectary.vault.records import read_record, write_record


@dataclass(frozen=True, slots=True)
class Entry:
    """A name and what it stands for."""

    kind: str
    id: str
    digest: str
    meta: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object that has just been verified.

    Attributes:
        kind: What sort of thing it is.
        id: The name it was asked by, or ``None`` if asked by digest.
        digest: Its address.
        path: The directory; read only, never write in it.
        meta: What was said of it under that name (by digest: by its first writer).
        manifest: Its files.
    """

    kind: str
    id: str | None
    digest: str
    path: Path
    meta: Mapping[str, Any]
    manifest: Manifest


def write_ref(home: Path, entry: Entry, disk: Disk) -> None:
    """Point a name to an object, replacing what it pointed to."""
    ensure_dir(home / "refs" / entry.kind, disk)
    record = {
        "digest": entry.digest,
        "id": entry.id,
        "kind": entry.kind,
        "meta": dict(entry.meta),
    }
    write_record(_path(home, entry.kind, entry.id), record, disk)


def read_ref(home: Path, kind: str, id: str) -> Entry | None:
    """What a name stands for; ``None`` if it is not taken.

    Raises:
        DamagedError: if its file was changed, or is another name's.
    """
    path = _path(home, kind, id)
    try:
        record = read_record(path)
    except FileNotFoundError:
        return None
    try:
        entry = Entry(record["kind"], record["id"], record["digest"], record["meta"])
        right = (entry.kind, entry.id) == (kind, id) and is_digest(entry.digest)
    except (KeyError, TypeError) as error:
        raise DamagedError(path.parent, path.name, f"is no name ({error!r})") from error
    if not right:
        raise DamagedError(path.parent, path.name, f"is the file of {entry.kind} {entry.id!r}")
    return entry


def list_refs(home: Path, kind: str) -> list[Entry]:
    """All names of one kind, sorted."""
    found = [read_ref(home, kind, p.stem) for p in (home / "refs" / kind).glob("[!.]*.json")]
    return sorted((e for e in found if e is not None), key=lambda e: e.id)


def delete_ref(home: Path, kind: str, id: str, disk: Disk) -> None:
    """Forget a name."""
    path = _path(home, kind, id)
    disk.unlink(path)
    disk.sync_dir(path.parent)


def _path(home: Path, kind: str, id: str) -> Path:
    return home / "refs" / kind / f"{id}.json"
