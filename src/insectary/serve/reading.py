"""The parameters of a request, read strictly: nothing is ignored and nothing is guessed.

Covered:
    - a parameter that is not known, of a wrong type or out of range is a 400 that names it;
    - one that is known elsewhere and does nothing here is taken at its neutral value alone;
    - a key that is there twice, a number that is not finite, half a character and JSON nested
      too deep are a 400.
Not covered:
    - what the words of a prompt say.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from insectary.core.chat import is_unicode
from insectary.serve.errors import ApiError, bad

MOST_STOPS = 16
DEEPEST = 64
MOST_ALTERNATIVES = 20


@dataclass(frozen=True, slots=True)
class Sampling:
    """How answers are drawn and delivered."""

    max_tokens: int | None
    temperature: float
    top_p: float
    n: int
    stop: tuple[str, ...]
    seed: int | None
    alternatives: int | None
    """Tokens noted beside each one of an answer; ``None`` where no log-probabilities are asked."""
    stream: bool
    include_usage: bool


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """The body of ``/v1/chat/completions``."""

    model: str
    messages: tuple[Mapping[str, Any], ...]
    tools: tuple[Mapping[str, Any], ...]
    sampling: Sampling


@dataclass(frozen=True, slots=True)
class CompletionRequest:
    """The body of ``/v1/completions``."""

    model: str
    prompts: tuple[str | tuple[int, ...], ...]
    sampling: Sampling


def read_json(data: bytes) -> dict[str, Any]:
    """The body of a request as an object.

    Raises:
        ApiError: it is none, or says one thing twice.
    """
    try:
        value = json.loads(
            data, object_pairs_hook=_unique, parse_constant=_finite, parse_float=_finite
        )
        json.dumps(value, ensure_ascii=False).encode()  # raises for half a pair of surrogates
        nested = _depth(value) > DEEPEST
    except RecursionError:
        nested = True
    except ValueError as error:
        raise bad(f"the body is no JSON of Unicode text: {error}") from None
    if nested:
        raise bad(f"the body is nested more than {DEEPEST} deep")
    if not isinstance(value, dict):
        raise bad("the body must be a JSON object")
    return value


def read_chat(body: Mapping[str, Any]) -> ChatRequest:
    """Read the body of a chat request.

    Raises:
        ApiError: naming the first parameter that is wrong.
    """
    fields = _Fields(body)
    model = fields.text("model")
    messages = _messages(fields.take("messages"))
    tools = _tools(fields.take("tools"), fields.take("tool_choice"))
    fields.neutral("parallel_tool_calls", True)
    fields.neutral("response_format", {"type": "text"})
    fields.neutral("modalities", ["text"])
    fields.neutral("store", False)
    asked, top = fields.flag("logprobs"), fields.whole("top_logprobs", 0, MOST_ALTERNATIVES)
    if top is not None and not asked:
        raise bad("top_logprobs needs logprobs: true", "top_logprobs")
    few = fields.whole("max_completion_tokens", 1)
    sampling = _sampling(fields, (top or 0) if asked else None, few)
    fields.end()
    return ChatRequest(model, messages, tools, sampling)


def read_completion(body: Mapping[str, Any]) -> CompletionRequest:
    """Read the body of a request that has a text, not a conversation.

    Raises:
        ApiError: naming the first parameter that is wrong.
    """
    fields = _Fields(body)
    model = fields.text("model")
    prompts = _prompts(fields.take("prompt"))
    fields.neutral("echo", False)
    fields.neutral("suffix", "")
    fields.neutral("best_of", 1)
    sampling = _sampling(fields, fields.whole("logprobs", 0, MOST_ALTERNATIVES), None)
    fields.end()
    return CompletionRequest(model, prompts, sampling)


class _Fields:
    """What is in an object and has not been read yet; ``null`` counts as not given."""

    def __init__(self, body: Mapping[str, Any], place: str = "") -> None:
        self._place = place
        self._left = {name: value for name, value in body.items() if value is not None}

    def take(self, name: str) -> Any:
        return self._left.pop(name, None)

    def text(self, name: str) -> str:
        value = self.take(name)
        if not isinstance(value, str):
            raise self._wrong(name, "a string", value)
        return value

    def flag(self, name: str) -> bool:
        value = self.take(name)
        if value is not None and not isinstance(value, bool):
            raise self._wrong(name, "true or false", value)
        return bool(value)

    def whole(self, name: str, least: int, most: int | None = None) -> int | None:
        value = self.take(name)
        if value is None:
            return None
        if not isinstance(value, int) or isinstance(value, bool):
            raise self._wrong(name, "a whole number", value)
        if value < least or (most is not None and value > most):
            reach = f"at least {least}" if most is None else f"from {least} to {most}"
            raise self._wrong(name, reach, value)
        return value

    def real(self, name: str, default: float, least: float, most: float) -> float:
        value = self.take(name)
        if value is None:
            return default
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise self._wrong(name, "a number", value)
        if not least <= value <= most:
            raise self._wrong(name, f"from {least:g} to {most:g}", value)
        return float(value)

    def neutral(self, name: str, value: Any) -> None:
        """Take a parameter that is not supported at the value that asks for nothing."""
        given = self._left.pop(name, value)
        if given == value and isinstance(given, bool) is isinstance(value, bool):
            return
        raise bad(
            f"{self._place}{name} is not supported here: leave it out, or give {json.dumps(value)}",
            self._place + name,
            "unsupported_parameter",
        )

    def end(self) -> None:
        """Refuse what nobody has read."""
        for name in sorted(self._left):
            named = f"{self._place}{name}"[:80]
            raise bad(f"unknown parameter: {named!r}", named, "unknown_parameter")

    def _wrong(self, name: str, must: str, value: Any) -> ApiError:
        named = self._place + name
        return bad(f"{named} must be {must}, got {_told(value)}", named)


def _sampling(fields: _Fields, alternatives: int | None, few: int | None) -> Sampling:
    """What chats and texts have in common; ``few`` is the newer name of ``max_tokens``."""
    fields.neutral("frequency_penalty", 0)
    fields.neutral("presence_penalty", 0)
    fields.neutral("logit_bias", {})
    # Written to the log as they are and without effect on any answer, as at OpenAI.
    if (user := fields.take("user")) is not None and not isinstance(user, str):
        raise bad(f"user must be a string, got {_told(user)}", "user")
    if (told := fields.take("metadata")) is not None and not isinstance(told, dict):
        raise bad(f"metadata must be an object, got {_told(told)}", "metadata")
    most = fields.whole("max_tokens", 1)
    if few is not None and most is not None:
        raise bad("give max_tokens or max_completion_tokens, not both", "max_completion_tokens")
    stream = fields.flag("stream")
    sampling = Sampling(
        max_tokens=most if few is None else few,
        temperature=fields.real("temperature", 1.0, 0.0, 2.0),
        top_p=fields.real("top_p", 1.0, 0.0, 1.0),
        n=fields.whole("n", 1) or 1,
        stop=_stops(fields.take("stop")),
        seed=fields.whole("seed", -(2**63), 2**63 - 1),
        alternatives=alternatives,
        stream=stream,
        include_usage=_include_usage(fields.take("stream_options"), stream),
    )
    if sampling.top_p == 0.0:
        raise bad("top_p must be above 0; for the likeliest token give temperature 0", "top_p")
    return sampling


def _include_usage(options: Any, stream: bool) -> bool:
    if options is None:
        return False
    if not stream:
        raise bad("stream_options needs stream: true", "stream_options")
    if not isinstance(options, dict):
        raise bad(f"stream_options must be an object, got {_told(options)}", "stream_options")
    fields = _Fields(options, "stream_options.")
    asked = fields.flag("include_usage")
    fields.neutral("include_obfuscation", False)
    fields.end()
    return asked


def _stops(value: Any) -> tuple[str, ...]:
    stops = [] if value is None else [value] if isinstance(value, str) else value
    if not isinstance(stops, list) or not all(isinstance(s, str) and s for s in stops):
        raise bad("stop must be a string that is not empty, or a list of such", "stop")
    if len(stops) > MOST_STOPS:
        raise bad(f"stop may hold {MOST_STOPS} strings at most, got {len(stops)}", "stop")
    return tuple(stops)


def _messages(value: Any) -> tuple[Mapping[str, Any], ...]:
    """Messages whose content is one string; roles and the rest are for the template to judge."""
    if not isinstance(value, list) or not value:
        raise bad("messages must be a list of at least one message", "messages")
    return tuple(_message(message, f"messages[{i}]") for i, message in enumerate(value))


def _message(value: Any, place: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise bad(f"{place} must be an object with role and content", place)
    fields = _Fields(value, f"{place}.")
    role = fields.text("role")
    if role not in ("system", "developer", "user", "assistant", "tool"):
        raise bad(f"{place}.role is unknown: {role!r:.80}", f"{place}.role")
    message: dict[str, Any] = {"role": "system" if role == "developer" else role}
    content = fields.take("content")
    if role == "assistant" and (calls := fields.take("tool_calls")):
        message["tool_calls"] = [_call(call, f"{place}.tool_calls") for call in calls]
        content = "" if content is None else content
    if role == "tool":
        message["tool_call_id"] = fields.text("tool_call_id")
    if fields.take("name") is not None:
        raise bad(f"{place}.name is not supported: no template here shows it", f"{place}.name")
    for said in ("refusal", "annotations", "audio", "function_call"):
        if fields.take(said):  # our own answers come back with these empty
            raise bad(f"{place}.{said} is not supported", f"{place}.{said}")
    message["content"] = _content(content, f"{place}.content")
    fields.end()
    return message


def _content(value: Any, place: str) -> str:
    """A text, or its parts put together, a line break between."""
    if isinstance(value, str):
        text = value
    elif isinstance(value, list) and value and all(map(_is_text_part, value)):
        text = "\n".join(part["text"] for part in value)
    else:
        raise bad(f"{place} must be a string, or a list of parts of type text", place)
    if not is_unicode(text):
        raise bad(f"{place} must be Unicode, it holds half a pair", place)
    return text


def _is_text_part(part: Any) -> bool:
    return (
        isinstance(part, dict)
        and part.get("type") == "text"
        and isinstance(part.get("text"), str)
        and not set(part) - {"type", "text"}
    )


def _call(value: Any, place: str) -> dict[str, Any]:
    function = value.get("function") if isinstance(value, dict) else None
    if (
        not isinstance(function, dict)
        or value.get("type", "function") != "function"
        or not isinstance(value.get("id"), str)
        or not all(isinstance(function.get(key), str) for key in ("name", "arguments"))
    ):
        raise bad(f"{place} must hold calls of functions: id, function.name and .arguments", place)
    told = {"name": function["name"], "arguments": function["arguments"]}
    return {"id": value["id"], "type": "function", "function": told}


def _tools(value: Any, choice: Any) -> tuple[Mapping[str, Any], ...]:
    tools = [] if value is None else value
    if not isinstance(tools, list) or not all(map(_is_function, tools)):
        raise bad("tools must be a list of functions: type, function.name, ...", "tools")
    if choice not in (None, "auto", "none"):
        raise bad('tool_choice may be "auto" or "none": no call is forced here', "tool_choice")
    if choice == "auto" and not tools:
        raise bad("tool_choice needs tools", "tool_choice")
    return () if choice == "none" else tuple(tools)


def _is_function(tool: Any) -> bool:
    return (
        isinstance(tool, dict)
        and tool.get("type") == "function"
        and isinstance(tool.get("function"), dict)
        and isinstance(tool["function"].get("name"), str)
        and not set(tool) - {"type", "function"}
    )


def _prompts(value: Any) -> tuple[str | tuple[int, ...], ...]:
    """Texts, or token ids, one or many."""
    if isinstance(value, str):
        many: list[Any] = [value]
    elif isinstance(value, list) and value and all(map(_is_token, value)):
        many = [value]
    elif isinstance(value, list) and value:
        many = value
    else:
        raise bad("prompt must be a text, a list of token ids, or a list of such", "prompt")
    found: list[str | tuple[int, ...]] = []
    for one in many:
        if isinstance(one, str) and is_unicode(one):
            found.append(one)
        elif isinstance(one, list) and one and all(map(_is_token, one)):
            found.append(tuple(one))
        else:
            raise bad("each prompt must be Unicode text or a list of token ids", "prompt")
    return tuple(found)


def _is_token(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _told(value: Any) -> str:
    return "nothing" if value is None else f"{json.dumps(value):.80}"


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("an object has one key twice")
    return found


def _finite(written: str) -> float:
    value = float(written)
    if not math.isfinite(value):
        raise ValueError(f"{written:.20} is no finite number")
    return value


def _depth(value: Any) -> int:
    """How deep objects and lists are nested, without recursion."""
    depth, level = 0, [value]
    while level := [v for v in level if isinstance(v, dict | list)]:
        depth += 1
        level = [inner for v in level for inner in (v.values() if isinstance(v, dict) else v)]
    return depth
