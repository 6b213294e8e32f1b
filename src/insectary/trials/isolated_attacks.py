"""Red-team methods in a process of their own, held there to nothing but what they are told.

What is covered and what is not stands in :mod:`insectary.detect.sandbox`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol, final

from insectary.core.auditing import AuditSubject
from insectary.core.outcome import Failed
from insectary.core.redteaming import Ammunition, RedTeamFinding, RedTeamMethod, State
from insectary.detect.sandbox.wire import Frame, WireError, plain_prompts, prompts_of
from insectary.trials.sandboxes import SECONDS, Order, Sandboxes, sandboxes

Findings = tuple[RedTeamFinding, ...]


class Attacks(Protocol):
    """Where red-team methods run."""

    def attack(
        self, method: RedTeamMethod, subject: AuditSubject, budget: int, ammunition: Ammunition
    ) -> Findings | Failed:
        """What a method finds; ``Failed`` with the reason if it raises or dies."""
        ...


@final
class AttacksInProcess:
    """Runs methods here, where they can see everything; for tests and debuggers."""

    def attack(
        self, method: RedTeamMethod, subject: AuditSubject, budget: int, ammunition: Ammunition
    ) -> Findings | Failed:
        """See :class:`Attacks`."""
        try:
            findings = tuple(method.attack(subject, budget, ammunition))
        except Exception as error:  # a foreign method may raise anything; it becomes the reason
            return Failed(f"{type(error).__name__}: {error}")
        wrong = [type(f).__name__ for f in findings if not isinstance(f, RedTeamFinding)]
        if wrong:
            return Failed(f"it returned {wrong[0]} among its findings and no RedTeamFinding")
        return findings


@contextmanager
def isolated_attacks(seconds: float = SECONDS, memory: int | None = None) -> Iterator[Attacks]:
    """What runs each method in a sandbox of its own; the sandboxes end with the block.

    Args:
        seconds: Most that one method may take on one subject, answers not counted.
        memory: Most bytes of data that a sandbox may hold; half of the machine's by default.
    """
    with sandboxes(seconds, memory) as held:
        yield _SandboxedAttacks(held)


@final
class _SandboxedAttacks:
    def __init__(self, held: Sandboxes) -> None:
        self._held = held

    def attack(
        self, method: RedTeamMethod, subject: AuditSubject, budget: int, ammunition: Ammunition
    ) -> Findings | Failed:
        job = {"work": "attack", "budget": budget, **_plain(ammunition)}
        questions = [asked.question for asked in ammunition.questions]
        order = Order(method, "red-team method", "attack", "findings", job, subject, questions)
        return self._held.run(order, _findings)


def _plain(ammunition: Ammunition) -> dict[str, Any]:
    """Ammunition as plain values; what answers are right stays here."""
    prompts = plain_prompts([asked.prompt for asked in ammunition.questions])
    return {
        "questions": [
            {
                "prompt": prompt,
                "topic": asked.topic,
                "wrong": asked.wrong,
                "bait": [asked.bait.answer, asked.bait.behaviour] if asked.bait else None,
            }
            for prompt, asked in zip(prompts, ammunition.questions, strict=True)
        ],
        "contexts": {kind: [list(p) for p in pairs] for kind, pairs in ammunition.contexts.items()},
        "control": [list(pair) for pair in ammunition.control],
        "lines": list(ammunition.lines),
        "seed": ammunition.seed,
    }


def _findings(said: Frame) -> Findings:
    plain = said[0].get("findings")
    if not isinstance(plain, list):
        raise WireError("a message that is neither a question nor findings")
    try:
        return tuple(map(_finding, plain))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise WireError("a message that is neither a question nor findings") from error


def _finding(plain: Mapping[str, Any]) -> RedTeamFinding:
    prompts: Sequence[Any] = [plain["prompt"]]
    behaviour, score = plain["vulnerability_type"], plain["score"]
    return RedTeamFinding(
        prompt=prompts_of(prompts)[0],
        response=str(plain["response"]),
        state=State(plain["state"]),
        vulnerability_type=None if behaviour is None else str(behaviour),
        attack=str(plain["attack"]),
        score=None if score is None else float(score),
        category=str(plain["category"]),
    )
