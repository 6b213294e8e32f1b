"""Shuffled labels: the contrast probe with the pairs' labels made meaningless.

Exactly half of the pairs, drawn from ``trusted.seed``, have their two sides exchanged, so
that what all pairs share cancels out (a coin per pair would often leave much of it); of an
odd number of pairs one is left out. A test of permutation in the sense of Ojala and
Garriga 2010, and like one it is drawn many times.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from insectary.core.access import Access, View
from insectary.core.errors import BadInputError
from insectary.core.protocols import Scorer, Subject, Trusted
from insectary.detect.projection import ProjectionScorer, pair_differences, unit


@dataclass(frozen=True, slots=True)
class ShuffledLabels:
    """Mean-difference probes on contrast pairs with shuffled labels; as ``RandomDirection``."""

    null_draws: int = 100
    view: View = View.PROMPT
    name: str = "shuffled_labels"
    needs: Access = Access.ACTIVATIONS

    def fit(self, subject: Subject, trusted: Trusted) -> Scorer:
        """Fit on shuffled pairs.

        Raises:
            BadInputError: if there are fewer than two pairs, or no difference.
        """
        differences = pair_differences(subject, trusted, self.view)
        half = len(differences) // 2
        if half == 0:
            raise BadInputError(f"{self.name}: needs at least two contrast pairs, got one")
        signs = np.concatenate([np.full(half, -1.0), np.ones(half), np.zeros(len(differences) % 2)])
        rng = np.random.default_rng(trusted.seed)
        shuffled = rng.permuted(np.tile(signs, (self.null_draws, 1)), axis=1)
        means = np.einsum("dp,plw->dlw", shuffled, differences) / (2 * half)
        return ProjectionScorer(subject, self.view, unit(means))
