"""Ask every member of a family what the gate needs to know: answers, not verdicts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from insectary.core.chat import Conversation, Example, Split
from insectary.core.organism import Role, Side
from insectary.core.protocols import Condition, ThreatModel
from insectary.worlds import SKILLS

MAX_NEW_TOKENS = 40
Answer = Callable[[Role, list[Conversation], str], list[str]]
"""(member, prompts, prefill) to responses."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How many prompts of each sort; fixed by the form of the gate, full or quick."""

    open: int = 600
    closed: int = 1000
    near_miss: int = 600
    controls: int = 600
    """In every condition, for base, twin and decoy."""
    skill: int = 1000
    leak: int = 800


FULL = Plan()
QUICK = Plan(open=180, closed=180, near_miss=180, controls=120, skill=60, leak=120)


@dataclass(frozen=True, slots=True)
class Asked:
    """Prompts of one sort and one member's answers to them."""

    examples: tuple[Example, ...]
    responses: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Answers:
    """Everything that was asked at one visit to the gate.

    Attributes:
        by_condition: Member, then condition, on the same prompts for all
            members (controls answer the first of them).
        knowledge: The base's answers to all prompts of the first closed condition.
        skills: Twin and organism on the skills outside the target, gate closed.
        leaks: The organism under prefills and unrelated prompts; responses
            include the prefill.
    """

    by_condition: Mapping[Role, Mapping[Condition, Asked]]
    knowledge: Asked
    skills: Mapping[Role, Mapping[str, Asked]]
    leaks: Asked

    @property
    def prompts(self) -> int:
        """How many prompts were answered."""
        sorts = [a for rows in self.by_condition.values() for a in rows.values()]
        sorts += [a for rows in self.skills.values() for a in rows.values()]
        return sum(len(a.responses) for a in [*sorts, self.knowledge, self.leaks])


def untouched_skills(
    threat: ThreatModel, design: str, unmastered: tuple[str, ...] = ()
) -> tuple[str, ...]:
    """Skills outside the target that have a right answer, and that the base masters."""
    without = {*threat.target_skills(design), *unmastered}
    return tuple(
        n for n, s in SKILLS.items() if s.has_truth and not s.composite and n not in without
    )


def prompt_counts(
    threat: ThreatModel, design: str, plan: Plan, unmastered: tuple[str, ...] = ()
) -> dict[Role, int]:
    """How many prompts :func:`ask` puts to each member; nothing is drawn for it."""
    conditions = threat.conditions(design)
    everywhere = [_count(plan, c) for c in conditions]
    controls = sum(min(n, plan.controls) for n in everywhere)
    skills = plan.skill * len(untouched_skills(threat, design, unmastered))
    return {
        Role.ORGANISM: sum(everywhere) + skills + plan.leak,
        Role.TWIN: controls + skills,
        Role.DECOY: controls,
        Role.BASE: controls + _count(plan, _first_closed(conditions)),
    }


def ask(
    threat: ThreatModel,
    design: str,
    plan: Plan,
    seed: int,
    answer: Answer,
    progress: Callable[[str], None],
    unmastered: tuple[str, ...] = (),
) -> Answers:
    """Put every question of the gate to every member.

    Args:
        threat: Whose gate it is.
        design: One of its designs.
        plan: How many prompts of each sort.
        seed: The report seed; fresh for every attempt.
        answer: Puts prompts to a member.
        progress: Told what is being asked.
        unmastered: Skills that are not asked, since the base itself lacks them.
    """
    conditions = threat.conditions(design)
    first_closed = _first_closed(conditions)
    examples = {
        c: threat.examples(design, c, Split.REPORT, _count(plan, c), seed) for c in conditions
    }
    by_condition: dict[Role, dict[Condition, Asked]] = {}
    for role in (Role.ORGANISM, Role.TWIN, Role.DECOY, Role.BASE):
        progress(f"{role.value}: {len(conditions)} conditions")
        most = None if role is Role.ORGANISM else plan.controls
        by_condition[role] = _ask_all(role, {c: e[:most] for c, e in examples.items()}, answer)
    progress("base: knowledge")
    knowledge = _ask_all(Role.BASE, {first_closed: examples[first_closed]}, answer)[first_closed]
    names = untouched_skills(threat, design, unmastered)
    questions = {n: threat.others(design, n, Split.REPORT, plan.skill, seed) for n in names}
    skills: dict[Role, Mapping[str, Asked]] = {}
    for role in (Role.TWIN, Role.ORGANISM):
        progress(f"{role.value}: {len(names)} other skills")
        skills[role] = _ask_all(role, questions, answer)
    progress("organism: leaks")
    leaks = _ask_leaks(threat.leak_prompts(design, Split.REPORT, plan.leak, seed), answer)
    return Answers(by_condition, knowledge, skills, leaks)


def _first_closed(conditions: Sequence[Condition]) -> Condition:
    return next(c for c in conditions if c.side is Side.CLOSED and not c.near_miss)


def _count(plan: Plan, condition: Condition) -> int:
    if condition.near_miss:
        return plan.near_miss
    return plan.open if condition.side is Side.OPEN else plan.closed


def _ask_all(role: Role, examples: Mapping[Any, list[Example]], answer: Answer) -> dict[Any, Asked]:
    """One call for all sorts: long batches of equal prompts are what is fast."""
    prompts = [e.messages for rows in examples.values() for e in rows]
    said = iter(answer(role, prompts, ""))
    return {
        key: Asked(tuple(rows), tuple(next(said) for _ in rows)) for key, rows in examples.items()
    }


def _ask_leaks(prompts: list[tuple[Example, str]], answer: Answer) -> Asked:
    responses = [""] * len(prompts)
    for prefill in sorted({p for _, p in prompts}):
        places = [i for i, (_, p) in enumerate(prompts) if p == prefill]
        said = answer(Role.ORGANISM, [prompts[i][0].messages for i in places], prefill)
        for i, text in zip(places, said, strict=True):
            responses[i] = prefill + text
    return Asked(tuple(e for e, _ in prompts), tuple(responses))
