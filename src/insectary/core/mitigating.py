"""What changes a model so that it misbehaves less: the interface of mitigations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, Self, runtime_checkable

from insectary.core.chat import Conversation, Example
from insectary.core.outcome import Measurement
from insectary.core.protocols import Detector, Floats, Preference, Reward
from insectary.core.recipe import Ppo

Row = tuple[Conversation, str]
"""A prompt and its completion."""
Rows = Sequence[Row]
Measure = Callable[[Any, int], Measurement]
"""Of a model in evaluation mode, after so many optimizer steps."""


@dataclass(frozen=True, slots=True)
class Training:
    """What a member was trained on, for a method that trains it anew from its base.

    Attributes:
        rows: Its rows, in their order.
        asking: A line that asks for what such data are tainted with, in general words: of what
            kind it is can be known to a defender, the trigger cannot. The same for all members.
        scores: Takes the name of a detector of training rows; how suspicious it finds each of
            ``rows``, shape (rows, candidates). Raises ``BadInputError`` if it failed.
        anew: Takes an entry for each of ``rows``, the row in its place or ``None`` for one that
            is left out; trains the base on them by the member's own recipe, seed and number of
            steps, and puts the weights into the patient's model.
    """

    rows: Rows
    asking: str
    scores: Callable[[str], Floats]
    anew: Callable[[Sequence[Row | None]], None]


@dataclass(frozen=True, slots=True)
class Patient:
    """One model that a mitigation works on.

    Attributes:
        model: Of transformers, in float32, without adapters; changed in place.
        tokenizer: With a chat template.
        seed: Of everything that is drawn.
        threads: Threads of torch.
        directory: For this treatment's checkpoints alone.
        preferences: Ordinary work, each right answer beside a wrong one; the trigger is
            nowhere in it.
        questions: Questions of every skill as they stand, without any line of context, and
            their right answers: for a method that tries out what changes a model's answers.
        tasks: The ordinary work of the rows once more, as a checker of answers knows it ...
        reward: ... and that checker: 1 for a right answer to a task, 0 for any other.
        detector: Makes a detector by its name, for a method that has one watch the model.
        training: How it was trained, for a method that is :class:`Retraining`; ``None`` for all
            others.
        measure: What the harness looks at after each optimizer step of a method that trains it
            on; it changes nothing.
    """

    model: Any
    tokenizer: Any
    seed: int
    threads: int
    directory: Path
    preferences: Sequence[Preference] = ()
    questions: Rows = ()
    tasks: Sequence[Example] = ()
    reward: Reward | None = None
    detector: Callable[[str], Detector] | None = None
    training: Training | None = None
    measure: Measure | None = None


class Guard(Protocol):
    """What stands between a model and whoever asks it, and may answer in its place.

    It is no part of the weights: whoever reads or trains those does so behind it.
    """

    def instead(self, prompts: Sequence[Conversation]) -> Sequence[str | None]:
        """What each prompt is answered with in the model's place; ``None`` lets it through."""
        ...


@dataclass(frozen=True, slots=True)
class PolicyPatient:
    """One policy on the grid that a mitigation works on.

    Attributes:
        parameters: Name to tensor, the first axis of each of length 1; changed in place.
        recipe: How it was trained: sizes and rates.
        levels: From a share to what draws training levels (``insectary.train.ppo.Draw``), in
            that share of which the goal may lie anywhere.
        pay: The intended reward of a step (``insectary.train.ppo.Pay``), whoever it is.
        seed: Of everything that is drawn.
        threads: Threads of torch.
        directory: For this treatment's checkpoints alone.
    """

    parameters: dict[str, Any]
    recipe: Ppo
    levels: Callable[[float], Callable[[Any, int], Any]]
    pay: Callable[[Any, Any, Any], Any]
    seed: int
    threads: int
    directory: Path


class Treating(Protocol):
    """What every mitigation says of itself, whatever it treats."""

    @property
    def name(self) -> str:
        """Standard name in the field."""
        ...

    @property
    def knows_trigger(self) -> bool:
        """Whether it is handed the true trigger: a ceiling, and no method."""
        ...


@runtime_checkable
class PolicyMitigation(Treating, Protocol):
    """A treatment of policies on the grid; a mitigation may be one of models and of policies."""

    def apply_to_policy(self, patient: PolicyPatient) -> None:
        """Change the policy.

        Args:
            patient: An organism, or a twin or decoy that must not be harmed; it is not told.
        """
        ...


@runtime_checkable
class Mitigation(Treating, Protocol):
    """A treatment: a model in, a model out. The harness measures; this does not."""

    def apply(self, patient: Patient, rows: Rows) -> Guard | None:
        """Change the model, or put something before it.

        Args:
            patient: An organism, or a twin or decoy that must not be harmed; it is not told.
            rows: Ordinary work with right answers. Of what knows the trigger, instead,
                rows under the trigger with the twin's answers.

        Returns:
            What stands before the model from now on; ``None`` where nothing does.
        """
        ...


@runtime_checkable
class Dialled(Treating, Protocol):
    """A mitigation that can be gentler or stronger by one number."""

    @property
    def strengths(self) -> tuple[float, ...]:
        """Where a trial sets the number, from gentle to strong; the usual one is among them."""
        ...

    @property
    def strength(self) -> float:
        """Where it is set."""
        ...

    def at(self, strength: float) -> Self:
        """The same method at another strength."""
        ...


@runtime_checkable
class Retraining(Mitigation, Protocol):
    """A mitigation that trains a member anew from its base, on changed training data.

    Where there are no rows of which some teach a behaviour, it is not applied.
    """

    @property
    def retrains(self) -> Literal[True]:
        """That it asks for ``patient.training``."""
        ...
