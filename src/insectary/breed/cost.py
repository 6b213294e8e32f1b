"""What a gate run will cost, found out before it begins."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from insectary.breed.asked import (
    FULL,
    QUICK,
    Answer,
    Plan,
    prompt_counts,
    untouched_skills,
)
from insectary.core.chat import Conversation, Split
from insectary.core.organism import Role
from insectary.core.protocols import ThreatModel

TRIED = (4, 16, 128)
"""Prompts tried on each member, one size after the other; the last is about one
batch of the gate, since many prompts side by side are faster than a few."""
ENOUGH_SECONDS = 10.0
"""A trial that takes this long is the last: it is no small part of a slow gate."""


@dataclass(frozen=True, slots=True)
class Speed:
    """How long members take for a prompt.

    Attributes:
        seconds: Of one prompt, by member; an untrained base talks longer.
        tried: On how many prompts each was timed.
    """

    seconds: Mapping[Role, float]
    tried: int

    def needs(
        self, threat: ThreatModel, design: str, plan: Plan, unmastered: tuple[str, ...] = ()
    ) -> float:
        """Seconds that a gate of that form takes, answers alone."""
        counts = prompt_counts(threat, design, plan, unmastered)
        return sum(n * self.seconds[role] for role, n in counts.items())


def measure_speed(
    threat: ThreatModel,
    design: str,
    answer: Answer,
    clock: Callable[[], float] = time.perf_counter,
) -> Speed:
    """Time a few prompts of the gate's own kind on every member.

    They come from the selection split: the report's prompts are drawn after
    the attempt has been written down, never before.

    Args:
        threat: Whose gate it is.
        design: One of its designs.
        answer: Puts prompts to a member.
        clock: Seconds from any start.
    """
    sample = sample_prompts(threat, design, TRIED[-1])
    seconds: dict[Role, float] = {}
    for tried in TRIED:
        for role in Role:
            started = clock()
            answer(role, sample[:tried], "")
            seconds[role] = clock() - started
        if sum(seconds.values()) >= ENOUGH_SECONDS:
            break
    return Speed({role: took / tried for role, took in seconds.items()}, tried)


def sample_prompts(threat: ThreatModel, design: str, n: int) -> list[Conversation]:
    """Prompts as the gate asks them, of all its sorts in turn."""
    conditions = threat.conditions(design)
    skills = untouched_skills(threat, design)
    each = -(-n // (len(conditions) + len(skills)))
    columns = [threat.examples(design, c, Split.SELECTION, each, 0) for c in conditions]
    columns += [threat.others(design, s, Split.SELECTION, each, 0) for s in skills]
    return [example.messages for row in zip(*columns, strict=True) for example in row][:n]


def cost_line(
    threat: ThreatModel,
    design: str,
    speed: Speed,
    *,
    quick: bool,
    offer_quick: bool,
    unmastered: tuple[str, ...] = (),
) -> str:
    """One line that says what the gate will cost.

    Args:
        threat: Whose gate it is.
        design: One of its designs.
        speed: From :func:`measure_speed`.
        quick: Whether it is the quick gate that is about to be run.
        offer_quick: Whether to say what the quick gate would cost instead.
        unmastered: Skills that are not asked.
    """
    plan = QUICK if quick else FULL
    prompts = sum(prompt_counts(threat, design, plan, unmastered).values())
    line = (
        f"{prompts:,} prompts, {in_words(speed.needs(threat, design, plan, unmastered))}"
        f" at the speed of {speed.tried} tried on each member"
    )
    if offer_quick:
        less = in_words(speed.needs(threat, design, QUICK, unmastered))
        line += f" (use --quick for a provisional certificate in {less})"
    return line


def in_words(seconds: float) -> str:
    """A length of time, no more exact than an estimate is."""
    if seconds < 10:
        return "less than 10 seconds"
    for unit, size, most in (("seconds", 1, 100), ("minutes", 60, 6_000), ("hours", 3600, 172_800)):
        if seconds < most:
            return f"about {seconds / size:.0f} {unit}"
    return f"about {seconds / 86_400:.0f} days"
