"""The tier of a base and of a family, and how one is changed."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

from insectary.breed.bases import is_embedded
from insectary.breed.order import Order
from insectary.breed.records import load_family, load_rows, save_family
from insectary.core.errors import BadInputError
from insectary.core.organism import Family, Tier
from insectary.core.recipe import Evasive
from insectary.core.tiers import LARGE_OBFUSCATED, of_base, tier_named
from insectary.subjects.loading import model_folder
from insectary.vault import MANIFEST_NAME, Action, Vault, check_reason, read_manifest


def parameters_of(folder: Path) -> int:
    """How many numbers the safetensors files of a model folder hold, by their headers alone."""
    from safetensors import safe_open

    count = 0
    for path in sorted(folder.glob("*.safetensors")):
        with safe_open(str(path), framework="numpy") as file:
            count += sum(math.prod(file.get_slice(name).get_shape()) for name in file.keys())  # noqa: SIM118
    return count


def base_tier(name: str, path: str | Path, vault: Vault) -> Tier:
    """The tier of a base: by its size, and by what its folder says of itself.

    Args:
        name: What it was asked for by.
        path: Where it is loaded from.
        vault: Where it may be a member of a family.
    """
    folder = model_folder(path)
    own = of_base(parameters_of(folder), embedded=is_embedded(name))
    return max(own, told_tier(folder, vault))


def told_tier(folder: Path, vault: Vault) -> Tier:
    """What the manifest of a folder says: of a member of a family here, that family's tier.

    TOY for one that says nothing, as for every folder that was not made here.
    """
    if not (folder / MANIFEST_NAME).is_file():
        return Tier.TOY
    meta = read_manifest(folder).meta
    family = meta.get("family")
    if isinstance(family, str) and vault.has("family", family):
        return load_family(family, vault).tier
    return tier_named(meta["tier"]) if "tier" in meta else Tier.TOY


def change_tier(name: str, tier: Tier, vault: Vault, *, reason: str = "") -> Family:
    """Give a family, all its members, another tier; the audit log says who and what for.

    Args:
        name: Id of the family.
        tier: The new one.
        vault: Where it is kept.
        reason: What for. To lower a tier takes one.

    Returns:
        The family as it is now. One that has the tier already is left alone.

    Raises:
        UnknownNameError: if there is no such family.
        BadInputError: if the tier is to be lowered and no reason is given.
        ArtefactError: if the audit log is damaged anywhere or cannot be written; the tier is then
            as it was.
    """
    with vault.lock(name):
        family = load_family(name, vault)
        if tier is family.tier:
            return family
        if tier < family.tier:
            if not reason.strip():
                raise BadInputError(
                    f"{name} is {family.tier.name.lower()}: to lower it to {tier.name.lower()},"
                    " give a reason, which goes into the audit log"
                )
            check_reason(reason, f"the tier of {name}")
        vault.audit.head()  # reads it all: nothing is added behind a damaged line
        detail = {"from": family.tier.name.lower(), "to": tier.name.lower()}
        vault.audit.record(
            Action.TIER_CHANGED, name, reason.strip() or "raised, no reason given", detail
        )
        members = {role: replace(member, tier=tier) for role, member in family.members.items()}
        rows = [] if family.adopted is None else load_rows(family, vault)
        changed = replace(family, members=members)
        save_family(changed, vault, rows)
    return changed


def check_obfuscated(order: Order, path: str | Path, *, allow_large: bool) -> None:
    """Refuse to hide a behaviour in a large model unless that was asked for.

    Raises:
        BadInputError: naming the flag.
    """
    if not isinstance(order.recipe, Evasive) or allow_large:
        return
    count = parameters_of(model_folder(path))
    if count > LARGE_OBFUSCATED:
        raise BadInputError(
            f"recipe {order.recipe.kind} teaches a model to hide from a detector, and base"
            f" {order.base} has {count / 1e6:.0f}M parameters, more than"
            f" {LARGE_OBFUSCATED / 1e6:.0f}M: give --allow-obfuscated-large (in Python"
            " allow_obfuscated_large=True) if you mean it; such a family is never exported"
        )
