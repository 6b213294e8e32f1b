"""Answers in the words of OpenAI's API, chat and text, whole and in pieces."""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from typing import Any

from insectary.serve.batching import Job
from insectary.subjects.engine import Engine
from insectary.subjects.tools import read_tool_calls


def usage(prompts: Sequence[int], jobs: Sequence[Job]) -> dict[str, int]:
    """Tokens read and written; the token that ended an answer was written too."""
    read, written = sum(prompts), sum(len(job.row.tokens) for job in jobs)
    return {
        "prompt_tokens": read,
        "completion_tokens": written,
        "total_tokens": read + written,
    }


def head(id: str, kind: str, model: str) -> dict[str, Any]:
    """What every answer and every piece of one begins with."""
    return {"id": id, "object": kind, "created": int(time.time()), "model": model}


def kept(job: Job, engine: Engine) -> int:
    """How many of an answer's tokens its text is made of, so far.

    The token that ended it is not one of them, nor are those of a stop.
    """
    tokens = job.row.tokens[: len(job.row.choices)]
    if job.over and not (job.finish == "stop" and not engine.ended(tokens)):
        return len(tokens) - engine.ended(tokens)
    many = len(tokens) - engine.ended(tokens)
    while many and len(engine.text(tokens[: many - 1], chat=job.chat)) >= len(job.text):
        many -= 1
    return many


def chat_logprobs(job: Job, engine: Engine, start: int, stop: int) -> dict[str, Any] | None:
    """Log-probabilities of a chat's tokens from ``start`` to before ``stop``."""
    if job.row.alternatives is None:
        return None

    def told(token: int, nats: float) -> dict[str, Any]:
        text = engine.token_text(token)
        # Half a character has no text of its own, so that its bytes are not known from it.
        data = None if "\ufffd" in text else list(text.encode())
        return {"token": text, "logprob": nats, "bytes": data}

    content = []
    for token, choice in zip(job.row.tokens[start:stop], job.row.choices[start:stop], strict=True):
        others = [told(other, nats) for other, nats in choice.top]
        content.append({**told(token, choice.logprob), "top_logprobs": others})
    return {"content": content, "refusal": None}


def text_logprobs(job: Job, engine: Engine, start: int, stop: int) -> dict[str, Any] | None:
    """The same in the older form, where a text's tokens have places in it."""
    if job.row.alternatives is None:
        return None
    tokens, choices = job.row.tokens[start:stop], job.row.choices[start:stop]
    places = [len(engine.text(job.row.tokens[:i], chat=job.chat)) for i in range(start, stop)]
    return {
        "tokens": [engine.token_text(token) for token in tokens],
        "token_logprobs": [choice.logprob for choice in choices],
        "top_logprobs": [
            {engine.token_text(token): nats for token, nats in choice.top} for choice in choices
        ],
        "text_offset": places,
    }


def chat_message(job: Job, engine: Engine, tools: bool) -> tuple[dict[str, Any], str]:
    """The assistant's message and why it ended; calls of tools are read, never made."""
    text, calls = job.text, []
    if tools and engine.writes_tool_calls:
        text, found = read_tool_calls(job.text)
        calls = [
            {
                "id": f"call_{secrets.token_hex(12)}",
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments},
            }
            for call in found
        ]
    message: dict[str, Any] = {"role": "assistant", "content": text, "refusal": None}
    if not calls:
        return message, job.finish
    message |= {"content": text or None, "tool_calls": calls}
    return message, "tool_calls" if job.finish == "stop" else job.finish


def chat_choice(index: int, job: Job, engine: Engine, tools: bool) -> dict[str, Any]:
    """One whole answer of a chat."""
    message, finish = chat_message(job, engine, tools)
    return {
        "index": index,
        "message": message,
        "logprobs": chat_logprobs(job, engine, 0, kept(job, engine)),
        "finish_reason": finish,
    }


def text_choice(index: int, job: Job, engine: Engine) -> dict[str, Any]:
    """One whole continuation of a text."""
    return {
        "index": index,
        "text": job.text,
        "logprobs": text_logprobs(job, engine, 0, kept(job, engine)),
        "finish_reason": job.finish,
    }
