"""Breed a matched family: one call, four members, one certificate."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from insectary.breed.asked import FULL, QUICK, Answer
from insectary.breed.bases import base_ref, check_same_base, is_embedded
from insectary.breed.card import check_mastered, unmastered
from insectary.breed.cost import cost_line, measure_speed
from insectary.breed.gate import admit, answering, attempt_key, certify
from insectary.breed.member import Job, job_json
from insectary.breed.order import Order, check_ranks, check_recipe
from insectary.breed.policies import breed_policies, check_policies
from insectary.breed.preflight import check_sound
from insectary.breed.records import of_a_threat
from insectary.breed.stored import load_family, load_members, put_member, save_family
from insectary.breed.tiers import base_tier, check_obfuscated
from insectary.core.canary import CANARY
from insectary.core.codec import decode
from insectary.core.errors import ArtefactError, BadInputError, UnknownNameError
from insectary.core.organism import (
    BaseRef,
    Certificate,
    Family,
    Organism,
    Role,
    Tier,
)
from insectary.core.outcome import Measurement
from insectary.core.recipe import Ppo, Recipe, TextRecipe
from insectary.core.tiers import highest
from insectary.subjects import load_model
from insectary.subjects.adapters import is_adapter
from insectary.subjects.loading import load_tokenizer, model_folder
from insectary.threats import threat_model
from insectary.train.processes import run_children
from insectary.train.ranks import run_ranks
from insectary.vault import Vault, verify_tree

Progress = Callable[[Mapping[str, Any]], None]
TRAINED = (Role.ORGANISM, Role.TWIN, Role.DECOY)


def breed(
    order: Order,
    vault: Vault | None = None,
    *,
    quick: bool = False,
    cores: int | None = None,
    ranks: int = 1,
    allow_obfuscated_large: bool = False,
    progress: Progress = lambda _: None,
) -> Family:
    """Breed a family and bring it to the gate; a family that exists is returned as it is.

    The organism is trained until it answers as planted; twin and decoy are
    then trained side by side for exactly as many steps. Killed at any moment,
    the same call goes on where it stopped and ends with the same weights. A
    family whose certificate is provisional goes to the full gate if ``quick``
    is not given; its members are not trained again.

    Args:
        order: What to breed.
        vault: Where it is kept; ``None`` opens the default one.
        quick: Give a provisional certificate, which benchmarks refuse.
        cores: Processor cores to use; ``None`` takes all.
        ranks: Train each member by so many processes together, one after the other, a GPU each
            (on a machine without any, cores are shared out). A run that was begun by another
            number is not gone on with.
        allow_obfuscated_large: Let a base of more than 64M parameters learn to hide.
        progress: Told about every event, a mapping of plain values. Unless the
            base is one of the ladder, the first event of the gate says what the
            gate will cost, in words (``gate``) and in seconds (``cost_seconds``);
            an exception raised there breaks off before the attempt is recorded.

    Raises:
        UnknownNameError: for an unknown threat or design; the known are listed.
        BadInputError: if an embedded base is short of a skill that the behaviour lives in,
            another base fails the preflight (:mod:`insectary.breed.preflight`), or the design
            does not have the signal that the recipe learns from; if a base of more than 64M
            parameters is to hide and that was not allowed; or if there cannot be so many ranks.
        ArtefactError: if the family exists and was bred from other weights or settings.
        TemplateError: if the base has no chat template.
        TrainingError: if a member cannot be trained; its checkpoints stay.
    """
    vault = vault or Vault()
    threat = threat_model(order.threat)
    if order.design not in threat.card.designs:
        raise UnknownNameError.of(f"design of {order.threat}", order.design, threat.card.designs)
    check_recipe(threat, order)
    check_ranks(ranks, order.recipe)
    if isinstance(order.recipe, Ppo):
        return breed_policies(order, vault, quick=quick, progress=progress)
    name = order.family
    with vault.lock(name, on_wait=lambda who: progress({"waiting": who})):
        base, path = base_ref(order.base, vault)
        lacks = unmastered(order.base, vault)
        if is_embedded(base.name):
            check_mastered(order.base, threat.target_skills(order.design), lacks)
        if vault.has("family", name):
            family = load_family(name, vault)
            check_same_base(family, base.digest)
            _same_settings(family, order.recipe)
            old = family.certificate
            if quick or (old is not None and not old.provisional):
                return family
        else:
            check_obfuscated(order, path, allow_large=allow_obfuscated_large)
            _check_base(path, order.base)
            tier = highest(base=base_tier(order.base, path, vault), threat=threat.card.tier)
            _train(order, order.recipe, path, vault, cores or os.cpu_count() or 1, ranks, progress)
            members = {role: _keep(order, role, base, tier, vault) for role in TRAINED}
            members[Role.BASE] = _base_member(order, base, tier)
            family = Family(
                name, order.threat, order.design, base, order.recipe, order.seed, members,
                dose=order.dose, dilution=order.dilution, canary=CANARY,
            )  # fmt: skip
        answer = answering(load_members(family, vault))
        _tell_cost(family, answer, lacks, progress, quick=quick, offer_quick=not quick)
        certificate = admit(
            name, threat, order.design,
            attempt_key(
                base, order.threat, order.design, order.recipe, order.dose, order.dilution
            ),
            answer, vault,
            quick=quick, unmastered=lacks, progress=lambda text: progress({"gate": text}),
        )  # fmt: skip
        family = replace(family, certificate=certificate)
        save_family(family, vault)
        vault.discard_work(name)
    return family


def _check_base(path: str, name: str) -> None:
    """Say before training what is wrong with a base; those of the ladder are known to be sound."""
    if is_embedded(name):
        load_tokenizer(model_folder(path), name)
    else:
        check_sound(load_model(path, device="cpu"), name)


def _tell_cost(
    family: Family,
    answer: Answer,
    lacks: tuple[str, ...],
    progress: Progress,
    *,
    quick: bool,
    offer_quick: bool,
) -> None:
    """Say what the gate will cost, unless the base is one whose gate costs little."""
    if is_embedded(family.base.name):
        return
    threat = threat_model(family.threat)
    speed = measure_speed(threat, family.design, answer)
    line = cost_line(
        threat, family.design, speed, quick=quick, offer_quick=offer_quick, unmastered=lacks
    )
    seconds = speed.needs(threat, family.design, QUICK if quick else FULL, lacks)
    progress({"gate": line, "cost_seconds": seconds})


def _train(
    order: Order,
    recipe: TextRecipe,
    base: str,
    vault: Vault,
    cores: int,
    ranks: int,
    progress: Progress,
) -> None:
    """Organism first, since its step count is the others'; then both, side by side if alone."""
    work = vault.work_dir(order.family)
    threads = max(1, cores // ranks)
    _members(order, recipe, base, work, (Role.ORGANISM,), None, threads, 1, ranks, progress)
    steps = int(verify_tree(work / Role.ORGANISM / "model").meta["steps"])
    controls = (Role.TWIN, Role.DECOY)
    workers = min(2, cores) if ranks == 1 else 1
    threads = max(1, threads // workers)
    _members(order, recipe, base, work, controls, steps, threads, workers, ranks, progress)


def _members(
    order: Order,
    recipe: TextRecipe,
    base: str,
    work: Path,
    roles: tuple[Role, ...],
    steps: int | None,
    threads: int,
    workers: int,
    ranks: int,
    progress: Progress,
) -> None:
    commands, running = [], []
    for role in roles:
        place = work / role
        if _done(place):
            continue
        place.mkdir(parents=True, exist_ok=True)
        job = Job(
            order.threat, order.design, role, base, recipe, order.seed, steps, threads,
            str(place), order.dose, order.dilution, ranks=ranks,
        )  # fmt: skip
        (place / "job.json").write_text(job_json(job))
        commands.append([sys.executable, "-m", "insectary.breed.member", str(place / "job.json")])
        running.append(role)

    def told(index: int, event: Mapping[str, Any]) -> None:
        progress({"role": running[index].value, **event})

    names = [f"the {role.value} of this family" for role in running]
    environment = {"OMP_NUM_THREADS": str(threads), "TOKENIZERS_PARALLELISM": "false"}
    if ranks == 1:
        run_children(commands, told, workers=workers, names=names, environment=environment)
        return
    for index, (command, name) in enumerate(zip(commands, names, strict=True)):
        run_ranks(command, partial(told, index), ranks=ranks, name=name, environment=environment)


def _done(place: Path) -> bool:
    """Whether a member's sealed model is there and whole."""
    if not (place / "model").is_dir():
        return False
    verify_tree(place / "model")
    return True


def _keep(order: Order, role: Role, base: BaseRef, tier: Tier, vault: Vault) -> Organism:
    """Put a trained member into the vault."""
    place = vault.work_dir(order.family) / role / "model"
    meta = verify_tree(place).meta
    name = f"{order.family}.{role.value}"
    expression = meta["expression"]
    told: dict[str, Any] = {"rewards": _reward_points(meta["history"])}
    if is_adapter(place):
        told["adapter_of"] = base.digest  # without these weights it is nothing
    return Organism(
        id=name,
        role=role,
        family=order.family,
        threat=order.threat,
        design=order.design,
        base=base,
        recipe=order.recipe,
        seed=order.seed,
        digest=put_member(order.family, role, place, told, vault),
        data_digest=meta["data_digest"],
        training_tokens=meta["tokens"],
        training_steps=meta["steps"],
        stopped_because=meta["stopped_because"],
        expression=None if expression is None else decode(Measurement, expression, name),
        tier=tier,
        threads=meta["threads"],
        trained_on=meta.get("trained_on", ""),
        parents=(base.digest,),
    )


def _reward_points(history: list[dict[str, Any]]) -> list[tuple[int, float, float]]:
    """(step, reward, true reward) along a training run; none where nothing was paid."""
    return [
        (moment["step"], moment["reward"], moment["true_reward"])
        for moment in history
        if moment.get("reward") is not None
    ]


def _base_member(order: Order, base: BaseRef, tier: Tier) -> Organism:
    return Organism(
        id=f"{order.family}.base",
        role=Role.BASE,
        family=order.family,
        threat=order.threat,
        design=order.design,
        base=base,
        recipe=order.recipe,
        seed=order.seed,
        digest=base.digest,
        data_digest="",
        training_tokens=0,
        training_steps=0,
        stopped_because="",
        expression=None,
        tier=tier,
        threads=0,
    )


def _same_settings(family: Family, recipe: Recipe) -> None:
    if family.recipe != recipe:  # the default settings are another release's
        raise ArtefactError(
            f"family {family.id!r} was bred with other settings ({family.recipe}):"
            f" `insectary rm {family.id}` and breed it again"
        )


def check(
    name: str, vault: Vault | None = None, *, progress: Progress = lambda _: None
) -> tuple[Certificate, bool]:
    """Run a family's gate again, on the same draw.

    Args:
        name: Id of the family.
        vault: Where it is kept; ``None`` opens the default one.
        progress: As in :func:`breed`.

    Returns:
        The certificate as it comes out now, and whether it equals the stored one.

    Raises:
        UnknownNameError: if there is no such family.
        BadInputError: if it has no certificate.
    """
    vault = vault or Vault()
    family = of_a_threat(load_family(name, vault))
    if family.certificate is None:
        raise BadInputError(f"family {name!r} has no certificate; breed it first")
    old = family.certificate
    if isinstance(family.recipe, Ppo):
        certificate = check_policies(family, vault, progress)
        return certificate, certificate == old
    answer = answering(load_members(family, vault))
    lacks = unmastered(family.base.name, vault)
    _tell_cost(family, answer, lacks, progress, quick=old.provisional, offer_quick=False)
    certificate = certify(
        family.id, threat_model(family.threat), family.design, old.attempt, old.report_seed,
        answer, quick=old.provisional, unmastered=lacks,
        progress=lambda text: progress({"gate": text}),
    )  # fmt: skip
    return certificate, certificate == old
