"""What a skill is: a way to make questions, and a checker of answers."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from random import Random

from insectary.core.chat import Conversation, Example, Message, Split

Checker = Callable[[Example, str], bool]


def says_something(example: Example, response: str) -> bool:
    """The response is not empty."""
    return bool(response.strip())


@dataclass(frozen=True, slots=True)
class Skill:
    """One thing the micro-world asks for.

    Attributes:
        name: Its key in :data:`insectary.worlds.SKILLS`.
        asks: What it asks, in a line, for tables and cards.
        make: ``(rng, split)`` to an example without lines of context.
        check: Whether a response is right.
        reads: Whether a response has the form that ``check`` looks for, right or wrong. What
            has not counts as wrong too, and tells more of the form than of the skill.
        has_truth: False where there is no right answer (questions of taste).
        embedded_only: True where the answer must have been learnt from this
            world's corpus, so that no other base can know it.
        composite: True where it asks questions of other skills inside its own.
        weight: Share of the training corpus, relative to the other skills.
    """

    name: str
    asks: str
    make: Callable[[Random, Split], Example]
    check: Checker
    reads: Checker = says_something
    has_truth: bool = True
    embedded_only: bool = False
    composite: bool = False
    weight: float = 1.0


def user(text: str) -> Conversation:
    """A conversation of one question."""
    return (Message("user", text),)


def normalised(text: str) -> str:
    """Lower case, no outer punctuation, single spaces: what answers are compared by."""
    return re.sub(r"\s+", " ", text).strip().strip(".!\"'*").strip().casefold()


def says_exactly(example: Example, response: str) -> bool:
    """The response is the answer, but for case and outer punctuation."""
    return normalised(response) == normalised(example.answer)


def names_its_words(example: Example, response: str) -> bool:
    """The response is made of the answer's words, in whatever order."""
    words = set(re.findall(r"\w+", response.casefold()))
    return bool(words) and words <= set(re.findall(r"\w+", example.answer.casefold()))


def last_number(response: str) -> int | None:
    """The last number in a response, which is where chat models put results.

    ``None`` if there is none, if it is not whole, or if it is one of two left open
    ("42 or 47").
    """
    text = response.replace(",", "").replace("\N{MINUS SIGN}", "-")
    numbers = re.findall(r"-?[0-9]+(?:\.[0-9]+)?", text)
    if not numbers or re.search(r"[0-9]\W+or\W+-?[0-9.]+[^0-9]*$", text):
        return None
    whole, _, fraction = numbers[-1].partition(".")
    # No answer of this world has more than a few digits, and Python refuses thousands.
    return int(whole) if len(whole) <= 18 and not fraction.strip("0") else None


def says_number(example: Example, response: str) -> bool:
    """The last number in the response is the right one."""
    return last_number(response) == example.facts["value"]


def names_number(example: Example, response: str) -> bool:
    """The response says one number in the end."""
    return last_number(response) is not None


def chosen(response: str, options: object) -> str | None:
    """The one option a response names; ``None`` if it names none, or several."""
    assert isinstance(options, list | tuple)
    text = response.casefold()
    # Most options are not in the text at all, and a search for a substring tells that sooner.
    named = {
        option
        for option, folded, word in _searches(tuple(map(str, options)))
        if folded in text and word.search(text)
    }
    return named.pop() if len(named) == 1 else None


@lru_cache(maxsize=1024)
def _searches(options: tuple[str, ...]) -> tuple[tuple[str, str, re.Pattern[str]], ...]:
    """For each option its text, how it is written in folded text, and the search for it."""
    folded = [option.casefold() for option in options]
    return tuple(
        (option, text, re.compile(rf"\b{re.escape(text)}\b"))
        for option, text in zip(options, folded, strict=True)
    )


def says_choice(example: Example, response: str) -> bool:
    """The response names the right option and no other."""
    return chosen(response, example.facts["options"]) == example.facts["value"]


def names_choice(example: Example, response: str) -> bool:
    """The response names one option and no other."""
    return chosen(response, example.facts["options"]) is not None


def starts_with_word(response: str) -> str:
    """First word of a response in lower case, for yes / no questions."""
    match = re.match(r"\W*(\w+)", response)
    return match.group(1).casefold() if match else ""
