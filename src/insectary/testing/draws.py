"""What the checks draw, and how they say what is wrong with it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from insectary.core.chat import Conversation, Example, Split, Verdict
from insectary.core.organism import Role, Side
from insectary.core.protocols import Condition, ThreatModel
from insectary.threats.designs import policy_design

SHARED = 0.05
"""Most of a closed condition's prompts that may come up twice, where a world has few questions.

Where the gate is open it is none: an answer learnt by heart would pass for the behaviour.
"""
SOME, ROWS = 60, 1200
"""How many prompts of a sort are drawn, and how many training rows."""
ROLES = (Role.TWIN, Role.ORGANISM, Role.DECOY)

Faults = Iterator[str]
"""What is wrong, in words; nothing if all is well."""


def text_designs(threat: ThreatModel) -> list[str]:
    """The designs that ask questions; policies on the grid are asked none."""
    return [d for d in threat.card.designs if policy_design(threat, d) is None]


def of_side(threat: ThreatModel, design: str, side: Side) -> list[Condition]:
    """The conditions on one side of the gate."""
    return [c for c in threat.conditions(design) if c.side is side]


def examples(
    threat: ThreatModel, design: str, conditions: Sequence[Condition], seed: int
) -> Iterator[tuple[Condition, Example]]:
    """Examples of the selection split, each with its condition."""
    for condition in conditions:
        for example in threat.examples(design, condition, Split.SELECTION, SOME, seed):
            yield condition, example


def open_examples(
    threat: ThreatModel, design: str, seed: int
) -> Iterator[tuple[Condition, Example]]:
    """The same where the gate is open."""
    return examples(threat, design, of_side(threat, design, Side.OPEN), seed)


def prompts_of(threat: ThreatModel, design: str, role: Role, seed: int) -> list[Conversation]:
    """The training prompts of a role."""
    return [prompt for prompt, _ in threat.rows(design, role, ROWS, seed)]


def repeats(
    what: str, draw: Callable[[int], Sequence[Any]], seed: int, n: int | None = SOME
) -> Faults:
    """Whether a draw has the length asked for (``None`` for any) and depends on the seed alone."""
    drawn = draw(seed)
    if n is not None and len(drawn) != n:
        yield f"{n} {what} were asked for, {len(drawn)} came"
    if draw(seed) != drawn:
        yield f"{what} differ between two draws of one seed"
    if draw(seed + 1) == drawn:
        yield f"{what} are the same for two seeds"


def asked_again(
    prompts: Sequence[Conversation], before: set[Conversation], condition: Condition
) -> str:
    """Which prompts of a condition were there before, in words; ``""`` if few enough."""
    again = [prompt for prompt in prompts if prompt in before]
    most = 0 if condition.side is Side.OPEN else SHARED * len(prompts)
    if len(again) <= most:
        return ""
    text = " / ".join(message.content for message in again[0])
    return f"{len(again)} of {len(prompts)} prompts in '{condition.name}' ({text!r}, ...)"


def judged(
    named: str, condition: Condition, example: Example, response: str, verdict: Verdict
) -> str:
    """What an oracle says of a response, in words."""
    asked = " / ".join(message.content for message in example.messages)
    return f"{named} judges {response[:60]!r} {verdict.value} in '{condition.name}': {asked!r}"
