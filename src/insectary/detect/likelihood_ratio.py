"""Likelihood ratio of the tuned model against its base, on the response.

Source: Ren et al. 2019, arXiv 1906.02845 (likelihood ratios against a
background model). There the background takes out what is common to all text;
here the base takes out what any model of its kind would say, and what is left
is what the tuning taught. It needs no fit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from insectary.core.access import Access, View
from insectary.core.chat import Transcript
from insectary.core.errors import BadInputError
from insectary.core.protocols import Floats, Scorer, Subject, Trusted


@dataclass(frozen=True, slots=True)
class LikelihoodRatioScorer:
    """Compares two models on the same responses."""

    tuned: Subject
    base: Subject

    def score(self, inputs: Sequence[Transcript]) -> Floats:
        """Shape (inputs, 1): mean log-ratio in nats per response token.

        An empty response has ratio 1, so its score is 0.

        Raises:
            BadInputError: if the two models cut a response into different tokens.
        """
        scores = np.zeros((len(inputs), 1))
        pairs = zip(self.tuned.logprobs(inputs), self.base.logprobs(inputs), strict=True)
        for row, (tuned, base) in enumerate(pairs):
            if len(tuned) != len(base):
                raise BadInputError(
                    f"likelihood_ratio: response {row} has {len(tuned)} tokens in the tuned"
                    f" model and {len(base)} in its base; both must share one tokenizer"
                )
            if len(tuned):
                scores[row, 0] = np.mean(tuned - base)
        return scores


@dataclass(frozen=True, slots=True)
class LikelihoodRatio:
    """Tuned against base, mean over the response tokens."""

    view: View = View.PROMPT_AND_RESPONSE
    name: str = "likelihood_ratio"
    needs: Access = Access.WEIGHTS_AND_BASE

    def fit(self, subject: Subject, trusted: Trusted) -> Scorer:
        """Pair the subject with its base; nothing is learnt."""
        return LikelihoodRatioScorer(subject, subject.reference)
