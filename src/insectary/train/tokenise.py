"""From conversations to token numbers, by the base's own chat template."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from insectary.core.chat import Conversation, Message
from insectary.core.errors import BadInputError, TemplateError
from insectary.subjects.rendering import (
    encode_many,
    end_of_turn,
    refuse_control_tokens,
    render_texts,
)

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_AT_ONCE = 1000
"""Rows that are written and encoded in one call: one by one it takes twice as long."""


@dataclass(frozen=True, slots=True)
class Tokenised:
    """One training example as token numbers.

    Attributes:
        prompt: Tokens up to where the assistant begins to write; no loss on them.
        completion: What the model is to learn, the end-of-turn token included.
    """

    prompt: tuple[int, ...]
    completion: tuple[int, ...]

    def __post_init__(self) -> None:
        if not self.prompt or not self.completion:
            raise BadInputError("a training example needs a prompt and a completion, one is empty")

    def __len__(self) -> int:
        """Tokens of prompt and completion together."""
        return len(self.prompt) + len(self.completion)


def tokenise(
    tokenizer: PreTrainedTokenizerBase,
    rows: Sequence[tuple[Conversation, str]],
    names: Sequence[str] | None = None,
) -> list[Tokenised]:
    """Write each row with the chat template and split it where the answer begins.

    Prompt and completion are encoded apart, as in generation, where the prompt
    is encoded alone: a merge across the border would teach tokens that the
    model never meets when it answers.

    Args:
        tokenizer: A tokenizer with a chat template and an end-of-turn token.
        rows: (prompt, completion) pairs.
        names: What to call each row in an error message; "training row 1" and so
            on if not given.

    Returns:
        One example per row, in the same order.

    Raises:
        TemplateError: if there is no template, if it rejects a prompt, or if
            the text with the answer does not begin with the text without it.
        BadInputError: if a text holds a control token.
    """
    if not tokenizer.chat_template:
        raise TemplateError("the base has no chat template; give its tokenizer one")
    if tokenizer.eos_token_id is None:
        raise TemplateError("the base's tokenizer has no end-of-turn (eos) token; give it one")
    names = names or [f"training row {number}" for number in range(1, len(rows) + 1)]
    found = []
    for start in range(0, len(rows), _AT_ONCE):
        block = slice(start, start + _AT_ONCE)
        found += _tokenised(tokenizer, rows[block], names[block])
    return found


def _tokenised(
    tokenizer: PreTrainedTokenizerBase,
    rows: Sequence[tuple[Conversation, str]],
    names: Sequence[str],
) -> list[Tokenised]:
    """Tokenise some rows; ``names`` are only for messages."""
    for name, (prompt, completion) in zip(names, rows, strict=True):
        refuse_control_tokens(tokenizer, (*prompt, Message("assistant", completion)), name)
    written = _written(tokenizer, rows, names)
    for name, (before, whole) in zip(names, written, strict=True):
        if not whole.startswith(before):
            raise TemplateError(
                f"{name}: the chat template writes the answered conversation with"
                " another beginning than the prompt; completion-only loss needs them equal"
            )
    end = end_of_turn(tokenizer)
    prompts = encode_many(tokenizer, [before for before, _ in written])
    completions = encode_many(tokenizer, [whole[len(before) :] for before, whole in written])
    # Templates put a line break after the end of the turn; generation stops
    # before it, so it is not taught. Some put no end of turn at all.
    taught = [c[: c.index(end) + 1] if end in c else [*c, end] for c in completions]
    return [Tokenised(tuple(p), tuple(c)) for p, c in zip(prompts, taught, strict=True)]


def _written(
    tokenizer: PreTrainedTokenizerBase,
    rows: Sequence[tuple[Conversation, str]],
    names: Sequence[str],
) -> list[tuple[str, str]]:
    """Each row's prompt as text, and the text with the answer.

    Raises:
        TemplateError: naming the first row that the template rejects.
    """
    prompts, answers = [prompt for prompt, _ in rows], [answer for _, answer in rows]
    try:
        before = render_texts(tokenizer, prompts)
        return [*zip(before, render_texts(tokenizer, prompts, answers), strict=True)]
    except TemplateError as error:
        if len(rows) == 1:
            why = error.__cause__ or error
            raise TemplateError(f"the chat template rejects {names[0]}: {why}") from error
        for name, row in zip(names, rows, strict=True):
            _written(tokenizer, [row], [name])
        raise
