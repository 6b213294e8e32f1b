"""Families as the steps of a study name them: an order in JSON, taken from the vault or bred."""

from __future__ import annotations

from collections.abc import Mapping

from insectary.breed.family import breed
from insectary.breed.order import Order
from insectary.core.codec import decode, encode
from insectary.core.organism import Family
from insectary.core.recipe import Recipe
from insectary.core.step import Json
from insectary.vault import Vault


def ordered(order: Order) -> dict[str, Json]:
    """The parameters of a step that name a family."""
    return {
        "threat": order.threat, "design": order.design, "base": order.base,
        "recipe": encode(order.recipe), "seed": order.seed,
    }  # fmt: skip


def family_of(params: Mapping[str, Json], vault: Vault) -> Family:
    """The family that a step's parameters name, whatever the gate says of it.

    Raises:
        BadInputError: as :func:`insectary.breed.family.breed` does.
    """
    recipe = decode(Recipe, params["recipe"], "recipe")
    return breed(
        Order(params["threat"], params["design"], params["base"], recipe, params["seed"]), vault
    )


def told(family: Family) -> dict[str, Json]:
    """What a step says of its family: its id, its members' digests, and what the gate said."""
    certificate = family.certificate
    return {
        "family": family.id,
        "members": {role.value: member.digest for role, member in family.members.items()},
        "gate": certificate.told if certificate else "not yet",
        "admitted": family.admitted,
    }
