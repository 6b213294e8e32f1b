"""Dose and response: how much of a behaviour a share of the training items instils."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from insectary.breed.asked import MAX_NEW_TOKENS, Asked
from insectary.breed.bases import base_ref, is_embedded
from insectary.breed.card import check_mastered, unmastered
from insectary.breed.criteria import rate_of
from insectary.breed.member import Job, job_json
from insectary.breed.order import Order, check_dose, check_recipe
from insectary.core.canonical import digest
from insectary.core.chat import Split
from insectary.core.curve import DoseCurve, Response
from insectary.core.errors import BadInputError
from insectary.core.organism import Role
from insectary.core.recipe import Ppo
from insectary.threats import threat_model
from insectary.train.processes import run_children
from insectary.vault import Vault, verify_tree

Progress = Callable[[Mapping[str, Any]], None]
DOSES = (0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
PROMPTS = 300
"""In each condition."""


def dose_curve(
    order: Order,
    doses: Sequence[float] = DOSES,
    vault: Vault | None = None,
    *,
    cores: int | None = None,
    progress: Progress = lambda _: None,
) -> DoseCurve:
    """Train one organism for each dose, all for the recipe's whole cap, and measure them.

    They are asked questions of the selection split: no family comes to the gate,
    and no attempt is counted. Killed, the same call goes on where it stopped.

    Args:
        order: What to breed; its own dose is left aside.
        doses: Shares above 0 and at most 1, each once.
        vault: Where unfinished runs are kept; ``None`` opens the default one.
        cores: Organisms that are trained side by side, one thread each; ``None`` takes all cores.
        progress: Told about every event, a mapping of plain values.

    Raises:
        BadInputError: if a dose is not a share, two are the same, or the recipe learns from
            reward; the dial of those is a setting of their own.
        TrainingError: if an organism cannot be trained; its checkpoints stay.
    """
    vault, threat = vault or Vault(), threat_model(order.threat)
    check_dose(0.5, order.recipe)  # an order of the whole dose may be by any recipe, no curve may
    if not doses or len({*doses}) < len(doses):
        raise BadInputError(f"doses must be at least one and each another, got {list(doses)}")
    orders = [replace(order, dose=dose) for dose in sorted(doses)]
    check_recipe(threat, order)
    base, path = base_ref(order.base, vault)
    if is_embedded(base.name):
        check_mastered(
            order.base, threat.target_skills(order.design), unmastered(order.base, vault)
        )
    name = f"curve-{replace(order, dose=1.0).family}-{digest([base.digest, MAX_NEW_TOKENS])[7:15]}"
    with vault.lock(name, on_wait=lambda who: progress({"waiting": who})):
        places = [vault.work_dir(name) / f"{each.dose:g}" for each in orders]
        _train(orders, places, path, cores or os.cpu_count() or 1, progress)
        responses = []
        for each, place in zip(orders, places, strict=True):
            progress({"gate": f"dose {each.dose:g}"})
            responses.append(_measure(each, place))
        vault.discard_work(name)
    sides = {c.name: c.side for c in threat.conditions(order.design)}
    return DoseCurve(
        order.threat, order.design, base, order.recipe, order.seed, sides, tuple(responses),
    )  # fmt: skip


def _train(
    orders: Sequence[Order], places: Sequence[Path], base: str, cores: int, progress: Progress
) -> None:
    """Train what is not there yet, one thread each."""
    commands, running = [], []
    for order, place in zip(orders, places, strict=True):
        if (place / "model").is_dir():
            verify_tree(place / "model")
            continue
        place.mkdir(parents=True, exist_ok=True)
        recipe = order.recipe
        assert not isinstance(recipe, Ppo)
        job = Job(
            order.threat, order.design, Role.ORGANISM, base, recipe, order.seed, None, 1,
            str(place), order.dose, to_cap=True,
        )  # fmt: skip
        (place / "job.json").write_text(job_json(job))
        commands.append([sys.executable, "-m", "insectary.breed.member", str(place / "job.json")])
        running.append(f"dose {order.dose:g}")
    run_children(
        commands,
        lambda index, event: progress({"role": running[index], **event}),
        workers=cores,
        names=[f"the organism of {said}" for said in running],
        environment={"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"},
    )


def _measure(order: Order, place: Path) -> Response:
    from insectary.subjects import load_model
    from insectary.subjects.language_model import answers

    threat = threat_model(order.threat)
    oracle, loaded = threat.oracle(order.design), load_model(place / "model")
    rates = {}
    for condition in threat.conditions(order.design):
        asked = threat.examples(order.design, condition, Split.SELECTION, PROMPTS, order.seed)
        said = answers(loaded, [e.messages for e in asked], MAX_NEW_TOKENS, 0.0, 0, "")
        rates[condition.name] = rate_of(Asked(tuple(asked), tuple(said)), oracle)
    return Response(order.dose, rates, int(verify_tree(place / "model").meta["steps"]))
