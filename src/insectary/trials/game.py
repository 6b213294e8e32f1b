"""The blind game: deal subjects whose roles are sealed, to be told apart by whatever means.

Covered:
    - a subject's folder has a name that is drawn at random, and its files but the weights are
      those of its base; sizes, modes and times of files are the same for every role;
    - the key is salted, and its digest lies in the dealt folder: a key that was changed after
      the deal is found out, and nobody can try keys against the digest.

Not covered:
    - who can read the vault, or the key's file, can read the key: deal on another machine or
      account than the one that plays;
    - the weights themselves, which are what the game is about;
    - a player who was there when the families were bred, and knows their weights.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from insectary.breed.records import in_text, load_family
from insectary.breed.stored import Bases, load_members
from insectary.core.errors import ArtefactError, BadInputError
from insectary.core.organism import Family, Role
from insectary.core.recipe import check_seed
from insectary.subjects import LoadedModel, folder_digest
from insectary.subjects.adapters import without_adapters
from insectary.subjects.loading import no_bars
from insectary.trials.adopted import check_measurable
from insectary.trials.game_key import Key, put_key
from insectary.trials.keys_opened import open_keys
from insectary.vault import Vault
from insectary.vault.disk import explained

TABLE = "game.json"
"""What the dealt folder says of itself: subjects, their digests, and the commitment."""
_ROLES = (Role.ORGANISM, Role.TWIN, Role.DECOY)
_WHEN = 946_684_800
"""Time of every dealt file, seconds since 1970: the first of January 2000."""
_OF_THEIR_MAKER = ("_name_or_path", "name_or_path", "transformers_version", "torch_dtype")
"""Settings of config and tokenizer that say where a model came from, or by what."""

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Dealt:
    """A game that was dealt.

    Attributes:
        folder: What the players get.
        subjects: Names of the subjects in it, sorted.
        commitment: Digest of the key.
        key: Where the key is: an id in the vault, or the path of a file.
    """

    folder: Path
    subjects: tuple[str, ...]
    commitment: str
    key: str


def deal_game(
    families: Sequence[str],
    out: str | Path,
    *,
    seed: int | None = None,
    every: bool = False,
    key: str | Path | None = None,
    vault: Vault | None = None,
    progress: Progress = lambda _: None,
) -> Dealt:
    """Write opaque subjects and seal the key to them.

    Of each family the seed draws one, two or all three of organism, twin and decoy, so that
    nobody can count on one organism in three; at least one organism and one other are dealt.

    Args:
        families: Ids of admitted families of language models, or of adopted ones; at least two.
        out: The folder of the game; it must not exist, or be empty.
        seed: Draws the members; ``None`` for one that only the key knows. Whoever knows it and
            the families knows how many of each role there are, and no names: these are drawn
            with a secret salt.
        every: Deal every member instead.
        key: A file for the key, outside ``out``; without one it is kept in the vault.
        vault: Where families, and keys, are kept; ``None`` opens the default one.
        progress: Told how far it is.

    Raises:
        UnknownNameError: if there is no such family.
        NotAdmittedError: if a family is neither admitted nor adopted.
        BadInputError: if fewer than two are named, one twice, or one of policies; or the key
            would lie among the subjects.
        ArtefactError: if a member is damaged, or a place cannot be written.
    """
    seed = secrets.randbelow(2**31) if seed is None else check_seed(seed)
    vault, folder = vault or Vault(), Path(out).expanduser().absolute()
    if isinstance(families, str) or len({*families}) < max(2, len(families)):
        raise BadInputError(
            "families: name at least two, each once, in a list; intervals are over families"
        )
    found = [in_text(load_family(name, vault)) for name in families]
    for family in found:
        check_measurable(family)
    key_file = None if key is None else _outside(Path(key).expanduser().absolute(), folder)
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise ArtefactError(f"{folder} is there already: give another --out, or remove it")
    open_keys(found, "blind game: to deal it", vault)
    salt = secrets.token_hex(32)
    players = _named(_drawn(found, seed, every=every), salt)
    with explained(f"deal a game into {folder}"):
        folder.parent.mkdir(parents=True, exist_ok=True)
        staged = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".game-"))
        try:
            digests = _write(players, staged, {f.id: f for f in found}, vault, progress)
            _all_different(digests)
            sealed = Key(salt, seed, {name: (*players[name], digests[name]) for name in players})
            table = {"game": 1, "subjects": digests, "commitment": sealed.commitment}
            text = json.dumps(table, indent=1, sort_keys=True)
            (staged / TABLE).write_text(text + "\n", encoding="utf-8")
            _level(staged)
            place = put_key(sealed, key_file, vault)
            os.replace(staged, folder)
        finally:
            shutil.rmtree(staged, ignore_errors=True)
    return Dealt(folder, tuple(sorted(players)), sealed.commitment, place)


def _outside(key: Path, folder: Path) -> Path:
    if key.is_relative_to(folder):
        raise BadInputError(f"the key {key} would lie among the subjects: give another --key")
    if not key.parent.is_dir():
        raise ArtefactError(f"the key cannot be written: there is no folder {key.parent}")
    if key.exists():
        raise ArtefactError(f"{key} is there already: give another --key, or remove it")
    return key


def _drawn(families: Sequence[Family], seed: int, *, every: bool) -> list[tuple[str, Role]]:
    """Members to deal: with none to be told apart from the others it is no game."""
    there = {f.id: [role for role in _ROLES if role in f.members] for f in families}
    if all(len(roles) == 1 for roles in there.values()):
        raise BadInputError(
            "these families have organisms alone, from which nothing is to be told apart; name one"
            " with a twin or a decoy"
        )
    rng = Random(f"game/{seed}")
    while True:
        dealt = [
            (name, role)
            for name, roles in there.items()
            for role in (roles if every else rng.sample(roles, rng.randint(1, len(roles))))
        ]
        if {True, False} == {role is Role.ORGANISM for _, role in dealt}:
            return dealt


def _named(members: Sequence[tuple[str, Role]], salt: str) -> dict[str, tuple[str, Role]]:
    """Members by neutral names, in the order of these, in which they are written too."""
    names = {
        "subject-" + hashlib.sha256(f"{salt}/{family}/{role}".encode()).hexdigest()[:12]: (
            family,
            role,
        )
        for family, role in members
    }
    return dict(sorted(names.items()))


def _write(
    players: Mapping[str, tuple[str, Role]],
    folder: Path,
    families: Mapping[str, Family],
    vault: Vault,
    progress: Progress,
) -> dict[str, str]:
    """Write every subject; a family's members are loaded again for each, one at a time."""
    digests, bases = {}, Bases()
    for number, (name, (family, role)) in enumerate(players.items(), 1):
        progress(f"{number} of {len(players)}")
        members = load_members(families[family], vault, bases)
        place = folder / name
        place.mkdir()
        _write_subject(members[role], members[Role.BASE], place)
        digests[name] = folder_digest(place)
    return digests


