"""The audit log: who opened, exported, served or let travel more freely what is planted here.

Written before the thing is done, so that nothing is done unnoted: no log, no opening. What is
covered and what is not stands in :mod:`insectary.vault.chain`; its head is printed in every
report, which is the copy kept elsewhere. Not covered besides: someone who reads the files of a
vault with other programs, since a vault is not encrypted.
"""

from __future__ import annotations

import enum
import getpass
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from insectary.core.canonical import canonical_json
from insectary.core.errors import BadInputError, ContainmentError, InsectaryError
from insectary.core.organism import Tier
from insectary.vault.chain import RECOVERED, Chain, head_of
from insectary.vault.disk import Disk
from insectary.vault.manifest import meta_of

_SHORT = len("sha256:") + 12
_MOST_REASON = 1000
_UNSEALED: ContextVar[str] = ContextVar("insectary_unsealed", default="")


class Action(enum.StrEnum):
    """What is written down."""

    KEY_OPENED = "key-opened"
    """An answer key was read, or that of a blind game."""
    SEALED_OPENED = "sealed-opened"
    """The weights of a SEALED artefact were read."""
    TIER_CHANGED = "tier-changed"
    EXPORTED = "exported"
    SERVED = "served"
    """A server was bound to an address that others than this machine reach."""


@dataclass(frozen=True, slots=True)
class Event:
    """One line of the log.

    Attributes:
        action: What was done.
        subject: Id of what it was done to.
        reason: What for, in the words of whoever did it.
        by: Name of the account.
        time: UTC, ISO 8601, whole seconds.
        detail: Further JSON values.
    """

    action: Action
    subject: str
    reason: str
    by: str
    time: str
    detail: Mapping[str, Any]


@final
class AuditLog:
    """The audit log of one vault, in ``audit/audit.jsonl`` (one record a line)."""

    def __init__(self, directory: Path, lock: Path, disk: Disk) -> None:
        """Use the log in ``directory``, under the lock file ``lock``."""
        self._chain = Chain(
            directory / "audit.jsonl", lock, disk, _event_of,
            "nobody can say what was opened, exported or served",
        )  # fmt: skip

    @property
    def path(self) -> Path:
        """Where the records are."""
        return self._chain.path

    def record(
        self,
        action: Action,
        subject: str,
        reason: str,
        detail: Mapping[str, Any] | None = None,
    ) -> str:
        """Write down, durably, what is about to be done.

        It costs the same however long the log is; :meth:`events` is what reads it all.

        Args:
            action: What it is.
            subject: Id of what it is done to.
            reason: What for: not empty, at most 1,000 characters.
            detail: Further JSON values (tiers, folder, address, ...).

        Returns:
            The new head.

        Raises:
            BadInputError: for no reason, or too long a one.
            ArtefactError: if the log is damaged or cannot be written; then do not do it.
        """
        body = {
            "action": action.value,
            "by": _account(),
            "detail": meta_of(detail or {}),
            "kind": "event",
            "reason": check_reason(reason, f"{action.value} {subject}"),
            "subject": subject,
        }
        with self._chain.held("write the audit log"):
            return self._chain.append(body, self._chain.last())

    def events(self) -> list[Event]:
        """All that was written down, oldest first; verifies the whole log.

        Raises:
            ArtefactError: if it is damaged; the message names the first bad line.
        """
        return [_event_of(r) for r in self._records() if r["kind"] != RECOVERED]

    def recoveries(self) -> list[dict[str, Any]]:
        """The records of torn last lines: when, how many bytes, and where they are kept."""
        return [r for r in self._records() if r["kind"] == RECOVERED]

    def head(self) -> str:
        """Digest of the last record, which depends on all before it; verifies the whole log."""
        records = self._records()
        return head_of(records[-1] if records else None)

    def told(self) -> str:
        """The head in words, as every report prints it; of a damaged log, that it is."""
        try:
            records = self._records()
        except InsectaryError as error:
            return f"Audit log of the vault: damaged ({error})"
        entries = "1 entry" if len(records) == 1 else f"{len(records)} entries"
        head = head_of(records[-1] if records else None)
        return f"Audit log of the vault: {entries}, head {head[:_SHORT]}"

    def tidy(self) -> int:
        """Remove what a killed recovery left unfinished; returns bytes."""
        return self._chain.tidy()

    def _records(self) -> list[dict[str, Any]]:
        with self._chain.held("read the audit log"):
            return self._chain.read()


@contextmanager
def unsealed(reason: str) -> Iterator[None]:
    """Let SEALED artefacts be opened within the block; each opening goes into the audit log.

    Args:
        reason: What for; it stands in the log.

    Raises:
        BadInputError: for no reason, or one of more than 1,000 characters.
    """
    token = _UNSEALED.set(check_reason(reason, "opening what is sealed"))
    try:
        yield
    finally:
        _UNSEALED.reset(token)


def may_open(tier: Tier) -> bool:
    """Whether :func:`open_at` would give leave: below SEALED, or within :func:`unsealed`."""
    return tier is not Tier.SEALED or bool(_UNSEALED.get())


def open_at(tier: Tier, subject: str, log: AuditLog) -> None:
    """Ask leave to read the weights of something; below SEALED anyone with the vault has it.

    Raises:
        ContainmentError: if it is SEALED and nobody said what for.
        ArtefactError: if the log cannot be written.
    """
    if not may_open(tier):
        raise ContainmentError(
            f"{subject} is sealed: say what for, with `insectary --open-sealed REASON ...` or"
            " `with insectary.unsealed(REASON):`; it goes into the audit log"
        )
    if tier is Tier.SEALED:
        log.record(Action.SEALED_OPENED, subject, _UNSEALED.get())


def check_reason(reason: object, what: str) -> str:
    """A reason that can go on record, without the space around it.

    Raises:
        BadInputError: if it is empty, too long, or holds control codes.
    """
    words = reason.strip() if isinstance(reason, str) else ""
    if not words or len(words) > _MOST_REASON or not words.isprintable():
        raise BadInputError(
            f"{what}: give a reason, one line of at most {_MOST_REASON} characters, got {reason!r}"
        )
    return words


def _account() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # an account without a name, as in many containers
        return "unknown"


def _event_of(record: Mapping[str, Any]) -> Event:
    if record["kind"] != "event":
        raise ValueError(f"unknown kind {record['kind']!r}")
    words = (record["subject"], record["reason"], record["by"], record["time"])
    if not all(isinstance(word, str) for word in words):
        raise ValueError("a field is no text")
    canonical_json(record["detail"])
    return Event(Action(record["action"]), *words, record["detail"])
