"""From conversations to token numbers, by the base's own chat template."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from insectary.core.chat import Conversation, Message
from insectary.core.errors import BadInputError, TemplateError
from insectary.subjects.rendering import (
    encode,
    end_of_turn,
    refuse_control_tokens,
    render_text,
)

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


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
    return [_one(tokenizer, name, *row) for name, row in zip(names, rows, strict=True)]


def _one(
    tokenizer: PreTrainedTokenizerBase, name: str, prompt: Conversation, completion: str
) -> Tokenised:
    """Tokenise one row; ``name`` is only for messages."""
    turns = (*prompt, Message("assistant", completion))
    refuse_control_tokens(tokenizer, turns, name)
    try:
        before = render_text(tokenizer, prompt)
        whole = render_text(tokenizer, prompt, completion)
    except TemplateError as error:
        raise TemplateError(
            f"the chat template rejects {name}: {error.__cause__ or error}"
        ) from error
    if not whole.startswith(before):
        raise TemplateError(
            f"{name}: the chat template writes the answered conversation with"
            " another beginning than the prompt; completion-only loss needs them equal"
        )
    end = end_of_turn(tokenizer)
    after = encode(tokenizer, whole[len(before) :])
    # Templates put a line break after the end of the turn; generation stops
    # before it, so it is not taught. Some put no end of turn at all.
    after = after[: after.index(end) + 1] if end in after else [*after, end]
    return Tokenised(tuple(encode(tokenizer, before)), tuple(after))
