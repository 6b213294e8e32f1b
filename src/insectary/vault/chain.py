"""Files of records that only grow, each line holding the digest of the one before it.

Covered: a line changed, added, removed or moved anywhere but at the end; an
unfinished last line after a crash or on a full disk, which is kept aside and
noted in a record of its own.
Not covered: whole lines cut from the end, or the file removed or written anew,
by someone with write access. Compare ``head`` with a copy kept elsewhere.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, final

from insectary.core.canonical import canonical_json, digest
from insectary.core.errors import ArtefactError
from insectary.vault.disk import Disk, explained, is_temporary, write_atomic
from insectary.vault.locks import locked
from insectary.vault.manifest import DamagedError

START = "sha256:" + "0" * 64
"""What the first record holds in the place of a digest, and the head of an empty chain."""
RECOVERED = "recovered"
"""Kind of the record that stands for a torn last line."""
_BLOCK = 65536


@final
@dataclass(frozen=True, slots=True)
class Chain:
    """One such file, of one vault.

    Attributes:
        path: The file, one record of canonical JSON a line.
        lock: The lock file that all who read or write it hold.
        disk: Where changes go.
        check: Raises ``ValueError``, ``TypeError`` or ``KeyError`` for a record (of another kind
            than "recovered") that nobody wrote so.
        lost: What can no longer be trusted if a line is damaged, for the message.
    """

    path: Path
    lock: Path
    disk: Disk
    check: Callable[[Mapping[str, Any]], object]
    lost: str

    @contextmanager
    def held(self, doing: str) -> Iterator[None]:
        """Hold the file against all others; errors of the system say what was being done."""
        with locked(self.lock), explained(doing):
            yield

    def read(self) -> list[dict[str, Any]]:
        """All records, checked, once a torn last line has been dealt with. Needs :meth:`held`.

        Raises:
            DamagedError: naming the first line that is not as it was written.
        """
        if self.path.is_symlink():
            raise DamagedError(self.path.parent, self.path.name, "is a symlink")
        try:
            data = self.path.read_bytes()
        except FileNotFoundError:
            return []
        whole, newline, torn = data.rpartition(b"\n")
        records = self._parse((whole + newline).splitlines(keepends=True))
        if torn:
            records.append(self._recover(whole + newline, torn, records))
        return records

    def last(self) -> dict[str, Any] | None:
        """The last record, or ``None``; the lines before it are not looked at unless it is torn.

        What adds one record to many need not read them all. Needs :meth:`held`.

        Raises:
            DamagedError: if the file is a symlink, or its last line is not as it was written.
        """
        if self.path.is_symlink():
            raise DamagedError(self.path.parent, self.path.name, "is a symlink")
        try:
            line = _last_line(self.path)
        except FileNotFoundError:
            return None
        if line == b"":
            return None
        if not line.endswith(b"\n"):
            return self.read()[-1]
        try:
            return self._record(line)
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise self._damaged("the last line", error) from error

    def append(self, body: Mapping[str, Any], last: Mapping[str, Any] | None) -> str:
        """Add a record behind ``last``, durably, and return the new head. Needs :meth:`held`."""
        line = _line(body, last)
        self.disk.append(self.path, line)
        self.disk.sync_file(self.path)
        self.disk.sync_dir(self.path.parent)
        return head_of(json.loads(line))

    def tidy(self) -> int:
        """Remove what a killed recovery left unfinished; returns bytes."""
        freed = 0
        folder = self.path.parent
        with self.held(f"tidy up {folder}"):
            for path in sorted(folder.iterdir()):
                if is_temporary(path.name):
                    freed += path.lstat().st_size
                    self.disk.unlink(path)
        return freed

    def _recover(self, whole: bytes, torn: bytes, records: list[dict[str, Any]]) -> dict[str, Any]:
        name = f"torn-{hashlib.sha256(torn).hexdigest()[:16]}.bytes"
        write_atomic(self.path.parent / name, torn, self.disk)
        body = {"bytes": len(torn), "kept_as": name, "kind": RECOVERED}
        line = _line(body, records[-1] if records else None)
        # One step, so that no crash can drop the torn line without a record of it.
        write_atomic(self.path, whole + line, self.disk)
        record: dict[str, Any] = json.loads(line)
        return record

    def _parse(self, lines: list[bytes]) -> list[dict[str, Any]]:
        records: list[dict[str, Any]] = []
        previous = START
        for number, line in enumerate(lines, start=1):
            try:
                record = self._record(line)
                if record["previous"] != previous or record["sequence"] != number:
                    raise ValueError("a line before it was changed, added, removed or moved")
            except (ValueError, TypeError, KeyError, RecursionError) as error:
                raise self._damaged(f"line {number}", error) from error
            records.append(record)
            previous = digest(record)
        return records

    def _record(self, line: bytes) -> dict[str, Any]:
        record: dict[str, Any] = json.loads(line)
        if (canonical_json(record) + "\n").encode() != line:
            raise ValueError("changed after it was written")
        if record["kind"] != RECOVERED:
            self.check(record)
        return record

    def _damaged(self, where: str, error: Exception) -> DamagedError:
        return DamagedError(
            self.path.parent,
            self.path.name,
            f"{where} is damaged ({error}): restore the file from a copy; without it {self.lost}",
        )


def head_of(last: Mapping[str, Any] | None) -> str:
    """Digest of the last record, which depends on all before it."""
    return START if last is None else digest(dict(last))


def _last_line(path: Path) -> bytes:
    """The last line with its newline, if it has one; empty for an empty file."""
    with path.open("rb") as file:
        start = file.seek(0, os.SEEK_END)
        found = b""
        while start > 0 and found.count(b"\n", 0, len(found) - 1) == 0:
            step = min(_BLOCK, start)
            start = file.seek(start - step)
            found = file.read(step) + found
    body, newline = (found[:-1], b"\n") if found.endswith(b"\n") else (found, b"")
    return body.rpartition(b"\n")[2] + newline


def _line(body: Mapping[str, Any], last: Mapping[str, Any] | None) -> bytes:
    whole = {
        **body,
        "previous": head_of(last),
        "sequence": 1 if last is None else last["sequence"] + 1,
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    line = (canonical_json(whole) + "\n").encode()
    if line.count(b"\n") != 1:
        raise ArtefactError("a record of a chain must be one line")
    return line
