"""The admission gate: a family in, a certificate out."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace

from insectary.breed import agreeing, criteria
from insectary.breed.asked import FULL, MAX_NEW_TOKENS, QUICK, Answer, Plan, ask, untouched_skills
from insectary.core.canonical import digest
from insectary.core.chat import Conversation
from insectary.core.gate import AgreeingBounds, GateBounds
from insectary.core.organism import BaseRef, Certificate, Role
from insectary.core.protocols import ThreatModel
from insectary.core.recipe import Recipe
from insectary.measure import exact_interval
from insectary.subjects import LoadedModel
from insectary.subjects.language_model import answers as answer_prompts
from insectary.threats.designs import card_of
from insectary.vault import AttemptKey, Vault

Progress = Callable[[str], None]


def card_digest(threat: ThreatModel, design: str) -> str:
    """Digest of everything that is fixed before the first draw."""
    return digest(
        {
            "card": card_of(threat, design),
            "bounds": threat.bounds(design),
            "conditions": threat.conditions(design),
            "target": threat.target_skills(design),
        }
    )


def attempt_key(
    base: BaseRef,
    threat: str,
    design: str,
    recipe: Recipe,
    dose: float = 1.0,
    dilution: float = 0.0,
) -> AttemptKey:
    """What counts as the same family at the gate; seeds are left out on purpose."""
    dials = {} if dose == 1 else {"dose": dose}
    dials |= {} if dilution == 0 else {"dilution": dilution}
    how = digest({"recipe": recipe, **dials}) if dials else digest(recipe)
    return AttemptKey(base.digest, threat, design, how)


def report_seed(key: AttemptKey, attempt: int) -> int:
    """Seed of the report prompts: fresh for every attempt, the same in a re-run."""
    return int(digest({"key": key, "attempt": attempt})[7:15], 16)


def admit(
    family: str,
    threat: ThreatModel,
    design: str,
    key: AttemptKey,
    answer: Answer,
    vault: Vault,
    *,
    quick: bool = False,
    unmastered: tuple[str, ...] = (),
    progress: Progress = lambda _: None,
) -> Certificate:
    """Bring a family to the gate.

    The attempt is written into the ledger before anything is drawn, so that a
    visit that is broken off counts too.

    Args:
        family: Its id.
        threat: Whose gate.
        design: One of the threat's designs.
        key: From :func:`attempt_key`.
        answer: Puts prompts to a member; see :func:`answering`.
        vault: Keeps the ledger.
        quick: A tenth of the prompts, and a certificate that benchmarks refuse.
        unmastered: Skills that the base itself lacks; nothing rests on them.
        progress: Told what is being asked.
    """
    card = card_digest(threat, design)
    detail = {"family": family, "quick": quick, "unmastered": list(unmastered)}
    attempt = vault.ledger.record_attempt(key, card, detail)
    return certify(
        family, threat, design, attempt, report_seed(key, attempt), answer,
        quick=quick, unmastered=unmastered, progress=progress,
    )  # fmt: skip


def certify(
    family: str,
    threat: ThreatModel,
    design: str,
    attempt: int,
    seed: int,
    answer: Answer,
    *,
    quick: bool = False,
    unmastered: tuple[str, ...] = (),
    progress: Progress = lambda _: None,
) -> Certificate:
    """Measure every criterion; a pure function of its arguments but for the time it took."""
    started = time.perf_counter()
    plan = QUICK if quick else FULL
    unmastered = tuple(n for n in untouched_skills(threat, design) if n in unmastered)
    answers = ask(threat, design, plan, seed, answer, progress, unmastered)
    oracle, bounds = threat.oracle(design), reachable(threat.bounds(design), plan)
    expression_rows, tag = criteria.expression(answers, oracle, bounds)
    if isinstance(bounds, AgreeingBounds):
        closed_rows = agreeing.competence(answers, oracle, bounds)
        contrast_rows, amplified = agreeing.contrast(answers, oracle, bounds)
    else:
        closed_rows = criteria.specificity(answers, oracle, bounds)
        contrast_rows, amplified = criteria.contrast(answers, oracle, bounds)
    leak_rows, leaky = criteria.leak(answers, threat, design, bounds)
    rows = [
        *expression_rows,
        *closed_rows,
        *contrast_rows,
        *criteria.capability(answers, bounds, unmastered),
        *criteria.knowledge(answers, bounds),
        *leak_rows,
        *criteria.decoy(answers, oracle, threat.quirk(design), bounds),
    ]
    tags = [tag, *(["amplified"] if amplified else []), *(["leaky"] if leaky else [])]
    return Certificate(
        family=family,
        card_digest=card_digest(threat, design),
        attempt=attempt,
        report_seed=seed,
        criteria=tuple(rows),
        rates=criteria.rates(answers, oracle),
        tags=tuple(tags),
        provisional=quick,
        seconds=time.perf_counter() - started,
        prompts=answers.prompts,
    )


def reachable(bounds: GateBounds, plan: Plan) -> GateBounds:
    """Bounds that so many prompts can show at all.

    Not one misaligned answer to 120 prompts still leaves an upper bound of
    0.03: a quick gate would fail every family at 0.01. It asks for no such
    answer instead, and the certificate's rows give the bound that it used. On
    the full gate nothing changes.
    """
    conduct = exact_interval(0, min(plan.closed, plan.controls))[1]
    return replace(
        bounds,
        closed=max(bounds.closed, conduct),
        leak=max(bounds.leak, exact_interval(0, plan.leak)[1]),
    )


def answering(members: Mapping[Role, LoadedModel]) -> Answer:
    """Put prompts to a loaded member, greedily."""

    def answer(role: Role, prompts: list[Conversation], prefill: str) -> list[str]:
        return answer_prompts(members[role], prompts, MAX_NEW_TOKENS, 0.0, 0, prefill)

    return answer
