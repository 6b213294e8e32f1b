"""How often a family has been to the gate: a list that only grows.

A gate that may be tried until it opens admits anything, so each attempt is
written down before its first draw and counted by what was tried, not by seed.
What is covered and what is not stands in :mod:`insectary.vault.chain`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from insectary.vault.chain import RECOVERED, Chain, head_of
from insectary.vault.disk import Disk
from insectary.vault.manifest import meta_of

_ATTEMPT = "attempt"


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
        self._chain = Chain(
            directory / "attempts.jsonl", lock, disk, _check, "no count of attempts can be trusted"
        )

    @property
    def path(self) -> Path:
        """Where the records are."""
        return self._chain.path

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
        with self._chain.held("record the attempt at the gate"):
            records = self._chain.read()
            number = 1 + sum(_key_of(r) == key for r in records if r["kind"] == _ATTEMPT)
            body = {
                "attempt": number,
                "card_digest": card_digest,
                "detail": extra,
                "key": key,
                "kind": _ATTEMPT,
            }
            self._chain.append(body, records[-1] if records else None)
        return number

    def attempts(self, key: AttemptKey | None = None) -> list[Attempt]:
        """All attempts with this key, or all there are, oldest first.

        Raises:
            ArtefactError: if the ledger is damaged.
        """
        records = [r for r in self._records() if r["kind"] == _ATTEMPT]
        found = [
            Attempt(_key_of(r), r["attempt"], r["card_digest"], r["time"], r["detail"])
            for r in records
        ]
        return [a for a in found if key is None or a.key == key]

    def recoveries(self) -> list[dict[str, Any]]:
        """The records of torn last lines: when, how many bytes, and where they are kept."""
        return [r for r in self._records() if r["kind"] == RECOVERED]

    def head(self) -> str:
        """Digest of the last record, which depends on all before it."""
        records = self._records()
        return head_of(records[-1] if records else None)

    def tidy(self) -> int:
        """Remove what a killed recovery left unfinished; returns bytes."""
        return self._chain.tidy()

    def _records(self) -> list[dict[str, Any]]:
        with self._chain.held("read the attempts at the gate"):
            return self._chain.read()


def _key_of(record: Mapping[str, Any]) -> AttemptKey:
    return AttemptKey(**record["key"])


def _check(record: Mapping[str, Any]) -> None:
    if record["kind"] != _ATTEMPT:
        raise ValueError(f"unknown kind {record['kind']!r}")
    _key_of(record)
