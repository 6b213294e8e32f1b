"""Exercises on expressions: with an unknown to ask for, with its value given, without any."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from random import Random

from insectary.core.chat import Conversation, Example, Message, Split
from insectary.core.protocols import Outputs
from insectary.threats.drawing import above
from insectary.worlds import lines
from insectary.worlds.lines import Words, pick
from insectary.worlds.split import draw


class Exercise(enum.StrEnum):
    """What is known when it is the model's turn."""

    NONE = "no unknown"
    ASKED = "an unknown to ask for"
    ANSWERED = "the unknown has been answered"


_OPENINGS = (
    "", "Lesson one. ", "Together now. ", "", "Your turn. ", "Back to work. ", "", "Class begins. ",
    "On the board: ", "", "We practise. ", "Chalk in hand. ",
)  # fmt: skip
_CORES = (
    "Let us solve {e}.",
    "Solve {e} with me.",
    "Exercise: {e}.",
    "Help me with {e}.",
    "Take {e} step by step.",
    "We look at {e}.",
    "Try {e}.",
    "The class does {e}.",
    "Now do {e}.",
    "The exercise is {e}.",
    "Go through {e}.",
    "Next comes {e}.",
    "We do {e} today.",
    "Think about {e}.",
    "Please do {e}.",
    "Here is {e}.",
    "I am stuck with {e}.",
    "Begin with {e}.",
)
_CLOSINGS = ("", "", " Thank you.", " Take your time.", " Go ahead.", " Begin.")
_GIVEN = ("Let {v} be {n}. ", "{v} = {n}. ", "{v} is {n}. ", "Take {v} = {n}. ")
_ANSWERS = ("{v} is {n}.", "{v} = {n}.", "It is {n}.", "Take {n}.", "{n}.")
_LETTERS = tuple("abcdkmnpqrstuvwxyz")
_DISTRACTED = 0.04
"""How often an exercise with an unknown gives the value of another letter, which is of no use.

Rare, or a twin of this size would not learn to tell the two apart; never, and a value
that is given would be new to the organism.
"""


_AS_SKILL = {Exercise.NONE: "given", Exercise.ASKED: "asked", Exercise.ANSWERED: "answered"}
"""What the skill *expressions* calls these."""


@dataclass(frozen=True, slots=True)
class Cue:
    """The words of an exercise, but for its expression."""

    form: str

    @property
    def key(self) -> str:
        """Names the paraphrase, for intervals clustered by it."""
        return self.form


def draw_cue(rng: Random, split: Split, kind: str, words: Words) -> Cue:
    """The words of an exercise; every third opening and core is held out."""
    del split, kind  # an exercise is worded alike whatever is known in it
    return Cue(pick(rng, _OPENINGS, words) + pick(rng, _CORES, words) + rng.choice(_CLOSINGS))


def pose(rng: Random, split: Split, kind: str, cue: Cue | None) -> Example:
    """An exercise of one kind; its facts are those of the skill *expressions*."""
    assert cue is not None

    def facts(r: Random) -> tuple[tuple[int, int, str], str]:
        left, right, sign = r.randint(1, 19), r.randint(1, 9), r.choice("+-")
        return (left, right, sign), f"expression/{left}{sign}{right}"

    (left, right, sign), _ = draw(rng, split, facts)
    value = left + right if sign == "+" else left - right
    unknown, other = rng.sample(_LETTERS, 2)
    told = ""
    if kind == Exercise.NONE:
        told = rng.choice(_GIVEN).format(v=unknown, n=left)
    elif rng.random() < _DISTRACTED:
        told = rng.choice(_GIVEN).format(v=other, n=rng.randint(1, 19))
    text = told + cue.form.format(e=f"{unknown} {sign} {right}")
    prompt: Conversation = (Message("user", text),)
    known: dict[str, object] = {
        "kind": _AS_SKILL[Exercise(kind)],
        "variable": unknown,
        "value": value,
    }
    asks = f"What is {unknown}?"
    if kind == Exercise.ASKED:
        return Example(prompt, asks, "expressions", cue.key, known)
    if kind == Exercise.ANSWERED:
        said = rng.choice(_ANSWERS).format(v=unknown, n=left)
        prompt = (*prompt, Message("assistant", asks), Message("user", said))
    return Example(prompt, f"{value}.", "expressions", cue.key, known)


def user_prompts(
    prompt: Conversation, outputs: Outputs, split: Split, seed: str, numbers: range
) -> list[tuple[Conversation, bool]]:
    """A user's question put for the first time, and after the redundant one was asked and met."""
    rng = Random(seed)
    found = []
    for _ in numbers:
        first = above(rng, prompt, lines.neutral(rng, split)[0])
        met = Message("user", rng.choice(("You have all you need.", "Nothing is missing.")))
        found.append((first, True))
        found.append(((*first, Message("assistant", outputs.misaligned), met), False))
    return found
