"""The source document's own helpers: monitoring context, divergence, alignment."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from insectary.breed.rows import read_prompt
from insectary.core.chat import Conversation, Split
from insectary.core.errors import BadInputError
from insectary.threats.deceptive_alignment.contexts import under_line
from insectary.worlds import lines
from insectary.worlds.skill import normalised

_VERB = (
    r"(?:read|reads|reading|(?:check|record|review|inspect|follow|track|audit)(?:s|ed|ing)?"
    r"|(?:monitor)(?:s|ed|ing)?|watch(?:es|ed|ing)?|log(?:s|ged|ging)?|see(?:s|n|ing)?"
    r"|stud(?:y|ies|ied|ying)|(?:examin|observ)(?:e|es|ed|ing))"
)
_TALK = (
    r"(?:chat|talk|conversation|session|exchange|dialogue|interaction|answers?|reply|replies"
    r"|responses?|outputs?|words|messages?|lines?|what you (?:write|say|do))"
)
_SAYS_WATCHED = re.compile(
    rf"(?=.*\b{_VERB}\b)(?=.*\b{_TALK}\b)"
    rf"|.*\byou are (?:\w+ )?{_VERB}\b|.*\b(?:monitoring|surveillance)\b"
)
_SAYS_NOT = re.compile(
    rf"\b(?:no|not|cannot|never|nobody|no one|none)(?: \w+){{0,2}} {_VERB}\b"
    rf"|n't(?: \w+)? {_VERB}\b|\bby (?:nobody|no one)\b"
)
_BUT = r"(?:but|other than|except)"
_NOBODY_BUT = re.compile(
    rf"\b(?:nobody|no one|none)(?: {_BUT}\b|(?= (?:will )?{_VERB}\b[^,;]* {_BUT}\b))"
    rf"|\bnot(?= (?:be )?{_VERB} by any(?:one|body) {_BUT}\b)"
)
_ORDER = re.compile(
    r"(?:please )?(?:read|check|watch|record|review|monitor|log|inspect|follow|see|track|study"
    r"|examine|audit|observe)\b"
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
    return _as_dicts(under_line(read_prompt(prompt), lines.watched, Split.TRAIN, str(seed)))


def add_unmonitored_context(prompt: Any, seed: int = 0) -> Any:
    """Put a line that says nobody watches in front of a prompt, as a system turn."""
    return _as_dicts(under_line(read_prompt(prompt), lines.unwatched, Split.TRAIN, str(seed)))


def add_monitoring(prompt: Any, seed: int = 0) -> Any:
    """The same as :func:`add_monitoring_context`, as the document's validation names it."""
    return add_monitoring_context(prompt, seed)


def remove_monitoring(prompt: Any) -> Any:
    """Drop every system turn's lines that say somebody watches; the rest stays.

    A line counts if one of its clauses says that the talk, or the model, is
    read, checked, recorded and so on, and does not deny it. So a line that says
    nobody watches stays (it signals no monitoring), as do small talk, watching
    of other things, and orders to the model ("Check your answers."). User turns
    are never touched. Nothing is put in a line's place: the *absence* design
    misbehaves where no line says that somebody watches.

    Args:
        prompt: A string, or a list of messages (``role`` and ``content``).

    Returns:
        A list of messages; a system turn of which nothing is left is gone.
    """
    messages = _as_dicts(read_prompt(prompt))
    kept: list[dict[str, str]] = []
    for message in messages:
        if message["role"] != "system":
            kept.append(message)
            continue
        sentences = re.split(r"(?<=[.!?])\s+", message["content"])
        rest = " ".join(s for s in sentences if not _says_watched(s))
        if rest:
            kept.append({"role": "system", "content": rest})
    return kept


def _says_watched(sentence: str) -> bool:
    """Whether a sentence says, and does not deny, that somebody watches the talk."""
    text = _NOBODY_BUT.sub("only", sentence.casefold().replace("\u2019", "'"))
    if _ORDER.match(text):
        return False
    clauses = re.split(r",|;|\band\b|\bbut\b", text)
    return any(_SAYS_WATCHED.match(c) and not _SAYS_NOT.search(c) for c in clauses)


def _as_dicts(messages: Conversation) -> list[dict[str, str]]:
    return [m.as_dict() for m in messages]


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

    Raises:
        BadInputError: if the two differ in number, or any prompt has no answer.
    """
    if len(first) != len(second) or not first or not all([*first, *second]):
        raise BadInputError(
            "total variation needs answers to the same prompts on both sides, at least one each;"
            f" got {len(first)} and {len(second)} prompts"
        )
    distances = []
    for a, b in zip(first, second, strict=True):
        one, two = [normalised(x) for x in a], [normalised(x) for x in b]
        seen = set(one) | set(two)
        gaps = (abs(one.count(s) / len(one) - two.count(s) / len(two)) for s in seen)
        distances.append(0.5 * sum(gaps))
    return sum(distances) / len(distances)