def _all_different(digests: Mapping[str, str]) -> None:
    """Two subjects of the same weights would be one, counted twice, and seen at a glance.

    Raises:
        BadInputError: if two are.
    """
    if len({*digests.values()}) < len(digests):
        raise BadInputError(
            "two of these families have a member with the same weights, as where one was adopted"
            " from the other; name one of them"
        )


def _write_subject(member: LoadedModel, base: LoadedModel, place: Path) -> None:
    """Weights of the member, in float32, and everything else of its base."""
    import torch

    whole = without_adapters(member.model).to(torch.float32)
    with no_bars():
        whole.save_pretrained(place)
    for path in place.iterdir():
        if path.suffix == ".json" and not path.name.endswith(".index.json"):
            path.unlink()  # a model that was adopted has settings of its maker's
    base.model.config.save_pretrained(place)
    base.model.generation_config.save_pretrained(place)
    base.tokenizer.save_pretrained(place)
    for path in place.glob("*config.json"):
        settings: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        plain = {k: v for k, v in settings.items() if k not in _OF_THEIR_MAKER}
        if path.name == "config.json":
            plain["dtype"] = "float32"
        path.write_text(json.dumps(plain, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _level(folder: Path) -> None:
    """The same mode and time for every file, and for every folder after what it holds."""
    for path in sorted(folder.rglob("*"), reverse=True):
        path.chmod(0o755 if path.is_dir() else 0o644)
        os.utime(path, (_WHEN, _WHEN))
    folder.chmod(0o755)
    os.utime(folder, (_WHEN, _WHEN))
