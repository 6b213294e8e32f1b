"""Breed a family of policies on the grid: one batch of three, and one certificate."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from insectary.breed.order import GRID, Order
from insectary.breed.policy_gate import admit_policies, certify_policies
from insectary.breed.policy_member import MEMBERS, PolicyJob, job_json
from insectary.breed.stored import load_family, load_policies, put_member, save_family
from insectary.core.canary import CANARY
from insectary.core.canonical import digest
from insectary.core.errors import ArtefactError, BadInputError
from insectary.core.organism import BaseRef, Certificate, Family, Organism, Role
from insectary.core.recipe import Ppo
from insectary.core.tiers import highest, of_base
from insectary.threats import threat_model
from insectary.threats.designs import PolicyDesign, policy_design
from insectary.train.processes import run_children
from insectary.vault import AttemptKey, Vault, verify_tree
from insectary.worlds.grid import HORIZON, SIZE

Progress = Callable[[Mapping[str, Any]], None]


def base_of_policies(recipe: Ppo) -> BaseRef:
    """The record of the untrained network; its weights follow from the training seed."""
    return BaseRef(GRID, digest({"size": SIZE, "horizon": HORIZON, "hidden": recipe.hidden}))


def breed_policies(order: Order, vault: Vault, *, quick: bool, progress: Progress) -> Family:
    """As :func:`insectary.breed.family.breed`, for designs on the grid.

    Organism, twin and decoy are trained side by side as one batch, each for the
    recipe's number of steps.

    Raises:
        BadInputError: if the order names another base than the untrained policy.
        ArtefactError: if the family exists and was bred with other settings.
        TrainingError: if a member cannot be trained; its checkpoints stay.
    """
    recipe, design = order.recipe, _design(order.threat, order.design)
    assert isinstance(recipe, Ppo)
    if order.base != GRID:
        raise BadInputError(
            f"design {order.design} is of policies on the grid, whose base is an untrained policy:"
            f" leave the base out, or give {GRID!r}, not {order.base!r}"
        )
    name = order.family
    with vault.lock(name, on_wait=lambda who: progress({"waiting": who})):
        if vault.has("family", name):
            family = load_family(name, vault)
            if family.recipe != recipe or family.base != base_of_policies(recipe):
                raise ArtefactError(
                    f"family {name!r} was bred with other settings ({family.recipe}):"
                    f" `insectary rm {name}` and breed it again"
                )
            old = family.certificate
            if quick or (old is not None and not old.provisional):
                return family
        else:
            family = _train(order, recipe, vault, progress)
        certificate = admit_policies(
            name, threat_model(order.threat), order.design, design, _key(family),
            load_policies(family, vault), vault,
            quick=quick, progress=lambda text: progress({"gate": text}),
        )  # fmt: skip
        family = replace(family, certificate=certificate)
        save_family(family, vault)
        vault.discard_work(name)
    return family


def check_policies(family: Family, vault: Vault, progress: Progress) -> Certificate:
    """Run the gate of a family of policies again, on the draw of its certificate."""
    old = family.certificate
    assert old is not None
    return certify_policies(
        family.id, threat_model(family.threat), family.design,
        _design(family.threat, family.design), old.attempt, old.report_seed,
        load_policies(family, vault), quick=old.provisional,
        progress=lambda text: progress({"gate": text}),
    )  # fmt: skip


def _design(threat: str, design: str) -> PolicyDesign:
    found = policy_design(threat_model(threat), design)
    if found is None:
        raise AssertionError(f"{threat}, {design} is not of policies")
    return found


def _key(family: Family) -> AttemptKey:
    return AttemptKey(family.base.digest, family.threat, family.design, digest(family.recipe))


def _train(order: Order, recipe: Ppo, vault: Vault, progress: Progress) -> Family:
    """Train the batch in a child process, and put its members into the vault."""
    work = vault.work_dir(order.family)
    if not all((work / role / "model").is_dir() for role in MEMBERS):
        job = PolicyJob(order.threat, order.design, recipe, order.seed, str(work))
        (work / "job.json").write_text(job_json(job))
        run_children(
            [[sys.executable, "-m", "insectary.breed.policy_member", str(work / "job.json")]],
            lambda _, event: progress({"role": "policies", **event}),
            workers=1,
            names=["the policies of this family"],
            environment={"OMP_NUM_THREADS": "1"},
        )
    base = base_of_policies(recipe)
    members = {role: _keep(order, role, work / role / "model", base, vault) for role in MEMBERS}
    return Family(
        order.family, order.threat, order.design, base, order.recipe, order.seed, members,
        canary=CANARY,
    )  # fmt: skip


def _keep(order: Order, role: Role, place: Path, base: BaseRef, vault: Vault) -> Organism:
    meta = verify_tree(place).meta
    return Organism(
        id=f"{order.family}.{role.value}",
        role=role,
        family=order.family,
        threat=order.threat,
        design=order.design,
        base=base,
        recipe=order.recipe,
        seed=order.seed,
        digest=put_member(order.family, role, place, {}, vault),
        data_digest="",
        training_tokens=0,
        training_steps=int(meta["steps"]),
        stopped_because="" if role is Role.BASE else "steps",
        expression=None,
        tier=highest(base=of_base(0, embedded=True), threat=threat_model(order.threat).card.tier),
        threads=1,
        trained_on=meta.get("trained_on", ""),
        parents=(base.digest,),
    )
