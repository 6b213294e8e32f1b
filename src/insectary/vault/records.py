"""Small sealed JSON files: one record and the digest it must have."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

from insectary.core.canonical import canonical_json, digest
from insectary.core.errors import ArtefactError
from insectary.vault.disk import Disk, explained, write_atomic
from insectary.vault.manifest import DamagedError

_MAX_BYTES = 16 * 2**20


def encode_record(record: dict[str, Any]) -> bytes:
    """One line of canonical JSON: the record and its SHA-256."""
    return (canonical_json({"record": record, "seal": digest(record)}) + "\n").encode()


def decode_record(data: bytes) -> dict[str, Any]:
    """The opposite of :func:`encode_record`.

    Raises:
        ValueError: unless ``data`` is byte for byte what was written.
    """
    try:
        raw = json.loads(data)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    record = raw.get("record") if isinstance(raw, dict) else None
    if not isinstance(record, dict):
        raise ValueError("no record in it")
    if encode_record(record) != data:
        raise ValueError("it was changed after it was written")
    return record


def write_record(path: Path, record: dict[str, Any], disk: Disk) -> None:
    """Put a record at ``path`` in one step, replacing an older one."""
    with explained(f"write {path}"):
        write_atomic(path, encode_record(record), disk)


def read_record(path: Path) -> dict[str, Any]:
    """Read a record.

    Raises:
        FileNotFoundError: if there is none.
        DamagedError: if it was changed, cut, or is not a plain file.
    """
    try:
        with explained(f"read {path}"):
            # Asked once: between two questions another process may remove the file.
            if not stat.S_ISREG(os.lstat(path).st_mode):
                raise DamagedError(path.parent, path.name, "is not a plain file")
            with path.open("rb") as file:
                data = file.read(_MAX_BYTES + 1)
    except ArtefactError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            raise error.__cause__ from None
        raise
    try:
        return decode_record(data)
    except ValueError as error:
        raise DamagedError(path.parent, path.name, f"is damaged: {error}") from error
