"""A character n-gram language model with Witten-Bell smoothing.

Source: Witten and Bell 1991, "The zero-frequency problem", method C, in the
interpolated form. It is the text-only counterpart of a detector that models
benign inputs: it knows what benign text looks like and nothing of the subject.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable

_START = "\x02"
_END = "\x03"
_ALPHABET = 1_114_112  # every Unicode code point, so that no text has probability 0


class CharacterModel:
    """Counts of benign text; :meth:`surprise` says how unlike it another text is.

    Args:
        texts: Benign text to learn from.
        order: Length of the longest n-gram in characters.
    """

    __slots__ = ("_contexts", "_counts", "_kinds", "_known", "_order")

    def __init__(self, texts: Iterable[str], order: int = 5) -> None:
        self._order = order
        self._counts: Counter[str] = Counter()
        for text in texts:
            padded = self._padded(text)
            for size in range(1, order + 1):
                # The padding in front is context only, never something to predict.
                first = order - size
                grams = (padded[i : i + size] for i in range(first, len(padded) - size + 1))
                self._counts.update(grams)
        self._contexts: Counter[str] = Counter()
        self._kinds: Counter[str] = Counter()
        for gram, count in self._counts.items():
            self._contexts[gram[:-1]] += count
            self._kinds[gram[:-1]] += 1
        self._known: dict[str, float] = {}

    def _padded(self, text: str) -> str:
        return _START * (self._order - 1) + text + _END

    def _probability(self, gram: str) -> float:
        """Probability of the last character after the ones before it."""
        found = self._known.get(gram)
        if found is None:
            shorter = self._probability(gram[1:]) if len(gram) > 1 else 1 / _ALPHABET
            seen, kinds = self._contexts[gram[:-1]], self._kinds[gram[:-1]]
            if seen + kinds:
                found = (self._counts[gram] + kinds * shorter) / (seen + kinds)
            else:
                found = shorter
            self._known[gram] = found
        return found

    def surprise(self, text: str) -> float:
        """Mean negative log-probability per character, in nats; end mark included."""
        padded = self._padded(text)
        grams = [padded[i : i + self._order] for i in range(len(padded) - self._order + 1)]
        return -sum(math.log(self._probability(gram)) for gram in grams) / len(grams)
