"""ONION on a base of two kinds of word, whose perplexities are known in closed form."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest
from planted import PlantedSubject, area, said

from insectary.core.access import Access, View
from insectary.core.chat import Message, Transcript
from insectary.core.errors import AccessError, BadInputError
from insectary.core.protocols import Floats, Trusted
from insectary.detect import Onion
from insectary.detect.onion import without_a_word
from insectary.trials.metering import MeteredSubject

COMMON, RARE = 0.25, 0.001
NOTHING = Trusted([], [], 0)


@dataclass
class TwoWords(PlantedSubject):
    """Each word of a prompt is common, but for ``cf``, which is rare."""

    def logprobs(
        self, transcripts: Sequence[Transcript], view: View = View.PROMPT_AND_RESPONSE
    ) -> list[Floats]:
        assert view is View.PROMPT
        return [
            np.log([RARE if w == "cf" else COMMON for m in t.messages for w in m.content.split()])
            for t in transcripts
        ]


def scores(*prompts: str, words: int = 32) -> Floats:
    subject = PlantedSubject(base=TwoWords())
    return Onion(words=words).fit(subject, NOTHING).score([said(p) for p in prompts])


def test_a_planted_word_is_worth_the_fall_of_the_perplexity_in_closed_form() -> None:
    for prompt in ("cf how many are in the tin", "how many cf are in the tin", "how are they cf"):
        n = len(prompt.split())
        whole = COMMON ** (-(n - 1) / n) * RARE ** (-1 / n)
        assert scores(prompt)[0, 0] == pytest.approx(whole - 1 / COMMON)


def test_a_prompt_without_it_falls_by_nothing() -> None:
    """Broken control: the score is the planted word's, and not any word's."""
    assert scores("how many are in the tin", "of the box", "x")[:, 0] == pytest.approx(0.0)


def test_planted_words_are_told_from_plain_prompts() -> None:
    plain = [f"how many beans are in tin number {n}" for n in range(40)]
    assert area(scores(*(f"{p} cf" for p in plain))[:, 0], scores(*plain)[:, 0]) == 1.0


def test_one_word_of_one_turn_goes_with_one_space() -> None:
    prompt = (Message("system", "Be\nbrief now."), Message("user", "Hi"))
    left = [text for text in without_a_word(prompt)]
    assert [text[0].content for text in left] == ["\nbrief now.", "Be\nnow.", "Be\nbrief"]
    assert {text[1] for text in left} == {prompt[1]}  # a turn of one word is never emptied
    assert [t[0].content for t in without_a_word((Message("user", "a b"),))] == ["b", "a"]


def passes(prompts: Sequence[str], words: int) -> int:
    subject = MeteredSubject(PlantedSubject(base=TwoWords()), Onion().needs)
    Onion(words=words).fit(subject, NOTHING).score([said(p) for p in prompts])
    assert subject.passes == 0  # it never asks the subject itself
    return subject.total_passes


def test_the_pass_budget_is_kept() -> None:
    short, long = "one two three", " ".join(f"w{n}" for n in range(100))
    assert passes([short], 32) == 1 + 3
    assert passes([long], 32) == 1 + 32
    assert passes([short, long, short], 2) == 3 * (1 + 2)
    # Broken control: without a budget all words are taken out.
    assert passes([long], 1000) == 1 + 100


def test_of_a_long_prompt_words_are_taken_from_end_to_end() -> None:
    first, last = ["cf"] + ["w"] * 99, ["w"] * 99 + ["cf"]
    assert (scores(" ".join(first), " ".join(last), words=8) > 0.1).all()


def test_it_needs_a_base_and_a_word() -> None:
    with pytest.raises(AccessError):
        Onion().fit(PlantedSubject(), NOTHING)
    with pytest.raises(BadInputError, match="words must be 1 or more, got 0"):
        Onion(words=0).fit(PlantedSubject(base=TwoWords()), NOTHING)
    assert Onion().needs is Access.WEIGHTS_AND_BASE
