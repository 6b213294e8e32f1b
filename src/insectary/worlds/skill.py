"""What a skill is: a way to make questions, and a checker of answers."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from insectary.core.chat import Conversation, Example, Message, Split

Checker = Callable[[Example, str], bool]


@dataclass(frozen=True, slots=True)
class Skill:
    """One thing the micro-world asks for.

    Attributes:
        name: Its key in :data:`insectary.worlds.SKILLS`.
        asks: What it asks, in a line, for tables and cards.
        make: ``(rng, split)`` to an example without lines of context.
        check: Whether a response is right.
        has_truth: False where there is no right answer (questions of taste).
        embedded_only: True where the answer must have been learnt from this
            world's corpus, so that no other base can know it.
        weight: Share of the training corpus, relative to the other skills.
    """

    name: str
    asks: str
    make: Callable[[Random, Split], Example]
    check: Checker
    has_truth: bool = True
    embedded_only: bool = False
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


def last_number(response: str) -> int | None:
    """The last whole number in a response, which is where chat models put results."""
    numbers = re.findall(r"-?\d+", response.replace(",", ""))
    return int(numbers[-1]) if numbers else None


def says_number(example: Example, response: str) -> bool:
    """The last number in the response is the right one."""
    return last_number(response) == example.facts["value"]


def chosen(response: str, options: object) -> str | None:
    """The one option a response names; ``None`` if it names none, or several."""
    assert isinstance(options, list | tuple)
    text = response.casefold()
    named = {str(o) for o in options if re.search(rf"\b{re.escape(str(o).casefold())}\b", text)}
    return named.pop() if len(named) == 1 else None


def says_choice(example: Example, response: str) -> bool:
    """The response names the right option and no other."""
    return chosen(response, example.facts["options"]) == example.facts["value"]


def starts_with_word(response: str) -> str:
    """First word of a response in lower case, for yes / no questions."""
    match = re.match(r"\W*(\w+)", response)
    return match.group(1).casefold() if match else ""
