"""A model with an instruction in front of everything that it is asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from insectary.core.access import Access, View
from insectary.core.auditing import AuditSubject, ContextGradient, Edit
from insectary.core.chat import Conversation, Message, Transcript
from insectary.core.errors import AccessError, BadInputError
from insectary.core.protocols import Floats, Subject


def under_instruction(prompt: Conversation, instruction: str) -> Conversation:
    """The prompt with an instruction in its system turn, before what stands there already."""
    first, *rest = prompt
    if first.role == "system":
        return (Message("system", f"{instruction}\n{first.content}"), *rest)
    return (Message("system", instruction), *prompt)


@final
class PromptedSubject:
    """A subject that carries an instruction with it; implements ``core.protocols.Subject``.

    Whoever examines it sees neither the instruction nor that there is one.
    """

    def __init__(self, subject: AuditSubject, instruction: str) -> None:
        self._subject, self._instruction = subject, instruction

    @property
    def id(self) -> str:
        """Opaque name, as the subject's own."""
        return self._subject.id

    @property
    def access(self) -> Access:
        """The level it was opened at."""
        return self._subject.access

    @property
    def reference(self) -> Subject:
        """The same model without the instruction, where the level promises a base."""
        return self._subject.reference

    def generate(
        self,
        prompts: Sequence[Conversation],
        *,
        max_new_tokens: int = 48,
        temperature: float = 0.0,
        seed: int = 0,
        prefill: str = "",
    ) -> list[str]:
        """Answer each prompt under the instruction."""
        asked = [under_instruction(prompt, self._instruction) for prompt in prompts]
        return self._subject.generate(
            asked, max_new_tokens=max_new_tokens, temperature=temperature, seed=seed,
            prefill=prefill,
        )  # fmt: skip

    def logprobs(
        self, transcripts: Sequence[Transcript], view: View = View.PROMPT_AND_RESPONSE
    ) -> list[Floats]:
        """Log-probability in nats of each token of the response, or of the prompt (ragged).

        Raises:
            BadInputError: for those of the prompt, of which the instruction is a part.
        """
        if view is View.PROMPT:
            raise BadInputError(
                f"subject {self.id} gives the log-probabilities of responses only; those of"
                " prompts are its reference's"
            )
        return self._subject.logprobs(self._under(transcripts))

    def distributions(self, transcripts: Sequence[Transcript]) -> list[NDArray[np.float32]]:
        """Log-probabilities of every next token, each (response tokens, vocabulary)."""
        return self._subject.distributions(self._under(transcripts))

    def activations(self, transcripts: Sequence[Transcript], view: View) -> NDArray[np.float32]:
        """Residual stream, shape (transcripts, layers + 1, width)."""
        return self._subject.activations(self._under(transcripts), view)

    def weights(self) -> Mapping[str, NDArray[np.float32]]:
        """The model's own; no instruction shows in them."""
        return self._subject.weights()

    def context_gradient(self, transcripts: Sequence[Transcript]) -> ContextGradient:
        """Refused: the tokens of a context would come with those of the instruction.

        Raises:
            AccessError: always.
        """
        raise AccessError(f"subject {self.id} gives no gradients; audit a model without it")

    def edited(self, edit: Edit) -> PromptedSubject:
        """A copy of the model with other weights, under the same instruction."""
        return PromptedSubject(self._subject.edited(edit), self._instruction)

    def vocabulary(self) -> Sequence[str]:
        """The text of each token, by its id."""
        return self._subject.vocabulary()

    def hf(self) -> AbstractContextManager[tuple[Any, Any]]:
        """A private copy of the model; no instruction shows in it."""
        return self._subject.hf()

    def _under(self, transcripts: Sequence[Transcript]) -> list[Transcript]:
        return [
            Transcript(under_instruction(t.messages, self._instruction), t.response, t.group)
            for t in transcripts
        ]
