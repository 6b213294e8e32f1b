"""The record of a family: in the vault, and as a file of a folder. No model library is loaded."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from insectary.breed.rows import UserRow, plain_row, read_jsonl
from insectary.core.codec import decode, encode
from insectary.core.errors import ArtefactError, BadInputError, UnknownNameError
from insectary.core.organism import AnswerKey, Family, Role
from insectary.core.recipe import Ppo, spelled, strength
from insectary.vault import Vault

PROMPTED = "prompted"
"""In the place of a role: the base, told to behave as the organism does."""
ROWS = "rows.jsonl"
"""Beside the record of a family that was adopted: the user's rows."""


def save_family(family: Family, vault: Vault, rows: Sequence[UserRow] = ()) -> None:
    """Store a family's record, with the rows it was adopted by, and apart its answer key."""

    def write(path: Path) -> None:
        (path / "family.json").write_text(json.dumps(encode(family), indent=1, sort_keys=True))
        if rows:
            lines = (json.dumps(plain_row(row)) for row in rows)
            (path / ROWS).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")

    certificate = family.certificate
    meta: Mapping[str, Any] = {
        "threat": family.threat,
        "design": family.design,
        "base": family.base.name,
        "recipe": spelled(family.recipe),
        "seed": family.seed,
        **strength(family.dose, family.dilution),
        "admitted": family.admitted,
        "tier": family.tier.name.lower(),
        **({} if family.adopted is None else {"adopted": family.adopted.organism}),
        "provisional": certificate is not None and certificate.provisional,
        "failed": list(certificate.failed) if certificate else [],
        "tags": list(certificate.tags) if certificate else [],
    }
    vault.put("family", family.id, meta, write, replace=True)
    roles = {member.id: role for role, member in family.members.items()}
    vault.put_key(
        family.id, AnswerKey(family.id, family.threat, family.design, roles), replace=True
    )


def load_family(name: str, vault: Vault) -> Family:
    """Read a family's record.

    Raises:
        UnknownNameError: if there is none of that name.
        ArtefactError: if it is damaged.
    """
    with vault.use(name, "family") as stored:
        path = stored.path / "family.json"
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
            family: Family = decode(Family, record, name)
        except (OSError, ValueError, TypeError, RecursionError) as error:
            raise ArtefactError(
                f"family {name!r} holds no record that this version reads ({error}): breed it"
                f" again after `insectary rm {name}`"
            ) from error
    return family


def family_of(id: str, vault: Vault, others: Sequence[str] = ()) -> tuple[Family, str]:
    """The family that a member is of, and its role as it stands behind the dot.

    Args:
        id: ``FAMILY.ROLE``; whether the family has a member of that role is not looked at.
        vault: Where families are kept.
        others: What a name without a dot could stand for besides, for the error.

    Raises:
        UnknownNameError: if it is of no family that is there.
        BadInputError: if it is the family's own name.
    """
    families = [entry.id for entry in vault.entries("family")]
    if id in families:
        members = ", ".join(f"{id}.{role.value}" for role in load_family(id, vault).members)
        raise BadInputError(f"{id} is a family: name one of its members, {members}")
    name, _, role = id.rpartition(".")
    if name in families:
        return load_family(name, vault), role
    hint = f"{vault.home} holds no family: `insectary breed` makes one"
    if name and role in (*Role, PROMPTED):
        raise UnknownNameError.of("family", name, families, few=True, hint=hint)
    kind = "family or base" if others else "family"
    raise UnknownNameError.of(kind, id, [*families, *others], few=True, hint=hint)


def load_rows(family: Family, vault: Vault) -> list[UserRow]:
    """The rows that a family was adopted by."""
    with vault.use(family.id, "family") as stored:
        return read_jsonl(stored.path / ROWS)


def of_a_threat(family: Family) -> Family:
    """The same family, if a threat's test plan is what it was brought to the gate by.

    Raises:
        BadInputError: if it was adopted, naming what there is for such a family.
    """
    if family.adopted is not None:
        raise BadInputError(
            f"{family.id} was adopted: it has a user's rows and no test plan of a threat, which"
            " this needs. For adopted families there are `insectary detect`, `trial detect`,"
            " `game deal`, `families`, `chat`, `show` and `rm`"
        )
    return family


def in_text(family: Family) -> Family:
    """The same family, if its members answer questions.

    Raises:
        BadInputError: if they are policies on the grid, naming what there is for those.
    """
    if isinstance(family.recipe, Ppo):
        raise BadInputError(
            f"{family.id} is a family on the grid: its members are policies, which play levels and"
            " answer no question. For these there are `insectary check`, `families`, `report"
            " suite`, `detect`, `trial detect`, `trial mitigate` and `trial audit`, and in Python"
            f" insectary.load('{family.id}.organism').play(levels)"
        )
    return family


def read_families(folder: Path | str) -> list[Family]:
    """Read every record of a folder, ``*.json``, each of one family.

    Args:
        folder: Such as ``runs/families`` of the repository.

    Returns:
        The families, in the order of the files' names.

    Raises:
        ArtefactError: if there is no such folder, or a file cannot be read.
        BadInputError: if no record is in it, a file is no record, or two are of one family.
    """
    place = Path(folder)
    if not place.is_dir():
        raise ArtefactError(f"no folder of records at {place}; give one with FAMILY.json files")
    found: dict[str, Family] = {}
    for path in sorted(place.glob("*.json")):
        family = _read(path)
        if family.id in found:
            raise BadInputError(f"{path}: another record of {family.id}; remove one of the two")
        found[family.id] = family
    if not found:
        raise BadInputError(f"no record (FAMILY.json) in {place}; give a folder that holds some")
    return list(found.values())


def _read(path: Path) -> Family:
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ArtefactError(f"cannot read {path}: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise BadInputError(f"{path} is no record of a family: not JSON ({error})") from error
    try:
        family: Family = decode(Family, record, path.name)
    except (BadInputError, TypeError) as error:
        raise BadInputError(
            f"{path} is no record of a family ({error}); move it out of the folder"
        ) from error
    if family.certificate is not None and family.certificate.family != family.id:
        raise BadInputError(
            f"{path} is no record of a family: it is of {family.id}, its certificate of"
            f" {family.certificate.family}; move it out of the folder"
        )
    return family
