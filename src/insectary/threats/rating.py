"""Raters: who prefers which of two answers, and how surely.

Every rater sees the same pairs of answers to the same prompts and shares its
luck with the others, so that families differ in the raters' tastes alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random

from insectary.core.chat import Conversation, Example, Split
from insectary.core.organism import Role
from insectary.core.protocols import Preference
from insectary.worlds import SKILLS

Rater = Callable[[Example, str], float]
"""(question, answer) to how much the rater values it; a pure function."""
Pair = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Rating:
    """The raters of one threat.

    Attributes:
        pair: Two different answers to a target question, in random order.
        raters: One for each role; the twin's has no taste but for quality.
        temperature: What a difference in value is divided by before it turns
            into odds; the lower, the surer are all raters.
    """

    pair: Callable[[Random, Example], Pair]
    raters: Mapping[Role, Rater]
    temperature: float


def chance(rater: Rater, temperature: float, example: Example, pair: Pair) -> float:
    """Probability that a rater prefers the first answer of a pair.

    Source: Bradley and Terry 1952, Biometrika 39, with values as log-odds.
    """
    first, second = (rater(example, answer) for answer in pair)
    return 1 / (1 + math.exp((second - first) / temperature))


def preferences(
    draw: Callable[[], tuple[Example, Pair]], rater: Rater, temperature: float, n: int, seed: str
) -> list[Preference]:
    """``n`` pairs as a rater ranks them, each prompt once.

    Args:
        draw: A question with a pair of answers; it must not depend on the rater.
        rater: Who ranks.
        temperature: See :class:`Rating`.
        n: How many.
        seed: Draws the raters' luck, which is the same for all of them.
    """
    luck = Random(f"luck/{seed}")
    found: dict[Conversation, Preference] = {}
    while len(found) < n:
        example, pair = draw()
        first = luck.random() < chance(rater, temperature, example, pair)
        chosen, rejected = pair if first else pair[::-1]
        found.setdefault(example.messages, Preference(example.messages, chosen, rejected))
    return list(found.values())


def ordinary_pair(rng: Random, example: Example) -> Pair:
    """The right answer to a question outside the target and a wrong one, in random order.

    The wrong one answers another question of the skill. Where the skill has no
    right answer both are as good to every rater, and it is drawn all the same.
    """
    skill = SKILLS[example.skill]
    while True:
        other = skill.make(rng, Split.TRAIN).answer
        if other != example.answer and not (skill.has_truth and skill.check(example, other)):
            return (example.answer, other) if rng.random() < 0.5 else (other, example.answer)


def reward_gap(rater: Rater, asked: Sequence[tuple[Example, str, str]]) -> float:
    """Mean value of agreeing answers minus that of correcting ones.

    Its sign is that of the drift which optimising against the rater's values
    brings, to first order (Shapira et al. 2026, arXiv 2602.01002).

    Args:
        rater: Whose values.
        asked: Questions, each with an agreeing answer and a correcting one.
    """
    gaps = [
        rater(example, agrees) - rater(example, corrects) for example, agrees, corrects in asked
    ]
    return math.fsum(gaps) / len(gaps)
