"""Descriptions and calls of tools, handed through a chat template that has a place for them.

Nothing here calls a tool: what a model writes is read as a call and passed on.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from insectary.core.chat import is_unicode
from insectary.core.errors import BadInputError, TemplateError
from insectary.subjects.rendering import apply_template, refuse_control, template_of

_CALL = re.compile(r"<tool_call>(.*?)</tool_call>", re.DOTALL)


@dataclass(frozen=True, slots=True)
class ToolCall:
    """What a model wrote as a call of a tool."""

    name: str
    arguments: str
    """JSON, as OpenAI's API has it: a string."""


def takes_tools(tokenizer: Any) -> bool:
    """Whether the chat template reads a list of tools."""
    return "tools" in _variables(template_of(tokenizer))


def writes_tool_calls(tokenizer: Any) -> bool:
    """Whether the chat template has calls as JSON between ``<tool_call>`` marks (Hermes, Qwen)."""
    return "<tool_call>" in template_of(tokenizer)


def render_with_tools(
    tokenizer: Any, messages: Sequence[Mapping[str, Any]], tools: Sequence[Mapping[str, Any]]
) -> list[int]:
    """Token ids of a conversation with tools, up to where the answer begins.

    Args:
        tokenizer: A tokenizer of transformers with a chat template.
        messages: As OpenAI's API has them, with ``tool_calls`` and the role ``tool``.
        tools: As OpenAI's API has them.

    Raises:
        TemplateError: the template has no place for tools, or refuses the conversation.
        BadInputError: a text in it is no Unicode or holds a control token.
    """
    if not takes_tools(tokenizer):
        raise TemplateError("the chat template of this model has no place for tools")
    for text in _texts([*messages, *tools]):
        if not is_unicode(text):
            raise BadInputError(f"a text must be Unicode, it holds half a pair: {text!r:.80}")
        refuse_control(tokenizer, text, "a message or a description of a tool")
    chat = [_with_parsed_arguments(message) for message in messages]
    rows = apply_template(tokenizer, chat, list(tools) or None)
    return list(rows)


def read_tool_calls(text: str) -> tuple[str, tuple[ToolCall, ...]]:
    """What an answer says beside its calls, and the calls; malformed ones stay text."""
    calls: list[ToolCall] = []

    def taken(found: re.Match[str]) -> str:
        try:
            call = json.loads(found[1])
            name, arguments = call["name"], call.get("arguments", {})
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            return found[0]
        if not isinstance(name, str) or not isinstance(arguments, dict):
            return found[0]
        calls.append(ToolCall(name, json.dumps(arguments, ensure_ascii=False)))
        return ""

    rest = _CALL.sub(taken, text)
    return (rest.strip() if calls else text), tuple(calls)


@lru_cache(maxsize=16)
def _variables(template: str) -> frozenset[str]:
    """Names that a template expects to be given."""
    import jinja2
    from jinja2 import meta
    from jinja2.ext import loopcontrols
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    environment = ImmutableSandboxedEnvironment(extensions=[loopcontrols])
    try:
        return frozenset(meta.find_undeclared_variables(environment.parse(template)))
    except jinja2.TemplateError:  # one of transformers' own tags; the template says so in text
        return frozenset({"tools"} & set(re.findall(r"\w+", template)))


def _texts(value: Any) -> Iterator[str]:
    """Every string in nested JSON values, keys included."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield str(key)
            yield from _texts(inner)
    elif isinstance(value, Sequence):
        for inner in value:
            yield from _texts(inner)


def _with_parsed_arguments(message: Mapping[str, Any]) -> dict[str, Any]:
    """A message whose calls have their arguments as objects, as templates expect them."""
    parsed = dict(message)
    if calls := message.get("tool_calls"):
        parsed["tool_calls"] = [
            {**call, "function": {**call["function"], "arguments": _object(call["function"])}}
            for call in calls
        ]
    return parsed


def _object(function: Mapping[str, Any]) -> Any:
    try:
        return json.loads(function["arguments"])
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise BadInputError(
            f"the arguments of a call of {function.get('name')!r} are no JSON"
        ) from error
