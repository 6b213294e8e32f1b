"""Anything that can answer a prompt, as a subject."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from insectary.core.access import Access, View
from insectary.core.auditing import ContextGradient, Edit
from insectary.core.chat import Conversation, Transcript
from insectary.core.errors import AccessError, BadInputError
from insectary.core.protocols import Floats, Subject


@final
class CallableSubject:
    """Any object with ``generate(prompt) -> str`` as a black-box subject.

    A conversation of one user turn is handed over as a string, any other as a
    list of ``{"role": ..., "content": ...}``. Decoding settings reach the
    object only where its ``generate`` names them as parameters.
    """

    def __init__(self, model: Any, *, id: str = "subject") -> None:
        """Wrap an object.

        Raises:
            BadInputError: it has no ``generate`` that can be called.
        """
        if not callable(getattr(model, "generate", None)):
            raise BadInputError(
                f"a model needs a method generate(prompt) -> str; {type(model).__name__} has none"
            )
        self._model = model
        self._id = id

    def __repr__(self) -> str:
        return f"CallableSubject(id={self._id!r}, access=BLACK_BOX)"

    @property
    def id(self) -> str:
        """Opaque name."""
        return self._id

    @property
    def access(self) -> Access:
        """Always ``BLACK_BOX``."""
        return Access.BLACK_BOX

    @property
    def reference(self) -> Subject:
        """Raises ``AccessError``: an object that only generates has no base."""
        raise self._refusal("the base model", Access.WEIGHTS_AND_BASE)

    def generate(
        self,
        prompts: Sequence[Conversation],
        *,
        max_new_tokens: int = 48,
        temperature: float = 0.0,
        seed: int = 0,
        prefill: str = "",
    ) -> list[str]:
        """Answer each prompt by one call of the object.

        The limit and the seed are the object's own affair if its ``generate``
        does not name them.

        Raises:
            BadInputError: the object returns something other than text, or a
                temperature or prefill is asked for that it cannot take.
        """
        if prefill:
            raise BadInputError(f"subject {self._id} cannot be given the start of an answer")
        wanted = {"max_new_tokens": max_new_tokens, "temperature": temperature, "seed": seed}
        taken = inspect.signature(self._model.generate).parameters
        if temperature > 0 and "temperature" not in taken:
            raise BadInputError(
                f"subject {self._id} takes no temperature: its generate names no such parameter"
            )
        settings = {name: value for name, value in wanted.items() if name in taken}
        answers = []
        for i, prompt in enumerate(prompts):
            single = len(prompt) == 1 and prompt[0].role == "user"
            given = prompt[0].content if single else [m.as_dict() for m in prompt]
            answer = self._model.generate(given, **settings)
            if not isinstance(answer, str):
                kind = type(answer).__name__
                raise BadInputError(f"subject {self._id}: prompt {i} gave {kind}, not a string")
            answers.append(answer)
        return answers

    def logprobs(
        self, transcripts: Sequence[Transcript], view: View = View.PROMPT_AND_RESPONSE
    ) -> list[Floats]:
        """Raises ``AccessError``."""
        raise self._refusal("log-probabilities", Access.LOGPROBS)

    def distributions(self, transcripts: Sequence[Transcript]) -> list[NDArray[np.float32]]:
        """Raises ``AccessError``."""
        raise self._refusal("log-probabilities", Access.LOGPROBS)

    def activations(self, transcripts: Sequence[Transcript], view: View) -> NDArray[np.float32]:
        """Raises ``AccessError``."""
        raise self._refusal("activations", Access.ACTIVATIONS)

    def weights(self) -> Mapping[str, NDArray[np.float32]]:
        """Raises ``AccessError``."""
        raise self._refusal("weights", Access.WEIGHTS)

    def context_gradient(self, transcripts: Sequence[Transcript]) -> ContextGradient:
        """Raises ``AccessError``."""
        raise self._refusal("gradients", Access.GRADIENTS)

    def edited(self, edit: Edit) -> CallableSubject:
        """Raises ``AccessError``."""
        raise self._refusal("weights", Access.WEIGHTS)

    def vocabulary(self) -> Sequence[str]:
        """Raises ``AccessError``."""
        raise self._refusal("the texts of tokens", Access.GRADIENTS)

    def hf(self) -> AbstractContextManager[tuple[Any, Any]]:
        """Raises ``AccessError``."""
        raise self._refusal("a private copy", Access.WEIGHTS)

    def _refusal(self, what: str, level: Access) -> AccessError:
        return AccessError(
            f"subject {self._id} can only generate (BLACK_BOX); {what} need {level.name}"
        )
