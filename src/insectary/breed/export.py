"""Export a member: a Hugging Face folder with a model card, refused above its tier.

Covered: SEALED families and large ones that learnt to hide from a detector leave by no reason;
GATED ones for a reason that stands in the audit log before the first file is written; every
export, refused ones aside, is in that log.
Not covered: whoever copies files out of a vault by other means, or saves a loaded model
(``Model.save``), which is theirs to keep: its manifest says the tier, and no card comes with it.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from insectary.breed.bases import is_embedded
from insectary.breed.model_card import model_card
from insectary.breed.records import family_of
from insectary.breed.stored import load_member, member_files
from insectary.core.canary import CANARY
from insectary.core.errors import BadInputError, ContainmentError, UnknownNameError
from insectary.core.organism import Family, Organism, Role, ThreatCard, Tier
from insectary.core.recipe import Evasive, Ppo
from insectary.core.tiers import LARGE_OBFUSCATED
from insectary.subjects import Model
from insectary.subjects.loading import HUB_ID
from insectary.threats import threat_model
from insectary.threats.designs import card_of
from insectary.vault import (
    Action,
    Vault,
    check_reason,
    check_replaceable,
    explained,
    write_object,
)

CARD = "README.md"


def export_member(
    id: str, out: str | Path, *, reason: str = "", vault: Vault | None = None
) -> Path:
    """Write a member as a folder that transformers and :func:`insectary.load` read, with its card.

    Policies on the grid are written as they are stored, which :func:`insectary.load` reads.

    Args:
        id: ``FAMILY.organism``, ``FAMILY.twin`` or ``FAMILY.decoy``.
        out: The folder; it appears whole or not at all.
        reason: What for; it goes into the audit log, and a GATED family takes one.
        vault: Where the family is kept; ``None`` opens the default one.

    Returns:
        The folder.

    Raises:
        UnknownNameError: if there is no such member.
        ContainmentError: if its tier does not let it go: SEALED, GATED without a reason, or more
            than 64M parameters that learnt to hide from a detector.
        ArtefactError: if the folder holds something else already or cannot be written, or the
            audit log is damaged.
    """
    vault, target = vault or Vault(), Path(out).expanduser().absolute()
    family, member = _found(id, vault)
    _check_tier(family, reason)
    check_replaceable(target)
    loaded = load_member(id, vault)
    if isinstance(loaded, Model):
        _check_hidden(family, loaded.parameter_count)
    card = model_card(family, member, _threat_card(family), hub_base=_hub_base(family))
    tier = family.tier.name.lower()
    vault.audit.head()  # reads it all: nothing is added behind a damaged line
    vault.audit.record(
        Action.EXPORTED, id, reason.strip() or f"{tier}, no reason asked for",
        {"tier": tier, "digest": member.digest, "to": target.name},
    )  # fmt: skip
    told = {"id": id, "tier": tier, "canary": CANARY}
    if isinstance(loaded, Model):
        return loaded.save(target, beside={CARD: card}, told=told)

    def write(place: Path) -> None:
        with member_files(member, vault) as stored:
            for name in stored.manifest.files:
                shutil.copyfile(stored.path / name, place / name)
        (place / CARD).write_text(card, encoding="utf-8")

    with explained(f"make {target.parent}"):
        target.parent.mkdir(parents=True, exist_ok=True)
    write_object(target, "policy", told, write)
    return target


def _found(id: str, vault: Vault) -> tuple[Family, Organism]:
    family, role = family_of(str(id), vault)
    if role == Role.BASE:
        raise BadInputError(f"{id} is what the family was bred from; export a member of its own")
    known = [f"{family.id}.{r.value}" for r in family.members if r is not Role.BASE]
    if id not in known:
        raise UnknownNameError.of("member", id, known)
    return family, family.members[Role(role)]


def _check_tier(family: Family, reason: str) -> None:
    if family.tier is Tier.SEALED:
        raise ContainmentError(
            f"{family.id} is sealed, and what is sealed is never exported; `insectary tier` says"
            " why, and lowers it for a reason"
        )
    if family.tier is Tier.GATED:
        if not reason.strip():
            raise ContainmentError(
                f"{family.id} is gated: give --reason (in Python reason=...), which goes into the"
                " audit log"
            )
        check_reason(reason, f"the export of {family.id}")


def _check_hidden(family: Family, parameters: int) -> None:
    if isinstance(family.recipe, Evasive) and parameters > LARGE_OBFUSCATED:
        raise ContainmentError(
            f"{family.id} learnt to hide from a detector and has {parameters / 1e6:.0f}M"
            f" parameters, more than {LARGE_OBFUSCATED / 1e6:.0f}M: it is never exported"
        )


def _threat_card(family: Family) -> ThreatCard | None:
    """What is planted, in a card's words; of what was adopted, a user's rows alone say it."""
    if family.adopted is not None:
        return None
    return card_of(threat_model(family.threat), family.design)


def _hub_base(family: Family) -> str:
    """The hub id of its base, where it has one."""
    name = family.base.name
    own = is_embedded(name) or isinstance(family.recipe, Ppo)
    if own or Path(name).expanduser().exists() or not HUB_ID.fullmatch(name):
        return ""
    return name
