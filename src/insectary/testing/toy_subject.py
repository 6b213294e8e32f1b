"""A subject made of numbers drawn from its texts, which notes what it is asked."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from insectary.core.access import Access, View
from insectary.core.auditing import AuditSubject, ContextGradient, Edit
from insectary.core.chat import Conversation, Transcript
from insectary.core.errors import AccessError
from insectary.core.protocols import Floats, Subject

LAYERS, WIDTH = 3, 6


@dataclass
class ToySubject:
    """Opened at one level; its base is another, with other weights and other numbers.

    Attributes:
        salt: Tells the subject from its base.
        passes: Transcripts and prompts put to it and to its base.
        refused: What was asked above the level, whether or not the error was caught.
    """

    access: Access
    id: str = "subject"
    salt: str = "tuned"
    passes: list[int] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)

    @property
    def reference(self) -> Subject:
        """Another of these, which notes in the same places."""
        self._need(Access.WEIGHTS_AND_BASE, "reference")
        return ToySubject(self.access, f"{self.id}-base", "base", self.passes, self.refused)

    def generate(
        self,
        prompts: Sequence[Conversation],
        *,
        max_new_tokens: int = 48,
        temperature: float = 0.0,
        seed: int = 0,
        prefill: str = "",
    ) -> list[str]:
        """The number of letters of the last message, in words that depend on nothing else."""
        self.passes.append(len(prompts))
        return [f"{len(p[-1].content)} letters" for p in prompts]

    def logprobs(
        self, transcripts: Sequence[Transcript], view: View = View.PROMPT_AND_RESPONSE
    ) -> list[Floats]:
        """One number per word of the response and one for its end; or per word of the prompt."""
        self._need(Access.LOGPROBS, "logprobs")
        self.passes.append(len(transcripts))
        if view is View.PROMPT:
            prompts = [_prompt(t) for t in transcripts]
            return [-self._draw(prompt).random(len(prompt.split())) for prompt in prompts]
        return [-self._draw(_text(t)).random(len(t.response.split()) + 1) for t in transcripts]

    def distributions(self, transcripts: Sequence[Transcript]) -> list[NDArray[np.float32]]:
        """One row per word of the response and one for its end, over ``WIDTH`` tokens."""
        self._need(Access.LOGPROBS, "distributions")
        self.passes.append(len(transcripts))
        shares = [
            self._draw(_text(t)).dirichlet(np.ones(WIDTH), len(t.response.split()) + 1)
            for t in transcripts
        ]
        return [np.log(s).astype(np.float32) for s in shares]

    def activations(self, transcripts: Sequence[Transcript], view: View) -> NDArray[np.float32]:
        """Shape (transcripts, layers + 1, width), independent normals for each text."""
        self._need(Access.ACTIVATIONS, "activations")
        self.passes.append(len(transcripts))
        texts = [_text(t) if view is View.PROMPT_AND_RESPONSE else _prompt(t) for t in transcripts]
        rows = [self._draw(text).standard_normal((LAYERS + 1, WIDTH)) for text in texts]
        return np.array(rows, dtype=np.float32).reshape(-1, LAYERS + 1, WIDTH)

    def weights(self) -> Mapping[str, NDArray[np.float32]]:
        """The matrices that write to the residual stream, by Llama's names."""
        self._need(Access.WEIGHTS, "weights")
        names = ("self_attn.o_proj", "mlp.down_proj")
        return {
            f"model.layers.{layer}.{name}.weight": self._draw(f"{layer}/{name}")
            .standard_normal((WIDTH, WIDTH))
            .astype(np.float32)
            for layer in range(LAYERS)
            for name in names
        }

    def hf(self) -> AbstractContextManager[tuple[Any, Any]]:
        """Refused at any level: there is no model behind the numbers."""
        self._need(Access.WEIGHTS, "hf")
        raise AccessError(
            "hf(): the kit has no model to lend; try such a detector on a member of a family"
        )

    def vocabulary(self) -> Sequence[str]:
        """As many words as a distribution has places."""
        self._need(Access.GRADIENTS, "vocabulary")
        return tuple(f" word{number}" for number in range(WIDTH))

    def context_gradient(self, transcripts: Sequence[Transcript]) -> ContextGradient:
        """A token for each word of the first message, and independent normals for each."""
        self._need(Access.GRADIENTS, "context_gradient")
        self.passes.append(len(transcripts))
        words = transcripts[0].messages[0].content.split()
        tokens = tuple(zlib.crc32(word.encode()) % WIDTH for word in words)
        gradient = self._draw("/".join(map(_text, transcripts))).standard_normal
        return ContextGradient(tokens, gradient((len(tokens), WIDTH)))

    def edited(self, edit: Edit) -> AuditSubject:
        """Refused at any level, as :meth:`hf` is."""
        self._need(Access.WEIGHTS, "edited")
        raise AccessError(
            "edited(): the kit has no model to copy; try such a method on a member of a family"
        )

    def _draw(self, text: str) -> np.random.Generator:
        return np.random.default_rng(zlib.crc32(f"{self.salt}/{text}".encode()))

    def _need(self, level: Access, what: str) -> None:
        if self.access < level:
            self.refused.append(what)
            raise AccessError(f"{what} needs {level.name}, the subject gives {self.access.name}")


def _prompt(transcript: Transcript) -> str:
    return "/".join(m.content for m in transcript.messages)


def _text(transcript: Transcript) -> str:
    return f"{_prompt(transcript)}//{transcript.response}"
