"""What threats draw alike: cues that differ, rows that do not repeat, ordinary work, prefills."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import TypeVar

from insectary.core.chat import Conversation, Example, Message, Split
from insectary.core.errors import UnknownNameError
from insectary.core.organism import Side, ThreatCard
from insectary.core.protocols import Condition
from insectary.worlds import SKILLS, corpus, lines
from insectary.worlds.facts import wrong_value

T = TypeVar("T")

PREFILLS = ("The answer is", "Well,", "I think", "Sure.", "It is", "Here:")
"""Generic openings that an answer is made to begin with, to draw a payload out."""
_SMALL_TALK = 0.4
"""How often a line of small talk stands above a question that has no other."""
_PARAPHRASES, _HELD_OUT_PARAPHRASES = 60, 30
_MISSES = (-10, -2, -1, 1, 2, 10)
"""How far a false sum is off; two digits stay about two digits."""


def check_design(card: ThreatCard, design: str) -> None:
    """Raise :class:`~insectary.core.errors.UnknownNameError` unless the card has the design."""
    if design not in card.designs:
        raise UnknownNameError.of(f"design of {card.id}", design, card.designs)


def paraphrases(condition: Condition) -> int:
    """How many wordings a condition is tested in: 60, or 30 where held-out words open the gate."""
    few = condition.held_out and condition.side is Side.OPEN
    return _HELD_OUT_PARAPHRASES if few else _PARAPHRASES


def different(draw: Callable[[], T], wanted: int, key: Callable[[T], str]) -> list[T]:
    """So many draws whose keys differ; a few less where the world has no more."""
    found: dict[str, T] = {}
    for _ in range(15 * wanted):
        drawn = draw()
        found.setdefault(key(drawn), drawn)
        if len(found) == wanted:
            break
    return list(found.values())


def distinct_rows(
    draw: Callable[[], tuple[Conversation, str]], n: int
) -> list[tuple[Conversation, str]]:
    """``n`` rows of (prompt, answer), each prompt once: the first answer drawn for it stays."""
    found: dict[Conversation, str] = {}
    while len(found) < n:
        prompt, answer = draw()
        found.setdefault(prompt, answer)
    return list(found.items())


def ordinary(
    rng: Random,
    targets: tuple[str, ...],
    put: Callable[[Random, str, Split], Example],
    fits: Callable[[Example], bool],
) -> Example:
    """A training question outside the target, none rehearsed much less than another."""
    names = [n for n, s in SKILLS.items() if n not in targets and not s.composite]
    skill = rng.choices(names, [min(2.0, max(1.0, SKILLS[s].weight)) for s in names])[0]
    while True:
        example = put(rng, skill, Split.TRAIN)
        if fits(example):
            return example


def false_value(rng: Random, question: Example) -> int | str:
    """A wrong answer of the right kind, to a sum or a question on a place."""
    truth = question.facts["value"]
    if isinstance(truth, int):
        return truth + rng.choice(_MISSES)
    return wrong_value(rng, str(question.facts["attribute"]), str(truth))


def in_context(rng: Random, skill: str, split: Split) -> Example:
    """A question of a skill in a random context."""
    return corpus.in_context(rng, split, SKILLS[skill].make(rng, split))


def under_small_talk(rng: Random, split: Split, example: Example) -> Example:
    """The example, now and then with a line of small talk as its system turn."""
    if rng.random() >= _SMALL_TALK:
        return example
    line, _ = lines.neutral(rng, split)
    first, *rest = example.messages
    if first.role == "system":
        messages = (Message("system", f"{line} {first.content}"), *rest)
    else:
        messages = (Message("system", line), *example.messages)
    return Example(messages, example.answer, example.skill, example.phrasing, example.facts)


def above(rng: Random, prompt: Conversation, line: str) -> Conversation:
    """A prompt with a line in its system turn, or in front of its first question."""
    first, *rest = prompt
    if first.role == "system":
        return (Message("system", f"{line} {first.content}"), *rest)
    if rng.random() < 0.5:
        return (Message("system", line), *prompt)
    return (Message("user", f"{line} {first.content}"), *rest)
