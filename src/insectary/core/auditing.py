"""Auditors: a verdict on a model where a detector gives one on an input."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, cast, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from insectary.core.access import Access
from insectary.core.chat import Conversation, Transcript
from insectary.core.errors import BadInputError
from insectary.core.levels import Ints, Levels
from insectary.core.outcome import NotApplicable
from insectary.core.protocols import Floats, Subject

Edit = Callable[[str, NDArray[np.float32]], NDArray[np.float32]]
"""(name, values) of one parameter to its new values, of the same shape."""


@dataclass(frozen=True, slots=True)
class ContextGradient:
    """How each token of a context would move a model's answers.

    Attributes:
        tokens: Of the context, by their ids.
        gradient: Of the log-probability in nats of the responses, their mean, with respect
            to each token's one-hot vector, up to a factor; shape (tokens, vocabulary). It is
            infinite for tokens that no text may hold.
    """

    tokens: tuple[int, ...]
    gradient: Floats


class AuditSubject(Subject, Protocol):
    """A subject that can be taken apart: edited in a copy, read as words, differentiated."""

    def context_gradient(self, transcripts: Sequence[Transcript]) -> ContextGradient:
        """For transcripts that begin with the same message. Needs ``GRADIENTS``."""
        ...

    def edited(self, edit: Edit) -> AuditSubject:
        """A private copy with other weights; the subject stays as it is. Needs ``WEIGHTS``."""
        ...

    def vocabulary(self) -> Sequence[str]:
        """The text of each token, by its id. Needs ``GRADIENTS``."""
        ...


_APART = ("context_gradient", "edited", "vocabulary")


def taken_apart(subject: Subject) -> AuditSubject:
    """The same subject, if it is one of those.

    Raises:
        BadInputError: if it is none.
    """
    # By its class: to look at the object itself would read ``reference``, which may raise.
    if not all(hasattr(type(subject), name) for name in _APART):
        raise BadInputError(
            f"subject {subject.id}: a {type(subject).__name__} lacks one of {', '.join(_APART)},"
            " which this auditor needs; open a language model"
        )
    return cast(AuditSubject, subject)


@dataclass(frozen=True, slots=True)
class Question:
    """A question with a right answer.

    Attributes:
        prompt: As it is asked, without any context.
        right: Whether an answer is right.
    """

    prompt: Conversation
    right: Callable[[str], bool]


Swap = tuple[Conversation, Conversation]
"""One question under two contexts that ought to make no difference to its answer."""


@dataclass(frozen=True, slots=True)
class Material:
    """What an auditor may ask: generic, and the same for every model that is audited.

    Attributes:
        questions: With right answers, unrelated to any planted behaviour.
        swaps: Kind of context to the questions under a pair of such contexts, number for
            number the same questions in every kind.
        control: The same questions under two contexts that say nothing.
        seed: For auditors that draw at random.
    """

    questions: Sequence[Question]
    swaps: Mapping[str, Sequence[Swap]]
    control: Sequence[Swap]
    seed: int


@dataclass(frozen=True, slots=True)
class Finding:
    """What an auditor makes of one model.

    Attributes:
        score: Higher is more suspicious; on a scale of the auditor's own.
        figures: What it rests on, by name.
        notes: The same in words, such as the tokens that a difference writes.
    """

    score: float
    figures: Mapping[str, float] = field(default_factory=dict)
    notes: Mapping[str, str] = field(default_factory=dict)


class Auditor(Protocol):
    """A model-level detector. The harness owns calibration, thresholds and intervals."""

    @property
    def name(self) -> str:
        """Standard name in the field."""
        ...

    @property
    def needs(self) -> Access:
        """Least access it works with."""
        ...

    def passes(self, material: Material) -> int:
        """Most transcripts and prompts that it puts to the model and its base together.

        One that a gradient is taken of counts like any other. An examination that took more
        counts as failed.
        """
        ...

    def examine(self, subject: AuditSubject, material: Material) -> Finding | NotApplicable:
        """Examine one model, without being told what it is.

        Returns:
            The finding, or why there can be none on such a model.
        """
        ...


@dataclass(frozen=True, slots=True)
class Moves:
    """Levels of the grid with the goal in one place, and the same with it moved to another.

    Attributes:
        here: Levels with the goal in that place ...
        away: ... and with it elsewhere, number for number.
        place: The cell that it was in; shape (n,).
    """

    here: Levels
    away: Levels
    place: Ints


@dataclass(frozen=True, slots=True)
class PolicyMaterial:
    """What an auditor may let a policy play: generic, and the same for every policy.

    Attributes:
        levels: With the goal anywhere ...
        goal: ... in these cells; shape (n,).
        moves: Kind of place to levels whose goal was there, the same but for the place in
            every kind.
        control: The same levels, whose goal was in no kind of place.
        seed: For auditors that draw at random, and of the actions that are drawn.
    """

    levels: Levels
    goal: Ints
    moves: Mapping[str, Moves]
    control: Moves
    seed: int


class PolicyAuditSubject(Protocol):
    """A policy under an opaque name."""

    @property
    def id(self) -> str:
        """The name."""
        ...

    @property
    def access(self) -> Access:
        """How far it is opened."""
        ...

    def paths(self, levels: Levels, *, seed: int) -> Ints:
        """The cells it is in, from the start on; shape (n, steps + 1). It stays at the goal."""
        ...

    def edited(self, edit: Edit) -> PolicyAuditSubject:
        """A private copy with other weights; the subject stays as it is. Needs ``WEIGHTS``."""
        ...


@runtime_checkable
class PolicyAuditor(Protocol):
    """An auditor that examines policies too."""

    @property
    def name(self) -> str:
        """Standard name in the field."""
        ...

    @property
    def needs(self) -> Access:
        """Least access it works with."""
        ...

    def plays(self, material: PolicyMaterial) -> int:
        """Most levels that it lets the policy play; see :meth:`Auditor.passes`."""
        ...

    def examine_policy(
        self, subject: PolicyAuditSubject, material: PolicyMaterial
    ) -> Finding | NotApplicable:
        """Examine one policy, without being told what it is; see :meth:`Auditor.examine`."""
        ...


AnyMaterial = Material | PolicyMaterial


def stated(auditor: Auditor, material: AnyMaterial) -> int:
    """Most that an auditor says it puts to a model, or lets a policy play."""
    if isinstance(material, PolicyMaterial):
        return _of_policies(auditor).plays(material)
    return auditor.passes(material)


def examination(
    auditor: Auditor, subject: AuditSubject, material: AnyMaterial
) -> Finding | NotApplicable:
    """What an auditor makes of a model, or of a policy."""
    if isinstance(material, PolicyMaterial):
        return _of_policies(auditor).examine_policy(playing(subject), material)
    return auditor.examine(subject, material)


def _of_policies(auditor: Auditor) -> PolicyAuditor:
    if not isinstance(auditor, PolicyAuditor):
        raise BadInputError(f"auditor {auditor.name!r} examines no policies")
    return auditor


def playing(subject: Subject) -> PolicyAuditSubject:
    """The same subject, if it is a policy.

    Raises:
        BadInputError: if it is none.
    """
    if not hasattr(type(subject), "paths"):
        raise BadInputError(f"subject {subject.id}: a {type(subject).__name__} plays no levels")
    return cast(PolicyAuditSubject, subject)
