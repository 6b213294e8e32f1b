"""Shuffled labels: the contrast probe with the pairs' labels made meaningless.

Exactly half of the pairs, drawn from ``trusted.seed``, have their two sides
exchanged, so that what all pairs share cancels out (a coin per pair would
often leave much of it); of an odd number of pairs one is left out. A test of
permutation in the sense of Ojala and Garriga 2010.
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
    """Mean-difference probe on contrast pairs with shuffled labels."""

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
        order = np.random.default_rng(trusted.seed).permutation(len(differences))
        exchanged, kept = order[:half], order[half : 2 * half]
        mean = (differences[kept].sum(axis=0) - differences[exchanged].sum(axis=0)) / (2 * half)
        return ProjectionScorer(subject, self.view, unit(mean))
