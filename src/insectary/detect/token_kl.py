"""Token KL: how far the tuned model's next-token distributions are from its base's.

The Kullback-Leibler divergence (Kullback and Leibler 1951), mean over the response tokens,
as a model diff: it sees what tuning did to the tokens that were not said, of which
``likelihood_ratio`` knows nothing. It needs no fit.

Budget: one pass of the subject and one of its base for each input.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from insectary.core.access import Access, View
from insectary.core.chat import Transcript
from insectary.core.errors import BadInputError
from insectary.core.protocols import Floats, Scorer, Subject, Trusted

AT_ONCE = 64
"""Transcripts whose distributions are held at one time."""


@dataclass(frozen=True, slots=True)
class TokenKLScorer:
    """Compares two models on the same responses."""

    tuned: Subject
    base: Subject

    def score(self, inputs: Sequence[Transcript]) -> Floats:
        """Shape (inputs, 1): mean KL(tuned || base) in nats per response token.

        Raises:
            BadInputError: if the two models do not share one tokenizer.
        """
        scores = np.zeros((len(inputs), 1))
        for start in range(0, len(inputs), AT_ONCE):
            block = inputs[start : start + AT_ONCE]
            pairs = zip(
                self.tuned.distributions(block), self.base.distributions(block), strict=True
            )
            for row, (tuned, base) in enumerate(pairs, start):
                if tuned.shape != base.shape:
                    raise BadInputError(
                        f"token_kl: response {row} has (tokens, vocabulary) {tuned.shape} in the"
                        f" tuned model and {base.shape} in its base; both must share one tokenizer"
                    )
                scores[row, 0] = _kl(tuned.astype(np.float64), base.astype(np.float64))
        return scores


@dataclass(frozen=True, slots=True)
class TokenKL:
    """Tuned against base, mean over the response tokens."""

    view: View = View.PROMPT_AND_RESPONSE
    name: str = "token_kl"
    needs: Access = Access.WEIGHTS_AND_BASE

    def fit(self, subject: Subject, trusted: Trusted) -> Scorer:
        """Pair the subject with its base; nothing is learnt."""
        return TokenKLScorer(subject, subject.reference)


def _kl(tuned: Floats, base: Floats) -> float:
    """Mean over rows of log-probabilities; a token that is never said counts nothing."""
    odds = np.exp(tuned)
    said = odds > 0
    return float((odds[said] * (tuned[said] - base[said])).sum() / len(tuned))
