"""Manifests: what a directory holds, by digest, so that every read can verify it.

Covered: a changed, cut, missing, added, renamed or symlinked file; names that
lead out of the directory; a changed manifest; another object's content under
this object's address.
Not covered: someone with write access who replaces a directory that has no
address of its own (a checkpoint) together with its manifest; a change between
verification and use by a process of the same user.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from insectary.core.canonical import canonical_json, digest, json_value
from insectary.core.errors import ArtefactError
from insectary.vault.disk import REAL_DISK, Disk, explained
from insectary.vault.names import check_kind, is_file_name

MANIFEST_NAME = "MANIFEST.json"
_FORMAT = 1
_MAX_MANIFEST_BYTES = 16 * 2**20
_FIELDS = frozenset({"created_by", "files", "format", "kind", "meta", "seal"})


class DamagedError(ArtefactError):
    """What is stored is not what was stored: ``file`` differs, ``problem`` says how."""

    def __init__(self, directory: Path, file: str, problem: str) -> None:
        """Say what is wrong with which file (relative to ``directory``)."""
        super().__init__(f"{directory}: {file!r} {problem}")
        self.file = file
        self.problem = problem


@dataclass(frozen=True, slots=True)
class FileEntry:
    """One file of a directory."""

    sha256: str
    """Hexadecimal, without a prefix."""
    size: int
    """Bytes."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a sealed directory holds.

    Attributes:
        kind: What sort of thing it is (``"organism"``, ``"checkpoint"``, ...).
        meta: JSON values that describe it.
        created_by: Name and version of the program that wrote it.
        files: Relative path (forward slashes) to size and SHA-256.
    """

    kind: str
    meta: Mapping[str, Any]
    created_by: str
    files: Mapping[str, FileEntry]

    @property
    def digest(self) -> str:
        """The address: SHA-256 over the canonical list of files, and nothing else."""
        return digest(dict(self.files))

    @property
    def size(self) -> int:
        """Bytes of all files, the manifest aside."""
        return sum(entry.size for entry in self.files.values())


def write_tree(
    path: Path, kind: str, meta: Mapping[str, Any], *, disk: Disk = REAL_DISK
) -> Manifest:
    """Seal a directory that was just filled: sync all of it, the manifest last.

    Files become owner-only. Empty directories are removed, since a list of
    files cannot tell of them.

    Args:
        path: A directory without a manifest, which nobody else reads yet.
        kind: What sort of thing it is.
        meta: Mapping of JSON values.
        disk: Where changes go.

    Raises:
        ArtefactError: if it holds symlinks, devices, hidden or oddly named
            files, or nothing at all, or if the disk is full.
        BadInputError: if ``meta`` is not JSON.
    """
    check_kind(kind)
    with explained(f"seal {path}"):
        names, directories = list_tree(path)
        if MANIFEST_NAME in names:
            raise ArtefactError(f"{path} is sealed already: write into a new directory")
        if not names:
            raise ArtefactError(f"nothing was written into {path}: there is nothing to store")
        _check_names(path, names)
        entries = {}
        for name in sorted(names):
            disk.restrict(path / name)
            disk.sync_file(path / name)
            entries[name] = _hash_file(path, name)
        kept = _parents(names)
        for name in sorted(directories, key=lambda n: n.count("/"), reverse=True):
            if name in kept:
                disk.restrict(path / name)
                disk.sync_dir(path / name)
            else:
                disk.remove_dir(path / name)
        manifest = Manifest(kind, meta_of(meta), _created_by(), entries)
        disk.create(path / MANIFEST_NAME, _encode(manifest))
        disk.sync_file(path / MANIFEST_NAME)
        disk.sync_dir(path)
    return manifest


def read_manifest(path: Path) -> Manifest:
    """Read and check a manifest alone; the files are not looked at.

    Raises:
        DamagedError: if it is missing, changed, or names a path outside.
        ArtefactError: if it cannot be read.
    """
    with explained(f"read {path / MANIFEST_NAME}"):
        info = _stat(path, MANIFEST_NAME)
        if info.st_size > _MAX_MANIFEST_BYTES:
            raise DamagedError(path, MANIFEST_NAME, "is too large for a manifest")
        with _open(path, MANIFEST_NAME) as file:
            data = file.read(_MAX_MANIFEST_BYTES + 1)
    try:
        raw = json.loads(data)
        manifest = _decode(raw)
        same = _encode(manifest) == data
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise DamagedError(path, MANIFEST_NAME, f"is no valid manifest ({error})") from error
    if not same:
        raise DamagedError(path, MANIFEST_NAME, "was changed after it was written")
    return manifest


def verify_tree(path: Path, digest: str | None = None) -> Manifest:
    """Read every byte of a sealed directory and compare it with its manifest.

    Args:
        path: The directory.
        digest: The address it must have; ``None`` if it has none.

    Raises:
        DamagedError: names the first file that is changed, cut, missing, added
            or not a plain file.
        ArtefactError: if something cannot be read.
    """
    with explained(f"verify {path}"):
        if path.is_symlink() or not path.is_dir():
            raise DamagedError(path.parent, path.name, "is missing or not a real directory")
        names, directories = list_tree(path)
        if MANIFEST_NAME not in names:
            raise DamagedError(path, MANIFEST_NAME, "is missing: it was never finished")
        manifest = read_manifest(path)
        for name in sorted(manifest.files.keys() - names):
            raise DamagedError(path, name, "is missing")
        for name in sorted(names - manifest.files.keys() - {MANIFEST_NAME}):
            raise DamagedError(path, name, "does not belong there")
        for name in sorted(directories - _parents(names)):
            raise DamagedError(path, name, "is a directory that does not belong there")
        for name, entry in sorted(manifest.files.items()):
            size = _stat(path, name).st_size
            if size != entry.size:
                problem = f"has {size} bytes and should have {entry.size}"
                raise DamagedError(path, name, problem)
            if _hash_file(path, name) != entry:
                raise DamagedError(path, name, "was changed: its SHA-256 is another")
    if digest is not None and manifest.digest != digest:
        raise DamagedError(path, MANIFEST_NAME, f"lists other content than {digest}")
    return manifest


def meta_of(meta: Mapping[str, Any]) -> dict[str, Any]:
    """``meta`` as it reads back from disk (frozen dataclasses become mappings).

    Raises:
        BadInputError: if it is not JSON, or holds a number that is not finite.
    """
    result: dict[str, Any] = json_value(dict(meta), "meta")
    return result


def list_tree(path: Path) -> tuple[set[str], set[str]]:
    """Relative names of all files and all directories below ``path``.

    Raises:
        DamagedError: for anything that is neither (symlinks first of all).
    """
    files: set[str] = set()
    directories: set[str] = set()
    waiting = [""]
    while waiting:
        prefix = waiting.pop()
        with os.scandir(path / prefix) as entries:
            for entry in entries:
                name = f"{prefix}{entry.name}"
                if entry.is_symlink():
                    raise DamagedError(path, name, "is a symlink, and none is followed")
                if entry.is_dir(follow_symlinks=False):
                    directories.add(name)
                    waiting.append(f"{name}/")
                elif entry.is_file(follow_symlinks=False):
                    files.add(name)
                else:
                    raise DamagedError(path, name, "is neither a file nor a directory")
    return files, directories


def _parents(names: set[str]) -> set[str]:
    found: set[str] = set()
    for name in names:
        parts = name.split("/")[:-1]
        found.update("/".join(parts[: i + 1]) for i in range(len(parts)))
    return found


def _check_names(path: Path, names: set[str]) -> None:
    folded: dict[str, str] = {}
    for name in sorted(names):
        if not is_file_name(name):
            raise ArtefactError(
                f"{path}: the file name {name!r} cannot be stored; use letters, digits and _.+@=-,"
                " with a letter, digit or _ first"
            )
        other = folded.setdefault(name.casefold(), name)
        if other != name:
            raise ArtefactError(f"{path}: {other!r} and {name!r} differ by case only; rename one")


def _stat(path: Path, name: str) -> os.stat_result:
    try:
        info = os.lstat(path / name)
    except FileNotFoundError:
        raise DamagedError(path, name, "is missing") from None
    if not stat.S_ISREG(info.st_mode):
        raise DamagedError(path, name, "is not a plain file")
    return info


def _open(path: Path, name: str) -> Any:
    return open(os.open(path / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb")


def _hash_file(path: Path, name: str) -> FileEntry:
    with _open(path, name) as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
        return FileEntry(found, os.fstat(file.fileno()).st_size)


def _created_by() -> str:
    try:
        return f"insectary {metadata.version('insectary')}"
    except metadata.PackageNotFoundError:
        return "insectary (run from source)"


def _encode(manifest: Manifest) -> bytes:
    body = {
        "created_by": manifest.created_by,
        "files": dict(manifest.files),
        "format": _FORMAT,
        "kind": manifest.kind,
        "meta": dict(manifest.meta),
    }
    return (canonical_json({**body, "seal": digest(body)}) + "\n").encode()


def _decode(raw: Any) -> Manifest:
    if not isinstance(raw, dict) or raw.keys() != _FIELDS:
        raise ValueError("the fields are not those of a manifest")
    if raw["format"] != _FORMAT:
        raise ValueError(f"format {raw['format']!r}, this version reads {_FORMAT}")
    if not isinstance(raw["meta"], dict) or not isinstance(raw["created_by"], str):
        raise ValueError("meta or created_by has the wrong type")
    entries = {}
    for name, entry in raw["files"].items():
        if not is_file_name(name) or name == MANIFEST_NAME:
            raise ValueError(f"it names {name!r}, which no object may hold")
        if not isinstance(entry["sha256"], str) or type(entry["size"]) is not int:
            raise ValueError(f"the entry of {name!r} has the wrong types")
        entries[name] = FileEntry(entry["sha256"], entry["size"])
    return Manifest(check_kind(raw["kind"]), raw["meta"], raw["created_by"], entries)
