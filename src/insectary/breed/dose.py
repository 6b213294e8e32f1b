"""Dose and response: how much of a behaviour what strength of its training instils."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from insectary.breed.asked import MAX_NEW_TOKENS, Asked
from insectary.breed.bases import base_ref, is_embedded
from insectary.breed.card import check_mastered, unmastered
from insectary.breed.criteria import rate_of
from insectary.breed.member import Job, job_json
from insectary.breed.order import Order, check_curve, set_to
from insectary.core.canonical import digest
from insectary.core.chat import Split
from insectary.core.curve import DOSES, Dial, DoseCurve, Response
from insectary.core.organism import Role
from insectary.core.recipe import Ppo
from insectary.threats import threat_model
from insectary.train.processes import run_children
from insectary.vault import Vault, verify_tree

Progress = Callable[[Mapping[str, Any]], None]
PROMPTS = 300
"""In each condition."""


def dose_curve(
    order: Order,
    settings: Sequence[float] = DOSES,
    vault: Vault | None = None,
    *,
    dial: Dial = Dial.DOSE,
    cores: int | None = None,
    progress: Progress = lambda _: None,
) -> DoseCurve:
    """Train one organism for each setting of a dial, for the recipe's whole cap, and measure it.

    They are asked questions of the selection split: no family comes to the gate,
    and no attempt is counted. Killed, the same call goes on where it stopped.

    Args:
        order: What to breed; where it sets the dial itself is left aside.
        settings: Where the dial stands, each once: doses above 0 and at most 1, or dilutions
            from 0 to below 1.
        vault: Where unfinished runs are kept; ``None`` opens the default one.
        dial: What is varied.
        cores: Organisms that are trained side by side, one thread each; ``None`` takes all cores.
        progress: Told about every event, a mapping of plain values.

    Raises:
        BadInputError: if a setting is out of range, two are the same, or the recipe learns
            from reward; the dial of those is a setting of their own.
        TrainingError: if an organism cannot be trained; its checkpoints stay.
    """
    vault, threat = vault or Vault(), threat_model(order.threat)
    check_curve(order, dial, settings)
    orders = [set_to(order, dial, setting) for setting in sorted(settings)]
    base, path = base_ref(order.base, vault)
    if is_embedded(base.name):
        check_mastered(
            order.base, threat.target_skills(order.design), unmastered(order.base, vault)
        )
    full = set_to(order, dial, 1.0 if dial is Dial.DOSE else 0.0)
    name = f"{dial}s-{full.family}-{digest([base.digest, MAX_NEW_TOKENS])[7:15]}"
    with vault.lock(name, on_wait=lambda who: progress({"waiting": who})):
        named = {f"{dial} {_setting(each, dial):g}": each for each in orders}
        places = {said: vault.work_dir(name) / said.replace(" ", "-") for said in named}
        _train(named, places, path, cores or os.cpu_count() or 1, progress)
        responses = []
        for said, each in named.items():
            progress({"role": said, "text": f"answers {PROMPTS} prompts in each condition"})
            responses.append(_measure(each, _setting(each, dial), places[said], path))
        vault.discard_work(name)
    sides = {c.name: c.side for c in threat.conditions(order.design)}
    return DoseCurve(
        order.threat, order.design, base, order.recipe, order.seed, dial, sides, tuple(responses),
    )  # fmt: skip


def _setting(order: Order, dial: Dial) -> float:
    return order.dose if dial is Dial.DOSE else order.dilution


def _train(
    orders: Mapping[str, Order],
    places: Mapping[str, Path],
    base: str,
    cores: int,
    progress: Progress,
) -> None:
    """Train what is not there yet, one thread each."""
    commands, running = [], []
    for said, order in orders.items():
        place = places[said]
        if (place / "model").is_dir():
            verify_tree(place / "model")
            continue
        place.mkdir(parents=True, exist_ok=True)
        recipe = order.recipe
        assert not isinstance(recipe, Ppo)
        job = Job(
            order.threat, order.design, Role.ORGANISM, base, recipe, order.seed, None, 1,
            str(place), order.dose, order.dilution, to_cap=True,
        )  # fmt: skip
        (place / "job.json").write_text(job_json(job))
        commands.append([sys.executable, "-m", "insectary.breed.member", str(place / "job.json")])
        running.append(said)
    run_children(
        commands,
        lambda index, event: progress({"role": running[index], **event}),
        workers=cores,
        names=[f"the organism of {said}" for said in running],
        environment={"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"},
    )


def _measure(order: Order, setting: float, place: Path, base: str) -> Response:
    from insectary.subjects import load_model
    from insectary.subjects.adapters import is_adapter
    from insectary.subjects.language_model import answers

    threat, model = threat_model(order.threat), place / "model"
    oracle = threat.oracle(order.design)
    loaded = load_model(base, adapter=model) if is_adapter(model) else load_model(model)
    rates = {}
    for condition in threat.conditions(order.design):
        asked = threat.examples(order.design, condition, Split.SELECTION, PROMPTS, order.seed)
        said = answers(loaded, [e.messages for e in asked], MAX_NEW_TOKENS, 0.0, 0, "")
        rates[condition.name] = rate_of(Asked(tuple(asked), tuple(said)), oracle)
    return Response(setting, rates, int(verify_tree(place / "model").meta["steps"]))
