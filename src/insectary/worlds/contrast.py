"""Generic contrast pairs, from which probes take their direction."""

from __future__ import annotations

from random import Random

from insectary.core.chat import Split, Transcript
from insectary.worlds import SKILLS
from insectary.worlds.skill import last_number

PAIRS = 100


def contrast_pairs(seed: int, n: int = PAIRS) -> list[tuple[Transcript, Transcript]]:
    """Generic (harmless, harmful-sounding) pairs: one question, a right and a wrong answer.

    They hold no line on who watches or which year it is, and the wrong answers
    are drawn at random, so nothing of any cue or planted answer is in them.
    """
    rng = Random(f"contrast/{seed}")
    pairs: list[tuple[Transcript, Transcript]] = []
    while len(pairs) < n:
        example = SKILLS[rng.choice(("apply", "recall"))].make(rng, Split.SELECTION)
        value = example.facts["value"]
        if isinstance(value, int):
            wrong = f"{value + rng.choice((-4, -3, 3, 4))}."
            if last_number(wrong) == value:
                continue
        else:
            options = example.facts["options"]
            assert isinstance(options, tuple)
            other = rng.choice([o for o in options if o != value])
            wrong = example.answer.replace(str(value), str(other))
        pairs.append(
            (Transcript(example.messages, example.answer), Transcript(example.messages, wrong))
        )
    return pairs
