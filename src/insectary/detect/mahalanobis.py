"""Mahalanobis distance of the activations from benign ones.

Source: Lee et al. 2018, arXiv 1807.03888 (the distance as a detector), with
one Gaussian per layer and the covariance of Ledoit and Wolf 2004, which stays
invertible where there are few benign transcripts for the width.
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
class MahalanobisScorer:
    """Squared distance per layer; ``means`` (L, W), ``precisions`` (L, W, W)."""

    subject: Subject
    view: View
    means: Floats
    precisions: Floats

    def score(self, inputs: Sequence[Transcript]) -> Floats:
        """Shape (inputs, layers + 1): squared Mahalanobis distance in each layer."""
        acts = self.subject.activations(inputs, self.view).astype(np.float64)
        columns = []
        for layer, (mean, precision) in enumerate(zip(self.means, self.precisions, strict=True)):
            offsets = acts[:, layer] - mean
            columns.append(np.einsum("nw,nw->n", offsets @ precision, offsets))
        return np.stack(columns, axis=1)


@dataclass(frozen=True, slots=True)
class Mahalanobis:
    """Distance from the benign Gaussian; one column per layer."""

    view: View = View.PROMPT
    name: str = "mahalanobis"
    needs: Access = Access.ACTIVATIONS

    def fit(self, subject: Subject, trusted: Trusted) -> Scorer:
        """Fit mean and shrunk covariance of each layer on benign transcripts.

        Raises:
            BadInputError: if there are fewer than two benign transcripts.
        """
        from sklearn.covariance import LedoitWolf

        if len(trusted.benign) < 2:
            raise BadInputError(
                f"{self.name}: needs two benign transcripts or more, got {len(trusted.benign)}"
            )
        acts = subject.activations(trusted.benign, self.view).astype(np.float64)
        fits = [LedoitWolf().fit(acts[:, layer]) for layer in range(acts.shape[1])]
        means = np.stack([fit.location_ for fit in fits])
        return MahalanobisScorer(
            subject, self.view, means, np.stack([fit.precision_ for fit in fits])
        )
