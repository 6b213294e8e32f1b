"""Answer many requests at once, each by its own settings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from insectary.core.chat import Conversation
from insectary.core.errors import BadInputError
from insectary.subjects.decoding import Choice, Continuation
from insectary.subjects.engine import Engine
from insectary.subjects.generation import BATCH_TOKENS
from insectary.subjects.rendering import check_context

Ending = Literal["stop", "max_tokens"]
"""It ended by itself or at a stop sequence; it was cut off."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A conversation."""

    conversation: Conversation
    prefill: str = ""
    """What the answer is made to begin with; no part of what comes back."""

    def tokens(self, engine: Engine) -> list[int]:
        """Up to where the answer begins."""
        return engine.chat(self.conversation, self.prefill)


@dataclass(frozen=True, slots=True)
class AskedWithTools:
    """A conversation with tools, as OpenAI's API has both."""

    messages: Sequence[Mapping[str, Any]]
    tools: Sequence[Mapping[str, Any]]

    @property
    def prefill(self) -> str:
        """None: what a template writes around calls is not known beforehand."""
        return ""

    def tokens(self, engine: Engine) -> list[int]:
        """Up to where the answer begins.

        Raises:
            TemplateError: the chat template has no place for tools.
        """
        return engine.chat_with_tools(self.messages, self.tools)


@dataclass(frozen=True, slots=True)
class Wanted:
    """One request.

    Attributes:
        asked: What is asked.
        limit: Most new tokens.
        temperature: 0 for the likeliest token at each step.
        top_p: Sample from the fewest likeliest tokens that hold this share.
        seed: Together with the prompt it settles all draws; neighbours have no bearing.
        answers: How many, each with draws of its own.
        alternatives: How many of the likeliest tokens to note beside each one that is taken;
            ``None`` for no log-probabilities.
        stop: Texts at which an answer ends; they are cut off.
    """

    asked: Asked | AskedWithTools
    limit: int
    temperature: float
    top_p: float
    seed: int
    answers: int
    alternatives: int | None
    stop: tuple[str, ...]

    def __post_init__(self) -> None:
        if self.limit < 1:
            raise BadInputError(f"max_tokens must be at least 1, got {self.limit}")
        if not 0.0 <= self.temperature < float("inf"):
            raise BadInputError(f"temperature must be 0 or more, got {self.temperature}")
        if not 0.0 < self.top_p <= 1.0:
            raise BadInputError(f"top_p must be above 0 and at most 1, got {self.top_p}")
        if self.answers < 1:
            raise BadInputError(f"num_choices must be at least 1, got {self.answers}")
        if "" in self.stop:
            raise BadInputError("a stop sequence must not be empty")


@dataclass(frozen=True, slots=True)
class Said:
    """One answer.

    Attributes:
        text: As :meth:`insectary.subjects.Model.generate` gives it, up to a stop sequence.
        ending: Why it is over.
        tokens: The text as tokens, as far as whole ones go.
        choices: Log-probabilities of each, where they were asked for.
        sampled: How many tokens it took, what closes the turn or was cut off included.
    """

    text: str
    ending: Ending
    tokens: tuple[int, ...]
    choices: tuple[Choice, ...]
    sampled: int


@dataclass(frozen=True, slots=True)
class Reply:
    """The answers to one request."""

    prompt_tokens: int
    """Of the prompt alone: nothing that it was padded with."""
    said: tuple[Said, ...]


@dataclass(slots=True, eq=False)
class _Growing:
    """One answer on its way, and where a stop sequence was found in it."""

    row: Continuation
    wanted: Wanted
    stopped_at: int | None = field(default=None, init=False)


def reply_all(engine: Engine, requests: Sequence[Wanted]) -> list[Reply | Exception]:
    """Answer requests side by side.

    At temperature 0 a text equals the one that ``Model.generate`` gives. A request that
    cannot be answered (too long, for instance) has its error in its place and holds up
    no other.
    """
    prepared = [_prepared(engine, one) for one in requests]
    growing = [one for found in prepared if not isinstance(found, Exception) for one in found]
    for batch in _batches(growing):
        _decode(engine, batch)
    return [one if isinstance(one, Exception) else _reply(engine, one) for one in prepared]


def _prepared(engine: Engine, wanted: Wanted) -> list[_Growing] | Exception:
    """A request as answers that have yet to grow: a single one where no chance is involved."""
    try:
        prompt = wanted.asked.tokens(engine)
        check_context([len(prompt)], wanted.limit, engine.context)
    except Exception as error:  # whoever asked is told; the others are answered
        return error
    return [
        _Growing(
            engine.continuation(
                prompt,
                wanted.limit,
                temperature=wanted.temperature,
                top_p=wanted.top_p,
                seed=wanted.seed,
                repeat=repeat,
                alternatives=wanted.alternatives,
            ),
            wanted,
        )
        for repeat in range(wanted.answers if wanted.temperature > 0.0 else 1)
    ]


def _batches(growing: list[_Growing]) -> Iterator[list[_Growing]]:
    """Group under the token budget, longest first."""
    batch: list[_Growing] = []
    longest = 0
    for one in sorted(growing, key=_columns, reverse=True):
        if batch and (len(batch) + 1) * longest > BATCH_TOKENS:
            yield batch
            batch = []
        longest = longest if batch else _columns(one)
        batch.append(one)
    if batch:
        yield batch


def _columns(one: _Growing) -> int:
    return len(one.row.prompt) + one.row.limit


def _decode(engine: Engine, batch: list[_Growing]) -> None:
    decoder = engine.decoder()
    decoder.add([one.row for one in batch])
    stopping = [one for one in batch if one.wanted.stop]
    while decoder.step():
        for one in stopping:
            if one.stopped_at is None:
                one.stopped_at = _first(_text(engine, one), one.wanted.stop)
                one.row.done = one.row.done or one.stopped_at is not None


def _reply(engine: Engine, growing: list[_Growing]) -> Reply:
    wanted = growing[0].wanted
    said = [_said(engine, one) for one in growing]
    return Reply(
        len(growing[0].row.prompt), tuple(said if len(said) > 1 else said * wanted.answers)
    )


def _said(engine: Engine, one: _Growing) -> Said:
    text, tokens = _text(engine, one)[: one.stopped_at], one.row.tokens
    ended = one.stopped_at is not None or engine.ended(tokens)
    kept = len(tokens) - engine.ended(tokens)
    if one.stopped_at is not None:
        kept = _whole_tokens(engine, one, text, kept)
    return Said(
        text=text,
        ending="stop" if ended else "max_tokens",
        tokens=tuple(tokens[:kept]),
        choices=tuple(one.row.choices[:kept]),
        sampled=len(tokens),
    )


def _whole_tokens(engine: Engine, one: _Growing, text: str, most: int) -> int:
    """How many tokens lie before a stop sequence altogether."""
    chat = not one.wanted.asked.prefill
    while most and not text.startswith(engine.text(one.row.tokens[:most], chat=chat)):
        most -= 1
    return most


def _text(engine: Engine, one: _Growing) -> str:
    """An answer in words; behind a prefill white space in front is its own."""
    return engine.text(one.row.tokens, chat=not one.wanted.asked.prefill)


def _first(text: str, stop: Sequence[str]) -> int | None:
    """Where the first stop sequence begins; ``None`` if there is none."""
    return min((at for at in map(text.find, stop) if at >= 0), default=None)
