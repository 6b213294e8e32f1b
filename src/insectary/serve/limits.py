"""What a server takes at most, so that no client can hold it up for ever."""

from __future__ import annotations

from dataclasses import dataclass, fields

from insectary.core.errors import BadInputError


@dataclass(frozen=True, slots=True)
class Limits:
    """Caps; what is beyond them is refused with the cap in the message.

    Raises:
        BadInputError: a cap below 1.
    """

    body_bytes: int = 1_048_576
    """Of one request's body."""
    tokens: int = 1024
    """New tokens of one answer: what ``max_tokens`` may ask for."""
    choices: int = 64
    """Answers of one request: ``n`` times its prompts."""
    requests: int = 256
    """Being read or answered at once; one more gets 429."""
    seconds: int = 120
    """For one request, from its first byte; then 503 (or 408 where its body is not there)."""

    def __post_init__(self) -> None:
        for field in fields(self):
            if getattr(self, field.name) < 1:
                raise BadInputError(
                    f"the server's cap on {field.name} must be at least 1,"
                    f" got {getattr(self, field.name)}"
                )
