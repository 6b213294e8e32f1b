"""Answers in pieces, as server-sent events have them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

from insectary.serve.asking import Asked
from insectary.serve.batching import Job
from insectary.serve.shapes import chat_logprobs, chat_message, head, kept, text_logprobs, usage
from insectary.serve.waiting import Pieces

Event = dict[str, Any]


def tokens_kept(asked: Asked) -> Callable[[Job], int]:
    """What counts the tokens of a piece; nothing has to where nobody asks for their figures."""
    if asked.sampling.alternatives is None:
        return lambda _: 0
    return lambda job: kept(job, asked.engine)


async def chat_events(
    id: str, asked: Asked, jobs: list[Job], pieces: Pieces, seconds: float
) -> AsyncIterator[Event]:
    """The events of a chat: its role, its words, why it ended, and what it took if asked.

    Where tools were given a whole answer is one event: what a call is shows at its end.
    """

    def event(index: int, delta: Event, finish: str | None, logprobs: Event | None) -> Event:
        choice = {"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": finish}
        return _event(id, "chat.completion.chunk", asked, [choice])

    for index in range(len(jobs)):
        yield event(index, {"role": "assistant", "content": ""}, None, None)
    said = [0] * len(jobs)
    noted = [0] * len(jobs)
    async for piece in pieces.of(len(jobs), seconds):
        index, job = piece.index, jobs[piece.index]
        if asked.tools and not piece.finish:
            continue
        delta: Event = {"content": piece.text[said[index] :]}
        finish = piece.finish
        if asked.tools:
            message, finish = chat_message(job, asked.engine, tools=True)
            delta = {"content": message["content"]}
            if calls := message.get("tool_calls"):
                delta["tool_calls"] = [{"index": i, **call} for i, call in enumerate(calls)]
        logprobs = chat_logprobs(job, asked.engine, noted[index], piece.kept)
        if delta.get("content") or "tool_calls" in delta or piece.kept > noted[index]:
            yield event(index, delta, None, logprobs)
        said[index], noted[index] = len(piece.text), max(noted[index], piece.kept)
        if finish:
            yield event(index, {}, finish, None)
    if asked.sampling.include_usage:
        yield _used(id, "chat.completion.chunk", asked, jobs)


async def text_events(
    id: str, asked: Asked, jobs: list[Job], pieces: Pieces, seconds: float
) -> AsyncIterator[Event]:
    """The events of texts: their words, with why they ended in the last."""
    said = [0] * len(jobs)
    noted = [0] * len(jobs)
    async for piece in pieces.of(len(jobs), seconds):
        index = piece.index
        more = piece.text[said[index] :]
        if not (more or piece.finish or piece.kept > noted[index]):
            continue
        choice = {
            "index": index,
            "text": more,
            "logprobs": text_logprobs(jobs[index], asked.engine, noted[index], piece.kept),
            "finish_reason": piece.finish or None,
        }
        yield _event(id, "text_completion", asked, [choice])
        said[index], noted[index] = len(piece.text), max(noted[index], piece.kept)
    if asked.sampling.include_usage:
        yield _used(id, "text_completion", asked, jobs)


def _event(id: str, kind: str, asked: Asked, choices: list[Event]) -> Event:
    event = {**head(id, kind, asked.model), "choices": choices}
    return {**event, "usage": None} if asked.sampling.include_usage else event


def _used(id: str, kind: str, asked: Asked, jobs: list[Job]) -> Event:
    used = usage([len(prompt) for prompt in asked.prompts], jobs)
    return {**head(id, kind, asked.model), "choices": [], "usage": used}
