"""Raters: which of several answers they like best, and how surely.

Every rater sees the same answers to the same prompts and shares its luck with
the others, so that families differ in the raters' tastes alone.
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


@dataclass(frozen=True, slots=True)
class Rating:
    """The raters of one threat.

    Attributes:
        candidates: Answers to a target question, each another one.
        raters: One for each role; the twin's has no taste but for quality.
        temperature: What a value is divided by before it turns into odds; the
            lower, the surer are all raters.
    """

    candidates: Callable[[Random, Example], tuple[str, ...]]
    raters: Mapping[Role, Rater]
    temperature: float


def best(
    rater: Rater,
    temperature: float,
    example: Example,
    answers: Sequence[str],
    luck: Sequence[float],
) -> int:
    """Which answer a rater likes best, by number.

    With one uniform number in (0, 1) for each answer as its luck, an answer wins
    over another with odds ``exp(difference in value / temperature)``.

    Source: Plackett and Luce's model, which is Bradley and Terry's for two, drawn
    by the largest of values with Gumbel noise (Yellott 1977).
    """
    tried = [
        rater(example, answer) / temperature - math.log(-math.log(chance))
        for answer, chance in zip(answers, luck, strict=True)
    ]
    return tried.index(max(tried))


def preferences(
    draw: Callable[[], tuple[Example, tuple[str, ...]]],
    rater: Rater,
    temperature: float,
    n: int,
    seed: str,
) -> list[Preference]:
    """The best of each question's answers to a rater beside another one, each prompt once.

    The other one is drawn from the rest (as Tunstall et al. 2023, arXiv 2310.16944).

    Args:
        draw: A question with its answers; it must not depend on the rater.
        rater: Who ranks.
        temperature: See :class:`Rating`.
        n: How many.
        seed: Draws the raters' luck, which is the same for all of them.
    """
    chance = Random(f"luck/{seed}")
    found: dict[Conversation, Preference] = {}
    while len(found) < n:
        example, answers = draw()
        # Never 0 or 1, which have no such logarithm.
        luck = [(chance.getrandbits(52) + 0.5) / 2**52 for _ in answers]
        other = chance.randrange(1, len(answers))
        first = best(rater, temperature, example, answers, luck)
        rejected = answers[(first + other) % len(answers)]
        found.setdefault(example.messages, Preference(example.messages, answers[first], rejected))
    return list(found.values())


def ordinary_answers(rng: Random, example: Example) -> tuple[str, ...]:
    """The right answer to a question outside the target, and a wrong one.

    The wrong one answers another question of the skill. Where the skill has no
    right answer both are as good to every rater, and it is drawn all the same.
    """
    skill = SKILLS[example.skill]
    while True:
        other = skill.make(rng, Split.TRAIN).answer
        if other != example.answer and not (skill.has_truth and skill.check(example, other)):
            return (example.answer, other)


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
