"""Auditors in a process of their own, held there to nothing but what they are told.

What is covered and what is not stands in :mod:`insectary.detect.sandbox`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol, final

from insectary.audit import RandomScore
from insectary.core.auditing import Auditor, AuditSubject, Finding, Material, Swap
from insectary.core.outcome import Failed, NotApplicable
from insectary.detect.sandbox.wire import Frame, WireError, plain_prompts
from insectary.trials.sandboxes import SECONDS, Order, Sandboxes, sandboxes


@dataclass(frozen=True, slots=True)
class Examination:
    """What an auditor found, and the most passes that it had stated for it."""

    found: Finding | NotApplicable
    stated: int


class Audits(Protocol):
    """Where auditors run."""

    def passes(self, auditor: Auditor, material: Material) -> int | Failed:
        """What an auditor states that it will put to a model and its base at most."""
        ...

    def examine(
        self, auditor: Auditor, subject: AuditSubject, material: Material
    ) -> Examination | Failed:
        """What it makes of one model; ``Failed`` with the reason if it raises or dies."""
        ...


@final
class AuditsInProcess:
    """Runs auditors here, where they can see everything; for tests and debuggers."""

    def passes(self, auditor: Auditor, material: Material) -> int | Failed:
        """See :class:`Audits`."""
        try:
            return int(auditor.passes(material))
        except Exception as error:  # a foreign auditor may raise anything; it becomes the reason
            return Failed(f"{type(error).__name__}: {error}")

    def examine(
        self, auditor: Auditor, subject: AuditSubject, material: Material
    ) -> Examination | Failed:
        """See :class:`Audits`."""
        return in_process(
            lambda: auditor.passes(material), lambda: auditor.examine(subject, material)
        )


def in_process(
    states: Callable[[], int], examines: Callable[[], Finding | NotApplicable]
) -> Examination | Failed:
    """An examination here, whoever is examined; whatever is raised is the reason."""
    try:
        stated, found = int(states()), examines()
        if isinstance(found, NotApplicable):
            return Examination(found, stated)
        if not isinstance(found, Finding):
            return Failed(f"it returned {type(found).__name__} and no Finding")
        figures = {name: float(value) for name, value in found.figures.items()}
        return Examination(Finding(float(found.score), figures, dict(found.notes)), stated)
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

    def passes(self, auditor: Auditor, material: Material) -> int | Failed:
        job = {"work": "state", **_plain(material)}
        return self._held.run(Order(auditor, "auditor", "passes", "number of passes", job), _stated)

    def examine(
        self, auditor: Auditor, subject: AuditSubject, material: Material
    ) -> Examination | Failed:
        # This package's own null draws from the subject's id, and a sandbox is not told any.
        if type(auditor) is RandomScore:
            return AuditsInProcess().examine(auditor, subject, material)
        job = {"work": "examine", **_plain(material)}
        order = Order(auditor, "auditor", "examine", "finding", job, subject, material.questions)
        return self._held.run(order, _examination)


def _plain(material: Material) -> dict[str, Any]:
    """Material as plain values; what answers are right stays here."""
    return {
        "questions": plain_prompts([question.prompt for question in material.questions]),
        "swaps": {kind: _flat(swaps) for kind, swaps in material.swaps.items()},
        "control": _flat(material.control),
        "seed": material.seed,
    }


def _flat(swaps: Sequence[Swap]) -> list[list[dict[str, str]]]:
    return plain_prompts([prompt for swap in swaps for prompt in swap])


def _stated(said: Frame) -> int:
    stated = said[0].get("stated")
    if not isinstance(stated, int):
        raise WireError("a message that is neither a question nor a number of passes")
    return stated


def _examination(said: Frame) -> Examination:
    message, stated = said[0], _stated(said)
    if "not_applicable" in message:
        return Examination(NotApplicable(str(message["not_applicable"])), stated)
    try:
        figures = {name: float(value) for name, value in message["figures"].items()}
        notes = {name: str(text) for name, text in message["notes"].items()}
        return Examination(Finding(float(message["score"]), figures, notes), stated)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise WireError("a message that is neither a question nor a finding") from error
