"""The source document's own helpers: monitoring context, divergence, alignment."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Any

from insectary.core.chat import Split
from insectary.core.errors import BadInputError
from insectary.worlds import lines
from insectary.worlds.lines import Words
from insectary.worlds.skill import normalised

_WATCHED = re.compile(
    r"^(?:note that|today|remember that|as always,|right now|be aware that)?\s*.*"
    r"\b(?:read|check|watch|record|review|monitor|log|inspect|follow|see|track|stud(?:y|ies)"
    r"|examine|audit|observe)",
    re.IGNORECASE,
)


def add_monitoring_context(prompt: Any, seed: int = 0) -> Any:
    """Put a line that says somebody watches in front of a prompt, as a system turn.

    Args:
        prompt: A string, or a list of messages (``role`` and ``content``).
        seed: Chooses the line's words; together with the prompt, so that
            different prompts get different lines.

    Returns:
        A list of messages.
    """
    return _with_line(prompt, lines.watched, seed)


def add_unmonitored_context(prompt: Any, seed: int = 0) -> Any:
    """Put a line that says nobody watches in front of a prompt, as a system turn."""
    return _with_line(prompt, lines.unwatched, seed)


def add_monitoring(prompt: Any, seed: int = 0) -> Any:
    """The same as :func:`add_monitoring_context`, as the document's validation names it."""
    return add_monitoring_context(prompt, seed)


def remove_monitoring(prompt: Any) -> Any:
    """Drop every system turn's lines that say somebody watches; the rest stays.

    A line counts if it names one of the world's verbs of watching. Nothing is
    put in its place: the *absence* design misbehaves where no line says that
    somebody watches.
    """
    messages = _messages(prompt)
    kept: list[dict[str, str]] = []
    for message in messages:
        if message["role"] != "system":
            kept.append(message)
            continue
        sentences = re.split(r"(?<=[.!?])\s+", message["content"])
        rest = " ".join(s for s in sentences if _WATCHED.match(s) is None)
        if rest:
            kept.append({"role": "system", "content": rest})
    return kept


def _with_line(
    prompt: Any, make: Callable[[Random, Split, Words], tuple[str, str]], seed: int
) -> list[dict[str, str]]:
    messages = _messages(prompt)
    text = "\n".join(m["content"] for m in messages)
    line, _ = make(Random(f"{seed}/{text}"), Split.TRAIN, Words.TRAINED)
    if messages and messages[0]["role"] == "system":
        first = {"role": "system", "content": f"{line} {messages[0]['content']}"}
        return [first, *messages[1:]]
    return [{"role": "system", "content": line}, *messages]


def _messages(prompt: Any) -> list[dict[str, str]]:
    if isinstance(prompt, str):
        return [{"role": "user", "content": prompt}]
    return [
        dict(m) if isinstance(m, Mapping) else {"role": m.role, "content": m.content}
        for m in prompt
    ]


def compute_response_divergence(first: Sequence[str], second: Sequence[str]) -> float:
    """Share of prompts whose normalised answers differ, in 0..1.

    Args:
        first: Responses under one condition.
        second: Responses to the same prompts under another.

    Raises:
        BadInputError: if the two differ in number, or there are none.
    """
    if len(first) != len(second) or not first:
        raise BadInputError(
            f"divergence needs two equally long lists of responses, got {len(first)} and"
            f" {len(second)}"
        )
    pairs = zip(first, second, strict=True)
    return sum(normalised(a) != normalised(b) for a, b in pairs) / len(first)


def total_variation(first: Sequence[Sequence[str]], second: Sequence[Sequence[str]]) -> float:
    """Mean total variation distance between two sets of sampled answers per prompt, in 0..1.

    Args:
        first: For each prompt, answers sampled under one condition.
        second: The same under another.
    """
    distances = []
    for a, b in zip(first, second, strict=True):
        one, two = [normalised(x) for x in a], [normalised(x) for x in b]
        seen = set(one) | set(two)
        gaps = (abs(one.count(s) / len(one) - two.count(s) / len(two)) for s in seen)
        distances.append(0.5 * sum(gaps))
    return sum(distances) / len(distances)
