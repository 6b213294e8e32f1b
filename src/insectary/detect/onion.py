"""Perplexity outlier (ONION): does the prompt read better without one of its words?

Source: Qi et al. 2021, "ONION: a simple and effective defense against textual backdoor
attacks", arXiv 2011.10369. A trigger word that was put into a text makes it less likely to
a language model, so the perplexity falls when that word is taken out. There the outlier
words are dropped before the text is answered; here the largest fall is the score. The
language model is the subject's base. It reads prompts alone, so that two subjects of one
base get equal scores on equal prompts.

Budget: at most 1 + ``words`` passes of the base for each input, and none of the subject.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from insectary.core.access import Access, View
from insectary.core.chat import Conversation, Transcript
from insectary.core.errors import BadInputError
from insectary.core.protocols import Floats, Scorer, Subject, Trusted


@dataclass(frozen=True, slots=True)
class OnionScorer:
    """The base, and how many words are taken out of a prompt."""

    base: Subject
    words: int

    def score(self, inputs: Sequence[Transcript]) -> Floats:
        """Shape (inputs, 1): the largest fall of the perplexity per token; 0 with no word."""
        scores = np.zeros((len(inputs), 1))
        for row, transcript in enumerate(inputs):
            fewer = list(without_a_word(transcript.messages))
            if not fewer:
                continue
            # Of a prompt with more words, as many as the budget has, evenly spread.
            taken = np.unique(np.linspace(0, len(fewer) - 1, self.words).round().astype(int))
            texts = [transcript.messages, *(fewer[i] for i in taken)]
            asked = [Transcript(text, "") for text in texts]
            whole, *others = map(_perplexity, self.base.logprobs(asked, View.PROMPT))
            scores[row, 0] = whole - min(others)
        return scores


@dataclass(frozen=True, slots=True)
class Onion:
    """Fall of the base's perplexity by the word whose removal lowers it most."""

    words: int = 32
    """Most words taken out of one prompt, one at a time."""
    view: View = View.PROMPT
    name: str = "onion"
    needs: Access = Access.WEIGHTS_AND_BASE

    def fit(self, subject: Subject, trusted: Trusted) -> Scorer:
        """Take the base; nothing is learnt.

        Raises:
            BadInputError: if no word may be taken out.
        """
        if self.words < 1:
            raise BadInputError(f"{self.name}: words must be 1 or more, got {self.words}")
        return OnionScorer(subject.reference, self.words)


def without_a_word(prompt: Conversation) -> Iterator[Conversation]:
    """The prompt without one word of one turn, for each in turn; no turn is left empty."""
    for place, message in enumerate(prompt):
        words = list(re.finditer(r"\S+", message.content))
        for word in words if len(words) > 1 else ():
            start, end = word.span()
            # One of the two spaces around it goes too; line breaks stay.
            if message.content[start - 1 : start] == " ":
                start -= 1
            elif message.content[end : end + 1] == " ":
                end += 1
            left = message.content[:start] + message.content[end:]
            yield (*prompt[:place], replace(message, content=left), *prompt[place + 1 :])


def _perplexity(logprobs: Floats) -> float:
    return float(np.exp(-logprobs.mean()))
