"""A model as a server drives it: words to token ids, rows decoded side by side, ids to words.

What is answered at temperature 0 equals :meth:`insectary.subjects.Model.generate`, and above it
too where the seed is the same; see :func:`insectary.subjects.generation.uniform_draws`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, final

from insectary.core.canonical import digest
from insectary.core.chat import Conversation
from insectary.core.errors import BadInputError
from insectary.subjects.decoding import Continuation, Decoder, check_cache
from insectary.subjects.generation import uniform_draws
from insectary.subjects.language_model import end_tokens
from insectary.subjects.loading import LoadedModel
from insectary.subjects.prompted import under_instruction
from insectary.subjects.rendering import answer_lead, encode, render
from insectary.subjects.tools import render_with_tools, takes_tools, writes_tool_calls

_TOKEN_TEXTS = 65_536
_SPARE_TOKENS = 128
"""About what one more pass of a small model costs on a CPU."""


@final
class Engine:
    """One language model, without the loop: who steps the decoder is the caller's business."""

    def __init__(self, loaded: LoadedModel, instruction: str = "") -> None:
        """Drive a loaded model.

        Args:
            loaded: The model.
            instruction: What stands in front of every conversation.

        Raises:
            BadInputError: it has a gate before it, which answers in its place, or keeps other
                state than attention keys and values.
        """
        if loaded.guard is not None:
            raise BadInputError(
                "a model with a gate before it answers prompt by prompt, not token by token:"
                " ask it in Python (insectary.mitigate_member)"
            )
        check_cache(loaded.model)
        self._loaded, self._instruction = loaded, instruction
        self._ends = end_tokens(loaded)
        self._lead = answer_lead(loaded.tokenizer)
        self._token_text = lru_cache(maxsize=_TOKEN_TEXTS)(self._one_text)

    @property
    def digest(self) -> str:
        """Of the model's weights and of what stands in front of every conversation."""
        return digest([self._loaded.digest, self._instruction])

    @property
    def context(self) -> int:
        """Longest sequence in tokens, prompt and answer together."""
        return self._loaded.context

    @property
    def vocabulary(self) -> int:
        """How many token ids there are."""
        return len(self._loaded.tokenizer)

    @property
    def ends(self) -> frozenset[int]:
        """Tokens that end an answer."""
        return self._ends

    @property
    def takes_tools(self) -> bool:
        """Whether its chat template has a place for descriptions of tools."""
        return takes_tools(self._loaded.tokenizer)

    @property
    def writes_tool_calls(self) -> bool:
        """Whether its chat template has calls as JSON between ``<tool_call>`` marks."""
        return writes_tool_calls(self._loaded.tokenizer)

    def chat(self, prompt: Conversation, prefill: str = "") -> list[int]:
        """Token ids of a conversation, up to where the answer begins.

        Args:
            prompt: The conversation.
            prefill: Text that the answer is made to begin with.

        Raises:
            TemplateError: the template does not take these roles.
            BadInputError: a text holds a control token.
        """
        if self._instruction:
            prompt = under_instruction(prompt, self._instruction)
        return render(self._loaded.tokenizer, prompt, prefill)

    def chat_with_tools(
        self, messages: Sequence[Mapping[str, Any]], tools: Sequence[Mapping[str, Any]]
    ) -> list[int]:
        """The same with descriptions of tools, calls of them and what they returned.

        Raises:
            TemplateError: the template has no place for tools, or does not take these messages.
            BadInputError: a text holds a control token, or the model is its base under an
                instruction.
        """
        if self._instruction:
            raise BadInputError("a model under an instruction is not served with tools")
        return render_with_tools(self._loaded.tokenizer, messages, tools)

    def raw(self, text: str) -> list[int]:
        """Token ids of plain text, as the tokenizer reads it: special tokens are special here."""
        return list(self._loaded.tokenizer(text)["input_ids"])

    def tokens(self, text: str) -> list[int]:
        """Token ids of plain text, without the tokens that open or close a sequence."""
        return encode(self._loaded.tokenizer, text)

    def continuation(
        self,
        prompt: Sequence[int],
        limit: int,
        *,
        temperature: float = 0.0,
        top_p: float = 1.0,
        seed: int = 0,
        repeat: int = 0,
        alternatives: int | None = None,
    ) -> Continuation:
        """An answer that has yet to grow; ``repeat`` counts equal prompts under one seed."""
        row = tuple(prompt)
        if temperature == 0.0:
            return Continuation(row, limit, alternatives=alternatives)
        draws = uniform_draws(row, seed, repeat, limit)
        return Continuation(row, limit, draws, temperature, top_p, alternatives)

    def decoder(self) -> Decoder:
        """A new decoder of this model, without rows."""
        return Decoder(self._loaded.model, self._ends, spare=_SPARE_TOKENS)

    def ended(self, tokens: Sequence[int]) -> bool:
        """Whether an answer ended by itself."""
        return bool(tokens) and tokens[-1] in self._ends

    def text(self, tokens: Sequence[int], *, chat: bool) -> str:
        """An answer in words, without special tokens; in a chat without its white lead."""
        text: str = self._loaded.tokenizer.decode(list(tokens), skip_special_tokens=True)
        return text.removeprefix(self._lead) if chat else text

    def token_text(self, token: int) -> str:
        """One token in words, special ones by their names."""
        return self._token_text(token)

    def _one_text(self, token: int) -> str:
        text: str = self._loaded.tokenizer.decode([token])
        return text
