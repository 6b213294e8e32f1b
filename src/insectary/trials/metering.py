"""A subject opened no further than a detector declares, with a count of its use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from insectary.core.access import Access, View
from insectary.core.auditing import ContextGradient, Edit, playing, taken_apart
from insectary.core.chat import Conversation, Transcript
from insectary.core.errors import AccessError, BadInputError
from insectary.core.levels import Ints, Levels
from insectary.core.outcome import NotApplicable
from insectary.core.protocols import Floats, Subject
from insectary.subjects.policy_subject import PolicySubject


@dataclass(frozen=True, slots=True)
class Request:
    """A prompt that was answered.

    Attributes:
        response: The answer, without what it was made to begin with ...
        prefill: ... which is this.
        number: Which of all passes it was, counted from 1.
    """

    prompt: Conversation
    response: str
    prefill: str = ""
    number: int = 0


def closed(subject: Subject, needs: Access) -> NotApplicable | None:
    """Why a subject is not opened as far as something needs it; ``None`` if it is."""
    if subject.access >= needs:
        return None
    why = f"needs {needs.name}, the subject gives {subject.access.name}"
    if isinstance(subject, PolicySubject):
        why += ": a policy is trained from scratch, so that its base says nothing of it"
    return NotApplicable(why)


class MeteredSubject:
    """Wraps a subject: holds a detector to its declared access, counts what it asks.

    ``passes`` counts transcripts and prompts put to the model or to its base,
    before any sharing between detectors; it is the price of the detector alone.
    ``backward`` counts those that a gradient was taken of. ``log`` holds what the model itself
    answered, in order.
    """

    __slots__ = (
        "_allowed", "_most", "_original", "_reference", "_subject", "backward", "log", "passes",
    )  # fmt: skip

    def __init__(
        self,
        subject: Subject,
        allowed: Access,
        original: MeteredSubject | None = None,
        *,
        most: int | None = None,
    ) -> None:
        """Wrap a subject; what an edited copy is asked counts for its original too.

        Args:
            subject: The subject.
            allowed: What was declared.
            original: What it is an edited copy of.
            most: Passes after which it answers no more; ``None`` for no limit.
        """
        self._subject = subject
        self._allowed = min(subject.access, allowed)
        self._original = original
        self._most = most
        self._reference: MeteredSubject | None = None
        self.passes = self.backward = 0
        self.log: list[Request] = []

    @property
    def id(self) -> str:
        """Opaque name of the wrapped subject."""
        return self._subject.id

    @property
    def access(self) -> Access:
        """The lower of what the subject gives and what the detector declared."""
        return self._allowed

    @property
    def total_passes(self) -> int:
        """Passes of this model and of its base together."""
        return self.passes + (self._reference.total_passes if self._reference else 0)

    @property
    def reference(self) -> Subject:
        """The base, metered too. Needs ``WEIGHTS_AND_BASE``."""
        self._require(Access.WEIGHTS_AND_BASE, "reference")
        if self._original is not None:
            return self._original.reference
        if self._reference is None:
            self._reference = MeteredSubject(self._subject.reference, self._allowed)
        return self._reference

    def _afford(self, passes: int) -> None:
        if self._most is not None and self.total_passes + passes > self._most:
            raise BadInputError(
                f"the budget of {self._most} prompts and transcripts is spent: {self.total_passes}"
                f" were put, and {passes} more are asked for"
            )

    def _count(self, passes: int) -> None:
        self._afford(passes)
        self.passes += passes
        if self._original is not None:
            self._original._count(passes)

    def _require(self, level: Access, what: str) -> None:
        if self._allowed < level:
            raise AccessError(
                f"{what} needs {level.name}, but the method declared {self._allowed.name};"
                " raise its `needs`"
            )

    def generate(
        self,
        prompts: Sequence[Conversation],
        *,
        max_new_tokens: int = 48,
        temperature: float = 0.0,
        seed: int = 0,
        prefill: str = "",
    ) -> list[str]:
        """Answer each prompt; what is refused, as for its length, is no pass."""
        self._afford(len(prompts))
        said = self._subject.generate(
            prompts,
            max_new_tokens=max_new_tokens,
            temperature=temperature,
            seed=seed,
            prefill=prefill,
        )
        before = self.total_passes
        self._count(len(prompts))
        self.log += [
            Request(prompt, text, prefill, before + place)
            for place, (prompt, text) in enumerate(zip(prompts, said, strict=True), start=1)
        ]
        return said

    def logprobs(
        self, transcripts: Sequence[Transcript], view: View = View.PROMPT_AND_RESPONSE
    ) -> list[Floats]:
        """Log-probability in nats of each token of the response, or of the prompt (ragged)."""
        self._require(Access.LOGPROBS, "logprobs")
        self._count(len(transcripts))
        return self._subject.logprobs(transcripts, view)

    def distributions(self, transcripts: Sequence[Transcript]) -> list[NDArray[np.float32]]:
        """Log-probabilities of every next token, each (response tokens, vocabulary)."""
        self._require(Access.LOGPROBS, "distributions")
        self._count(len(transcripts))
        return self._subject.distributions(transcripts)

    def activations(self, transcripts: Sequence[Transcript], view: View) -> NDArray[np.float32]:
        """Residual stream, shape (transcripts, layers + 1, width)."""
        self._require(Access.ACTIVATIONS, "activations")
        self._count(len(transcripts))
        return self._subject.activations(transcripts, view)

    def weights(self) -> Mapping[str, NDArray[np.float32]]:
        """Parameters by name; reading them is no pass."""
        self._require(Access.WEIGHTS, "weights")
        return self._subject.weights()

    def context_gradient(self, transcripts: Sequence[Transcript]) -> ContextGradient:
        """How each token of a context moves the responses; a pass there and one back."""
        self._require(Access.GRADIENTS, "context_gradient")
        self._count(len(transcripts))
        self.backward += len(transcripts)
        return taken_apart(self._subject).context_gradient(transcripts)

    def edited(self, edit: Edit) -> MeteredSubject:
        """A private copy with other weights; what it is asked is counted here too."""
        self._require(Access.WEIGHTS, "edited")
        return MeteredSubject(taken_apart(self._subject).edited(edit), self._allowed, self)

    def vocabulary(self) -> Sequence[str]:
        """The text of each token, by its id; reading it is no pass."""
        self._require(Access.GRADIENTS, "vocabulary")
        return taken_apart(self._subject).vocabulary()

    def paths(self, levels: Levels, *, seed: int) -> Ints:
        """The cells that a policy is in; a level that it plays is a pass."""
        self._count(len(levels))
        return playing(self._subject).paths(levels, seed=seed)

    def hf(self) -> AbstractContextManager[tuple[Any, Any]]:
        """A private (model, tokenizer); what it computes is its own and no pass."""
        self._require(Access.WEIGHTS, "hf")
        return self._subject.hf()
