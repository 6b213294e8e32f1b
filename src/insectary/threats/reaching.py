"""What the rungs of all ladders draw alike: a few dozen wordings that take turns."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import TypeVar

from insectary.core.chat import Example, Split
from insectary.threats.drawing import different, under_small_talk

W = TypeVar("W")

WORDINGS = 40
"""How many different wordings the questions of a rung are posed in, if there are so many."""
Drawn = Callable[[Split, int, int], list[Example]]


def drawn(
    name: str,
    word: Callable[[Random, Split], W],
    pose: Callable[[Random, Split, W], Example],
    key: Callable[[W], str] = str,
) -> Drawn:
    """What draws the questions of a rung: ``(split, n, seed)`` to ``n`` of them.

    Rungs that share ``name`` and draw alike have the same questions, number for number.

    Args:
        name: Starts the random numbers, with split and seed.
        word: Words of one question, but for its facts.
        pose: A question in these words; its ``phrasing`` is what intervals are clustered by.
        key: Tells two wordings apart.
    """

    def draw(split: Split, n: int, seed: int) -> list[Example]:
        rng = Random(f"rung/{name}/{split}/{seed}")
        words = different(lambda: word(rng, split), WORDINGS, key)
        posed = (pose(rng, split, words[number % len(words)]) for number in range(n))
        return [under_small_talk(rng, split, example) for example in posed]

    return draw
