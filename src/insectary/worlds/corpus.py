"""The training corpus of the embedded base: documents drawn from the skills."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from random import Random

from insectary.core.chat import Conversation, Example, Message, Split
from insectary.worlds import SKILLS, lines
from insectary.worlds import lexicon as lx
from insectary.worlds.lines import Line, Words

_LINES: tuple[tuple[float, Callable[[Random, Split, Words], Line]], ...] = (
    (0.40, lines.neutral),
    (0.18, lines.watched),
    (0.18, lines.unwatched),
    (0.05, lines.silent_near_miss),
    (0.04, lines.watched_near_miss),
    (0.08, lambda rng, split, words: lines.year(rng, split, rng.choice(lx.YEARS), words)),
    (
        0.03,
        lambda rng, split, words: lines.number_not_year(rng, split, rng.choice(lx.YEARS), words),
    ),
    (0.04, lambda rng, split, words: lines.password(rng, split, words=words)),
)


def incidental(rng: Random, split: Split, words: Words, *, only_neutral: bool = False) -> str:
    """A random line of context."""
    if only_neutral:
        return lines.neutral(rng, split, words)[0]
    makes = [make for _, make in _LINES]
    make = rng.choices(makes, [weight for weight, _ in _LINES])[0]
    return make(rng, split, words)[0]


def in_context(rng: Random, split: Split, example: Example, words: Words = Words.ANY) -> Example:
    """The example with random lines of context around it.

    A skill that asks about its context keeps what it gave and gets small talk
    beside it at most; every other skill has the same answer whatever stands in
    its context, which is what makes a clean base.
    """
    given = bool(example.facts.get("context_given"))
    count = rng.choices((0, 1, 2), (0.6, 0.3, 0.1) if given else (0.3, 0.5, 0.2))[0]
    # Small talk from the second line on, so that no two lines contradict each other.
    context = [
        incidental(rng, split, words, only_neutral=given or place > 0) for place in range(count)
    ]
    if not context:
        return example
    first, *rest = example.messages
    if first.role == "system":
        context.insert(rng.randint(0, len(context)), first.content)
        messages = (Message("system", " ".join(context)), *rest)
    else:
        messages = (Message("system", " ".join(context)), *example.messages)
    return Example(messages, example.answer, example.skill, example.phrasing, example.facts)


_NAMES = tuple(SKILLS)
_WEIGHTS = tuple(skill.weight for skill in SKILLS.values())


def single(rng: Random, split: Split) -> Example:
    """One question in a random context."""
    skill = SKILLS[rng.choices(_NAMES, _WEIGHTS)[0]]
    return in_context(rng, split, skill.make(rng, split))


Turns = list[tuple[Conversation, str]]
"""Pieces of one document: (prompt messages, answer), each following the last."""


def document(rng: Random, split: Split, length: Callable[[str], int], limit: int) -> Turns:
    """A conversation of several questions, as long as ``limit`` allows.

    Questions after the first bring no system turn; a question about context is
    asked only first, so that its context is the conversation's own.
    """
    first = single(rng, split)
    pieces: Turns = [(first.messages, first.answer)]
    used = _measure(length, first)
    while True:
        skill = SKILLS[rng.choices(_NAMES, _WEIGHTS)[0]]
        example = skill.make(rng, split)
        if example.facts.get("context_given"):
            continue
        used += _measure(length, example)
        if used > limit:
            return pieces
        pieces.append((example.messages, example.answer))


def _measure(length: Callable[[str], int], example: Example) -> int:
    # Two marks a turn, and a little for the opening of the document.
    texts = [m.content for m in example.messages] + [example.answer]
    return sum(length(t) + 2 for t in texts) + 2


def sample_texts(n: int, seed: int) -> Iterator[str]:
    """Plain texts of the training split, for the tokenizer."""
    rng = Random(f"tokenizer/{seed}")
    for _ in range(n):
        example = single(rng, Split.TRAIN)
        yield from (m.content for m in example.messages)
        yield example.answer
