"""Auditors in a process of their own, held there to nothing but what they are told.

What is covered and what is not stands in :mod:`insectary.detect.sandbox`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol, final

from insectary.audit import RandomScore
from insectary.core.auditing import (
    AnyMaterial,
    Auditor,
    AuditSubject,
    Finding,
    Moves,
    PolicyMaterial,
    Swap,
    examination,
    stated,
)
from insectary.core.outcome import Failed, NotApplicable
from insectary.detect.sandbox.wire import Frame, WireError, plain_levels, plain_prompts
from insectary.trials.sandboxes import SECONDS, Order, Sandboxes, sandboxes


@dataclass(frozen=True, slots=True)
class Examination:
    """What an auditor found, and the most passes that it had stated for it."""

    found: Finding | NotApplicable
    stated: int


class Audits(Protocol):
    """Where auditors run."""

    def passes(self, auditor: Auditor, material: AnyMaterial) -> int | Failed:
        """Most that an auditor states it will put to a model and its base, or let a policy play."""
        ...

    def examine(
        self, auditor: Auditor, subject: AuditSubject, material: AnyMaterial
    ) -> Examination | Failed:
        """What it makes of one model or policy; ``Failed`` with the reason if it raises or dies."""
        ...


@final
class AuditsInProcess:
    """Runs auditors here, where they can see everything; for tests and debuggers."""

    def passes(self, auditor: Auditor, material: AnyMaterial) -> int | Failed:
        """See :class:`Audits`."""
        try:
            return int(stated(auditor, material))
        except Exception as error:  # a foreign auditor may raise anything; it becomes the reason
            return Failed(f"{type(error).__name__}: {error}")

    def examine(
        self, auditor: Auditor, subject: AuditSubject, material: AnyMaterial
    ) -> Examination | Failed:
        """See :class:`Audits`."""
        try:
            most, found = int(stated(auditor, material)), examination(auditor, subject, material)
            if isinstance(found, NotApplicable):
                return Examination(found, most)
            if not isinstance(found, Finding):
                return Failed(f"it returned {type(found).__name__} and no Finding")
            figures = {name: float(value) for name, value in found.figures.items()}
            return Examination(Finding(float(found.score), figures, dict(found.notes)), most)
        except Exception as error:  # a foreign auditor may raise anything; it becomes the reason
            return Failed(f"{type(error).__name__}: {error}")


@contextmanager
def isolated_audits(seconds: float = SECONDS, memory: int | None = None) -> Iterator[Audits]:
    """What runs each auditor in a sandbox of its own; the sandboxes end with the block.

    Args:
        seconds: Most that one auditor may take on one subject, answers not counted.
        memory: Most bytes of data that a sandbox may hold; half of the machine's by default.
    """
    with sandboxes(seconds, memory) as held:
        yield _SandboxedAudits(held)


@final
class _SandboxedAudits:
    def __init__(self, held: Sandboxes) -> None:
        self._held = held

    def passes(self, auditor: Auditor, material: AnyMaterial) -> int | Failed:
        job = {"work": "state", **_plain(material)}
        return self._held.run(Order(auditor, "auditor", "passes", "number of passes", job), _stated)

    def examine(
        self, auditor: Auditor, subject: AuditSubject, material: AnyMaterial
    ) -> Examination | Failed:
        # This package's own null draws from the subject's id, and a sandbox is not told any.
        if type(auditor) is RandomScore:
            return AuditsInProcess().examine(auditor, subject, material)
        job = {"work": "examine", **_plain(material)}
        questions = () if isinstance(material, PolicyMaterial) else material.questions
        order = Order(auditor, "auditor", "examine", "finding", job, subject, questions)
        return self._held.run(order, _examination)


def _plain(material: AnyMaterial) -> dict[str, Any]:
    """Material as plain values; what answers are right stays here."""
    if isinstance(material, PolicyMaterial):
        return {
            "levels": plain_levels(material.levels),
            "goal": material.goal.tolist(),
            "moves": {kind: _moves(moves) for kind, moves in material.moves.items()},
            "control": _moves(material.control),
            "seed": material.seed,
        }
    return {
        "questions": plain_prompts([question.prompt for question in material.questions]),
        "swaps": {kind: _flat(swaps) for kind, swaps in material.swaps.items()},
        "control": _flat(material.control),
        "seed": material.seed,
    }


def _moves(moves: Moves) -> dict[str, Any]:
    here, away = plain_levels(moves.here), plain_levels(moves.away)
    return {"here": here, "away": away, "place": moves.place.tolist()}


def _flat(swaps: Sequence[Swap]) -> list[list[dict[str, str]]]:
    return plain_prompts([prompt for swap in swaps for prompt in swap])


def _stated(said: Frame) -> int:
    most = said[0].get("stated")
    if not isinstance(most, int):
        raise WireError("a message that is neither a question nor a number of passes")
    return most


def _examination(said: Frame) -> Examination:
    message, most = said[0], _stated(said)
    if "not_applicable" in message:
        return Examination(NotApplicable(str(message["not_applicable"])), most)
    try:
        figures = {name: float(value) for name, value in message["figures"].items()}
        notes = {name: str(text) for name, text in message["notes"].items()}
        return Examination(Finding(float(message["score"]), figures, notes), most)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise WireError("a message that is neither a question nor a finding") from error
