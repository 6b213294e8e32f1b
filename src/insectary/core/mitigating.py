"""What changes a model so that it misbehaves less: the interface of mitigations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, Self, runtime_checkable

from insectary.core.chat import Conversation
from insectary.core.protocols import Preference
from insectary.core.recipe import Ppo

Rows = Sequence[tuple[Conversation, str]]
"""(prompt, completion) pairs."""


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
    """

    model: Any
    tokenizer: Any
    seed: int
    threads: int
    directory: Path
    preferences: Sequence[Preference] = ()
    questions: Rows = ()


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

    def apply(self, patient: Patient, rows: Rows) -> None:
        """Change the model.

        Args:
            patient: An organism, or a twin or decoy that must not be harmed; it is not told.
            rows: Ordinary work with right answers. Of what knows the trigger, instead,
                rows under the trigger with the twin's answers.
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
