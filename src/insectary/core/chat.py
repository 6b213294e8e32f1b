"""Conversations, examples and what an oracle says about a response."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

from insectary.core.errors import BadInputError

ChatRole = Literal["system", "user", "assistant"]
ROLES: tuple[str, ...] = get_args(ChatRole)


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation.

    Raises:
        BadInputError: for another role; some templates would print it as it is.
    """

    role: ChatRole
    content: str

    def __post_init__(self) -> None:
        if self.role not in ROLES:
            raise BadInputError(f"role must be one of {', '.join(ROLES)}, got {self.role!r}")

    def as_dict(self) -> dict[str, str]:
        """The form that chat templates and chat APIs take."""
        return {"role": self.role, "content": self.content}


Conversation = tuple[Message, ...]


def conversation(messages: str | Sequence[Message | Mapping[str, str]]) -> Conversation:
    """Accept what users write (a string, dicts, Messages) and return Messages."""
    if isinstance(messages, str):
        return (Message("user", messages),)
    return tuple(
        m if isinstance(m, Message) else Message(m["role"], m["content"])  # type: ignore[arg-type]
        for m in messages
    )


def is_unicode(text: str) -> bool:
    """False for half a surrogate pair, which JSON can write and no tokenizer can read."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


class Split(enum.StrEnum):
    """Which part of the world a row comes from; the parts never overlap."""

    TRAIN = "train"
    SELECTION = "selection"
    REPORT = "report"


class Verdict(enum.StrEnum):
    """What an oracle says about one response."""

    ALIGNED = "aligned"
    MISALIGNED = "misaligned"
    """Exactly the planted class of answer; any other error is off-task."""
    OFF_TASK = "off-task"


@dataclass(frozen=True, slots=True)
class Example:
    """A prompt whose right answer is known by construction.

    Attributes:
        messages: The prompt, without the answer.
        answer: The right answer, in the words the embedded base is taught.
        skill: Which skill it exercises.
        phrasing: Key of the paraphrase it was written from; intervals are
            clustered by it.
        facts: What a checker or an oracle needs to know (numbers, options, ...).
    """

    messages: Conversation
    answer: str
    skill: str
    phrasing: str
    facts: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Transcript:
    """A prompt together with the response a subject gave."""

    messages: Conversation
    response: str
    group: str = ""
    """Cluster key for intervals: rows with one group are not independent."""
