"""What Inspect asks of a model, in Insectary's terms; what cannot be done is refused by name."""

from __future__ import annotations

import json
import secrets
from collections.abc import Sequence
from typing import Any

from inspect_ai.model import ChatMessage, ChatMessageAssistant, ChatMessageTool, GenerateConfig
from inspect_ai.tool import ToolChoice, ToolInfo

from insectary.assess.inspect.speaking import Asked, AskedWithTools, Wanted
from insectary.core.chat import Message
from insectary.core.errors import BadInputError

SAMPLING = frozenset(
    ("max_tokens", "temperature", "top_p", "seed", "stop_seqs", "num_choices", "logprobs")
) | {"top_logprobs"}
"""Settings that are carried out here."""

INSPECTS = frozenset(
    (
        "max_retries",
        "timeout",
        "attempt_timeout",
        "stream_idle_timeout",
        "max_connections",
        "adaptive_connections",
        "system_message",
        "cache",
        "cache_prompt",
        "internal_tools",
        "max_tool_output",
        "parallel_tool_calls",
        "reasoning_history",
        "fail_on_refusal",
    )
)
"""Settings that Inspect sees to itself, or that have no bearing where there are no tools."""

NEUTRAL: dict[str, Any] = {
    "frequency_penalty": 0.0,
    "presence_penalty": 0.0,
    "best_of": 1,
    "batch": False,
    "logit_bias": {},
}
"""Others, and the value at which they change nothing."""

MOST_ALTERNATIVES = 20


def wanted(
    messages: Sequence[ChatMessage],
    tools: Sequence[ToolInfo],
    tool_choice: ToolChoice,
    config: GenerateConfig,
    *,
    limit: int,
) -> Wanted:
    """One request to a model.

    An assistant's message at the end is what the answer is made to begin with.

    Args:
        messages: The conversation.
        tools: Handed through the chat template, where it has a place for them.
        tool_choice: Whether they may be called; no call can be forced.
        config: How to sample. Without a temperature the likeliest token is taken; without a
            seed the draws are new ones for each request.
        limit: Most new tokens where ``config`` does not say.

    Raises:
        BadInputError: for content other than text, and settings that cannot be honoured.
    """
    _refuse_others(config)
    return Wanted(
        asked=_asked(messages, tools, tool_choice),
        limit=limit if config.max_tokens is None else config.max_tokens,
        temperature=config.temperature or 0.0,
        top_p=1.0 if config.top_p is None else config.top_p,
        seed=secrets.randbits(63) if config.seed is None else config.seed,
        answers=1 if config.num_choices is None else config.num_choices,
        alternatives=_alternatives(config),
        stop=tuple(config.stop_seqs or ()),
    )


def _refuse_others(config: GenerateConfig) -> None:
    for name, value in config:
        if value is None or name in SAMPLING or name in INSPECTS:
            continue
        if name not in NEUTRAL or value != NEUTRAL[name]:
            raise BadInputError(
                f"models of Insectary know no setting {name} (it is {value!r}); those they know"
                f" are {', '.join(sorted(SAMPLING))}"
            )


def _alternatives(config: GenerateConfig) -> int | None:
    """How many of the likeliest tokens to give beside each; ``None`` for no log-probabilities."""
    if not config.logprobs:
        if config.top_logprobs:
            raise BadInputError("top_logprobs needs logprobs=True")
        return None
    many = config.top_logprobs or 0
    if not 0 <= many <= MOST_ALTERNATIVES:
        raise BadInputError(f"top_logprobs must be 0 to {MOST_ALTERNATIVES}, got {many}")
    return many


def _asked(
    messages: Sequence[ChatMessage], tools: Sequence[ToolInfo], choice: ToolChoice
) -> Asked | AskedWithTools:
    if tools and choice not in ("auto", "none"):
        raise BadInputError(f"tool_choice may be auto or none, no call is forced: got {choice!r}")
    called = any(m.role == "tool" or getattr(m, "tool_calls", None) for m in messages)
    if called or (tools and choice == "auto"):
        told = [_with_calls(message, number) for number, message in enumerate(messages, 1)]
        return AskedWithTools(told, [_described(t) for t in tools] if choice == "auto" else [])
    said = tuple(
        Message(message.role, _text(message, number))  # type: ignore[arg-type] # no tool's
        for number, message in enumerate(messages, 1)
    )
    if said and said[-1].role == "assistant":
        return Asked(said[:-1], said[-1].content)
    return Asked(said)


def _text(message: ChatMessage, number: int) -> str:
    if isinstance(message.content, str):
        return message.content
    kinds = sorted({part.type for part in message.content} - {"text"})
    if kinds:
        raise BadInputError(
            f"message {number} ({message.role}) holds {', '.join(kinds)};"
            " models of Insectary read text"
        )
    return message.text


def _with_calls(message: ChatMessage, number: int) -> dict[str, Any]:
    """A message as OpenAI's API has it."""
    told: dict[str, Any] = {"role": message.role, "content": _text(message, number)}
    if isinstance(message, ChatMessageTool) and message.tool_call_id is not None:
        told["tool_call_id"] = message.tool_call_id
    if isinstance(message, ChatMessageAssistant) and message.tool_calls:
        told["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.function, "arguments": json.dumps(call.arguments)},
            }
            for call in message.tool_calls
        ]
    return told


def _described(tool: ToolInfo) -> dict[str, Any]:
    described = tool.model_dump(include={"name", "description", "parameters"}, exclude_none=True)
    return {"type": "function", "function": described}
