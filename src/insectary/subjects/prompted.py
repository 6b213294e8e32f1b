"""A model with an instruction in front of everything that it is asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from insectary.core.access import Access, View
from insectary.core.chat import Conversation, Message, Transcript
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

    def __init__(self, subject: Subject, instruction: str) -> None:
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

    def logprobs(self, transcripts: Sequence[Transcript]) -> list[Floats]:
        """Log-probability in nats of each response token (ragged)."""
        return self._subject.logprobs(self._under(transcripts))

    def activations(self, transcripts: Sequence[Transcript], view: View) -> NDArray[np.float32]:
        """Residual stream, shape (transcripts, layers + 1, width)."""
        return self._subject.activations(self._under(transcripts), view)

    def weights(self) -> Mapping[str, NDArray[np.float32]]:
        """The model's own; no instruction shows in them."""
        return self._subject.weights()

    def hf(self) -> AbstractContextManager[tuple[Any, Any]]:
        """A private copy of the model; no instruction shows in it."""
        return self._subject.hf()

    def _under(self, transcripts: Sequence[Transcript]) -> list[Transcript]:
        return [
            Transcript(under_instruction(t.messages, self._instruction), t.response, t.group)
            for t in transcripts
        ]
