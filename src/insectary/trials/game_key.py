"""The sealed key of a blind game: kept apart from what was dealt, and opened with a note of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from insectary.core.canonical import digest, plain
from insectary.core.errors import ArtefactError
from insectary.core.organism import Role
from insectary.vault import Action, Vault
from insectary.vault.disk import REAL_DISK, explained, write_atomic

KIND = "game"
"""What a key is called in the vault."""
_FILE = "key.json"

Player = tuple[str, Role, str]
"""Family, role, and digest of the dealt folder."""


@dataclass(frozen=True, slots=True)
class Key:
    """Who is who.

    Attributes:
        salt: Random, so that the commitment cannot be searched for the key.
        seed: Of the deal.
        players: Name of the subject to what it is.
    """

    salt: str
    seed: int
    players: Mapping[str, Player]

    @property
    def commitment(self) -> str:
        """Digest over all of it, published with the subjects."""
        return digest(self)


@dataclass(frozen=True, slots=True)
class Opening:
    """One opening of a key: when (UTC, ISO 8601), and the digest of the verdicts scored by it."""

    at: str
    verdicts: str


@dataclass(frozen=True, slots=True)
class Sealed:
    """A key with its openings, and where both are kept."""

    key: Key
    openings: tuple[Opening, ...]
    place: Path | None
    """A file; ``None`` for the vault."""


def put_key(key: Key, place: Path | None, vault: Vault) -> str:
    """Keep a key that was not opened yet; returns the vault's id of it, or the file's path."""
    return _put(Sealed(key, (), place), vault)


def noted(sealed: Sealed, opening: Opening, vault: Vault) -> None:
    """Write down that it was opened, before anybody sees a score."""
    vault.audit.record(
        Action.KEY_OPENED, _id(sealed.key.commitment), "blind game: to score verdicts",
        {"verdicts": opening.verdicts},
    )  # fmt: skip
    _put(Sealed(sealed.key, (*sealed.openings, opening), sealed.place), vault)


def _put(sealed: Sealed, vault: Vault) -> str:
    text = json.dumps(plain({"key": sealed.key, "openings": sealed.openings}), indent=1) + "\n"
    name = _id(sealed.key.commitment)
    if sealed.place is not None:
        with explained(f"write the key {sealed.place}"):
            write_atomic(sealed.place, text.encode(), REAL_DISK)
        return str(sealed.place)

    def write(folder: Path) -> None:
        (folder / _FILE).write_text(text, encoding="utf-8")

    meta = {"subjects": len(sealed.key.players), "opened": len(sealed.openings)}
    vault.put(KIND, name, meta, write, replace=True)
    return name


def find_key(commitment: str, place: Path | None, vault: Vault) -> Sealed:
    """The key of a game, and its openings.

    Raises:
        ArtefactError: if it is not there, damaged, or another than was committed to.
    """
    if place is not None:
        with explained(f"read the key {place}"):
            text = place.read_text(encoding="utf-8")
    else:
        if not vault.has(KIND, _id(commitment)):
            raise ArtefactError(
                f"the key of this game is not in the vault {vault.home}: score it where it was"
                " dealt, or give its file with --key"
            )
        with vault.use(_id(commitment), KIND) as stored:
            text = (stored.path / _FILE).read_text(encoding="utf-8")
    sealed = _read(text, place)
    if sealed.key.commitment != commitment:
        raise ArtefactError(
            "the key is not the one that was committed to when the game was dealt: it was changed,"
            " is of another game, or the dealt game.json was changed"
        )
    return sealed


def _read(text: str, place: Path | None) -> Sealed:
    try:
        record: Any = json.loads(text)
        players = {
            str(name): (str(family), Role(role), str(made))
            for name, (family, role, made) in record["key"]["players"].items()
        }
        key = Key(str(record["key"]["salt"]), int(record["key"]["seed"]), players)
        openings = tuple(Opening(o["at"], o["verdicts"]) for o in record["openings"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ArtefactError(f"the key {place or ''} cannot be read: {error!r}") from error
    return Sealed(key, openings, place)


def _id(commitment: str) -> str:
    return f"game-{commitment[7:19]}"
