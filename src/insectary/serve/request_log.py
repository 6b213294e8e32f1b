"""What a server was asked and what it said: a list that only grows, one JSON record a line.

From it a trial tells whether an attack ever reached the trigger, whatever the tool that
attacked says of itself. Each record carries the digest of the one before.

Covered:
    - a line changed, added, removed or moved anywhere but at the end;
    - an unfinished last line after a crash, which is kept in a record of its own;
    - two servers that would write one file;
    - the server's key, wherever a client writes it: it never gets into a line;
    - an answer without a record: the record is written before the answer is sent, or, of a
      stream, before its end, and a log that cannot be written ends in status 500.
Not covered:
    - whole lines cut from the end, or the file written anew, by someone with write access:
      compare the head with a copy kept elsewhere;
    - a power loss, which may take the last seconds; the file is synced when the server ends.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, final

from insectary.core.canonical import canonical_json, digest
from insectary.core.errors import ArtefactError
from insectary.vault.chain import RECOVERED, START, head_of
from insectary.vault.disk import explained

_HIDDEN = "[the server's key]"


@dataclass(frozen=True, slots=True)
class LogRecord:
    """One request and what became of it.

    Attributes:
        sequence: 1 for the first record of the file.
        time: UTC, ISO 8601, when the request was over.
        id: Of the request; its answer has the same.
        route: Method and path.
        status: Of HTTP.
        model: Blind id; empty where the request did not come so far.
        prompt: The messages of a chat, or a list of texts (or of lists of token ids).
        prompt_digest: Over it; empty where there is none.
        parameters: What was asked for beside it, and the seed that was used.
        responses: The answers in words.
        finish_reasons: One for each: ``"stop"`` or ``"length"``.
        usage: Tokens of the prompt and of the answers.
        error: Why it was refused; empty where it was answered.
        seconds: From the first byte to the record.
    """

    sequence: int
    time: str
    id: str
    route: str
    status: int
    model: str
    prompt: Any
    prompt_digest: str
    parameters: Mapping[str, Any]
    responses: tuple[str, ...]
    finish_reasons: tuple[str, ...]
    usage: Mapping[str, int]
    error: str
    seconds: float


@final
class RequestLog:
    """The open log of one server; appends are whole lines and safe between threads."""

    def __init__(self, path: Path, key: str = "") -> None:
        """Open a log, or go on with one whose chain is whole.

        Args:
            path: The file; made for its owner alone if it is not there.
            key: What no line may hold.

        Raises:
            ArtefactError: it is damaged, cannot be written, or another server writes it.
        """
        self._path, self._key = path, key
        self._lock = threading.Lock()
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        with explained(f"open the request log {path}"):
            self._descriptor = os.open(path, flags, 0o600)
        try:
            self._claim()
            self._sequence, self._head = self._go_on()
        except BaseException:
            os.close(self._descriptor)
            raise

    @property
    def path(self) -> Path:
        """Where the records are."""
        return self._path

    @property
    def head(self) -> str:
        """Digest of the last record, which depends on all before it."""
        return self._head

    def write(self, body: Mapping[str, Any]) -> None:
        """Append one request.

        Args:
            body: The fields of a :class:`LogRecord` but ``sequence``, ``time`` and
                ``prompt_digest``.

        Raises:
            ArtefactError: it cannot be written.
        """
        self._append({**body, "kind": "request"})

    def close(self) -> None:
        """Sync and close; nothing can be written afterwards."""
        with self._lock, explained(f"close the request log {self._path}"):
            try:
                os.fsync(self._descriptor)
            finally:
                os.close(self._descriptor)

    def _append(self, body: Mapping[str, Any]) -> None:
        with self._lock, explained(f"write the request log {self._path}"):
            line = self._line(body)
            if self._key and self._key in line:  # a client wrote it: paint it over
                text = canonical_json(body).replace(self._key, _HIDDEN)
                line = self._line(json.loads(text))
            data = line.encode() + b"\n"
            if os.write(self._descriptor, data) != len(data):
                # A full disk: the torn line is dealt with at the next start.
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._path))
            self._sequence += 1
            self._head = (
                "sha256:" + hashlib.sha256(data[:-1]).hexdigest()
            )  # as `digest` of the record

    def _line(self, body: Mapping[str, Any]) -> str:
        """A record as the next link of the chain; a request's has its prompt's digest."""
        record = {
            **body,
            "previous": self._head,
            "sequence": self._sequence + 1,
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
        }
        if "prompt" in body:
            record["prompt_digest"] = "" if body["prompt"] is None else digest(body["prompt"])
        return canonical_json(record)

    def _claim(self) -> None:
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ArtefactError(
                f"another server writes the request log {self._path}: give this one its own"
            ) from None

    def _go_on(self) -> tuple[int, str]:
        data = self._path.read_bytes()
        whole, newline, torn = data.rpartition(b"\n")
        records = _checked(self._path, whole + newline)
        self._sequence = len(records)
        self._head = head_of(records[-1] if records else None)
        if torn:
            os.ftruncate(self._descriptor, len(whole + newline))
            self._append({"kind": RECOVERED, "torn": torn.decode(errors="replace")})
        return self._sequence, self._head


def read_log(path: str | Path) -> tuple[LogRecord, ...]:
    """The requests of a log, oldest first, after its whole chain was checked.

    A server may still be writing: a last line that is not finished is left out.

    Raises:
        ArtefactError: there is no such file, or a line is damaged.
    """
    place = Path(path)
    with explained(f"read the request log {place}"):
        data = place.read_bytes()
    whole, newline, _ = data.rpartition(b"\n")
    records = _checked(place, whole + newline)
    return tuple(_record(place, r) for r in records if r["kind"] == "request")


def log_head(path: str | Path) -> str:
    """Digest of the last record of a log, to be printed where nobody can change it.

    Raises:
        ArtefactError: there is no such file, or a line is damaged.
    """
    place = Path(path)
    with explained(f"read the request log {place}"):
        data = place.read_bytes()
    whole, newline, _ = data.rpartition(b"\n")
    records = _checked(place, whole + newline)
    return head_of(records[-1] if records else None)


def _checked(path: Path, data: bytes) -> list[dict[str, Any]]:
    records: list[dict[str, Any]] = []
    previous = START
    for number, line in enumerate(data.splitlines(keepends=True), start=1):
        try:
            record = json.loads(line)
            if (canonical_json(record) + "\n").encode() != line:
                raise ValueError("changed after it was written")
            if record["previous"] != previous or record["sequence"] != number:
                raise ValueError("a line before it was changed, added, removed or moved")
            if record["kind"] not in ("request", RECOVERED):
                raise ValueError(f"unknown kind {record['kind']!r}")
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise ArtefactError(
                f"{path}: line {number} is damaged ({error}): restore the file from a copy, or"
                " start a new log; nothing can be counted from this one"
            ) from error
        records.append(record)
        previous = head_of(record)
    return records


def _record(path: Path, told: Mapping[str, Any]) -> LogRecord:
    try:
        return LogRecord(
            sequence=told["sequence"],
            time=told["time"],
            id=told["id"],
            route=told["route"],
            status=told["status"],
            model=told["model"],
            prompt=told["prompt"],
            prompt_digest=told["prompt_digest"],
            parameters=told["parameters"],
            responses=tuple(told["responses"]),
            finish_reasons=tuple(told["finish_reasons"]),
            usage=told["usage"],
            error=told["error"],
            seconds=told["seconds"],
        )
    except (KeyError, TypeError) as error:
        raise ArtefactError(f"{path}: record {told['sequence']} lacks {error}") from error
