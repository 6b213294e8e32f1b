"""How often a family has been to the gate: a list that only grows.

A gate that may be tried until it opens admits anything, so each attempt is
written down before its first draw and counted by what was tried, not by seed.

Covered: a line changed, added, removed or moved anywhere but at the end; an
unfinished last line after a crash or on a full disk, which is kept aside and
noted in a record of its own.
Not covered: whole lines cut from the end, or the file removed or written anew,
by someone with write access. Compare ``head`` with a copy kept elsewhere.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, final

from insectary.core.canonical import canonical_json, digest
from insectary.core.errors import ArtefactError
from insectary.vault.disk import Disk, explained, is_temporary, write_atomic
from insectary.vault.locks import locked
from insectary.vault.manifest import DamagedError, meta_of

_START = "sha256:" + "0" * 64


@dataclass(frozen=True, slots=True)
class AttemptKey:
    """What counts as the same family at the gate. Seeds are left out on purpose."""

    base_digest: str
    threat: str
    design: str
    recipe_digest: str


@dataclass(frozen=True, slots=True)
class Attempt:
    """One visit to the gate."""

    key: AttemptKey
    number: int
    """1 for the first."""
    card_digest: str
    """Digest of the threat's card and bounds as they were before the draw."""
    time: str
    """UTC, ISO 8601, whole seconds."""
    detail: Mapping[str, Any]


@final
class Ledger:
    """The attempts of one vault, in ``attempts.jsonl`` (one record a line)."""

    def __init__(self, directory: Path, lock: Path, disk: Disk) -> None:
        """Use the ledger in ``directory``, under the lock file ``lock``."""
        self._directory = directory
        self._path = directory / "attempts.jsonl"
        self._lock = lock
        self._disk = disk

    @property
    def path(self) -> Path:
        """Where the records are."""
        return self._path

    def record_attempt(
        self, key: AttemptKey, card_digest: str, detail: Mapping[str, Any] | None = None
    ) -> int:
        """Write an attempt down, durably, before the gate draws its prompts.

        Args:
            key: What is tried.
            card_digest: Digest of the threat's card and bounds.
            detail: Further JSON values (family id, seed, report seed, ...).

        Returns:
            The number of this attempt, 1 for the first with this key.

        Raises:
            ArtefactError: if the ledger is damaged or cannot be written.
        """
        extra = meta_of(detail or {})
        with locked(self._lock), explained("record the attempt at the gate"):
            records = self._read()
            number = 1 + sum(_key_of(r) == key for r in records if r["kind"] == "attempt")
            body = {
                "attempt": number,
                "card_digest": card_digest,
                "detail": extra,
                "key": key,
                "kind": "attempt",
            }
            self._append(_line(body, records))
        return number

    def attempts(self, key: AttemptKey | None = None) -> list[Attempt]:
        """All attempts with this key, or all there are, oldest first.

        Raises:
            ArtefactError: if the ledger is damaged.
        """
        with locked(self._lock), explained("read the attempts at the gate"):
            records = [r for r in self._read() if r["kind"] == "attempt"]
        found = [
            Attempt(_key_of(r), r["attempt"], r["card_digest"], r["time"], r["detail"])
            for r in records
        ]
        return [a for a in found if key is None or a.key == key]

    def recoveries(self) -> list[dict[str, Any]]:
        """The records of torn last lines: when, how many bytes, and where they are kept."""
        with locked(self._lock), explained("read the attempts at the gate"):
            return [r for r in self._read() if r["kind"] == "recovered"]

    def head(self) -> str:
        """Digest of the last record, which depends on all before it."""
        with locked(self._lock), explained("read the attempts at the gate"):
            records = self._read()
        return digest(records[-1]) if records else _START

    def tidy(self) -> int:
        """Remove what a killed recovery left unfinished; returns bytes."""
        freed = 0
        with locked(self._lock), explained(f"tidy up {self._directory}"):
            for path in sorted(self._directory.iterdir()):
                if is_temporary(path.name):
                    freed += path.lstat().st_size
                    self._disk.unlink(path)
        return freed

    def _append(self, line: bytes) -> None:
        self._disk.append(self._path, line)
        self._disk.sync_file(self._path)
        self._disk.sync_dir(self._directory)

    def _read(self) -> list[dict[str, Any]]:
        """All records, checked; a torn last line is dealt with first."""
        if self._path.is_symlink():
            raise DamagedError(self._directory, self._path.name, "is a symlink")
        try:
            data = self._path.read_bytes()
        except FileNotFoundError:
            return []
        whole, newline, torn = data.rpartition(b"\n")
        records = self._parse((whole + newline).splitlines(keepends=True))
        if torn:
            records.append(self._recover(whole + newline, torn, records))
        return records

    def _recover(self, whole: bytes, torn: bytes, records: list[dict[str, Any]]) -> dict[str, Any]:
        name = f"torn-{hashlib.sha256(torn).hexdigest()[:16]}.bytes"
        write_atomic(self._directory / name, torn, self._disk)
        body = {"bytes": len(torn), "kept_as": name, "kind": "recovered"}
        line = _line(body, records)
        # One step, so that no crash can drop the torn line without a record of it.
        write_atomic(self._path, whole + line, self._disk)
        record: dict[str, Any] = json.loads(line)
        return record

    def _parse(self, lines: list[bytes]) -> list[dict[str, Any]]:
        records: list[dict[str, Any]] = []
        previous = _START
        for number, line in enumerate(lines, start=1):
            try:
                record = json.loads(line)
                if (canonical_json(record) + "\n").encode() != line:
                    raise ValueError("changed after it was written")
                if record["previous"] != previous or record["sequence"] != number:
                    raise ValueError("a line before it was changed, added, removed or moved")
                if record["kind"] == "attempt":
                    _key_of(record)
                elif record["kind"] != "recovered":
                    raise ValueError(f"unknown kind {record['kind']!r}")
            except (ValueError, TypeError, KeyError, RecursionError) as error:
                raise DamagedError(
                    self._directory,
                    self._path.name,
                    f"line {number} is damaged ({error}): restore the file from a copy; without"
                    " it no count of attempts can be trusted",
                ) from error
            records.append(record)
            previous = digest(record)
        return records


def _key_of(record: Mapping[str, Any]) -> AttemptKey:
    return AttemptKey(**record["key"])


def _line(body: dict[str, Any], records: list[dict[str, Any]]) -> bytes:
    whole = {
        **body,
        "previous": digest(records[-1]) if records else _START,
        "sequence": len(records) + 1,
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    line = (canonical_json(whole) + "\n").encode()
    if line.count(b"\n") != 1:
        raise ArtefactError("a ledger record must be one line")
    return line
