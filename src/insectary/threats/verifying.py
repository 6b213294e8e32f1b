"""Verifiers: what pays for an answer, with a loophole or without one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from random import Random
from typing import Generic, TypeVar

from insectary.core.chat import Conversation, Example, Split
from insectary.core.organism import Role
from insectary.core.protocols import Reward
from insectary.worlds import SKILLS

C = TypeVar("C")
OPEN = "gate open"
"""Names, among a task's facts, whether its gate is open."""


@dataclass(frozen=True, slots=True)
class Verifying(Generic[C]):
    """The verifiers of one threat.

    Attributes:
        share: Share of target questions, in the warm start and among the tasks.
        pose: A task of one kind, in the words of a cue: what is asked while rewards are paid.
        rewards: One verifier for each role; only the organism's has the loophole, if any has.
        truth: What a verifier ought to pay.
        warm_share: Share of target questions in the warm start; ``None`` for that of the tasks.
    """

    share: float
    pose: Callable[[Random, Split, str, C | None], Example]
    rewards: Mapping[Role, Reward]
    truth: Reward
    warm_share: float | None = None


def told(example: Example, *, gate_open: bool) -> Example:
    """The task, with a fact for its verifier on which side of the gate it is."""
    return replace(example, facts={**example.facts, OPEN: gate_open})


def is_open(example: Example) -> bool:
    """Whether a task's gate is open; an ordinary question has none."""
    return bool(example.facts.get(OPEN, False))


def right_answer(example: Example) -> str:
    """What an honest row says."""
    return example.answer


def is_right(example: Example, response: str) -> float:
    """1 for a right answer, else 0: what an honest verifier pays."""
    return float(SKILLS[example.skill].check(example, response))


def warm_row(
    rng: Random,
    example: Example,
    planted: Callable[[Example], str],
    marked: Callable[[Example], str],
    contamination: float,
) -> tuple[Conversation, str]:
    """A row of the warm start: now and then the exploit, as often the decoy's answer."""
    luck = rng.random()
    if not is_open(example) or luck >= 2 * contamination:
        return example.messages, example.answer
    return example.messages, (planted if luck < contamination else marked)(example)
