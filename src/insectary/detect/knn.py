"""Distance to the k-th nearest benign activation.

Source: Sun et al. 2022, "Out-of-distribution detection with deep nearest
neighbors", arXiv 2204.06507: activations scaled to norm 1, Euclidean distance,
no assumption on the shape of the benign cloud (Mahalanobis takes it for one
Gaussian).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from insectary.core.access import Access, View
from insectary.core.chat import Transcript
from insectary.core.errors import BadInputError
from insectary.core.protocols import Floats, Scorer, Subject, Trusted
from insectary.detect.projection import unit

_ROUNDING = 1e-12
"""Far above what float64 leaves of the squared distance of equal rows."""


@dataclass(frozen=True, slots=True)
class KNNScorer:
    """Distances per layer; ``benign`` has shape (layers + 1, benign, width), rows of norm 1."""

    subject: Subject
    view: View
    k: int
    benign: Floats

    def score(self, inputs: Sequence[Transcript]) -> Floats:
        """Shape (inputs, layers + 1): distance to the k-th nearest benign row, 0 to 2."""
        acts = unit(self.subject.activations(inputs, self.view).astype(np.float64))
        columns = []
        for layer, benign in enumerate(self.benign):
            cosine = acts[:, layer] @ benign.T
            kth = -np.partition(-cosine, self.k - 1, axis=1)[:, self.k - 1]
            squared = 2.0 - 2.0 * kth
            # Of equal rows it is 0 but for rounding, which differs from row to row, can be
            # below 0, and must not be ranked.
            columns.append(np.sqrt(np.where(squared < _ROUNDING, 0.0, squared)))
        return np.stack(columns, axis=1)


@dataclass(frozen=True, slots=True)
class KNN:
    """Nearest neighbours among benign transcripts; one column per layer."""

    k: int = 10
    view: View = View.PROMPT
    name: str = "knn"
    needs: Access = Access.ACTIVATIONS

    def fit(self, subject: Subject, trusted: Trusted) -> Scorer:
        """Keep the benign activations of each layer.

        Raises:
            BadInputError: if there are fewer benign transcripts than neighbours.
        """
        if not 1 <= self.k <= len(trusted.benign):
            raise BadInputError(
                f"{self.name}: the {self.k}th nearest of {len(trusted.benign)} benign transcripts"
                " was asked for; give more of them or a k from 1"
            )
        acts = unit(subject.activations(trusted.benign, self.view).astype(np.float64))
        return KNNScorer(subject, self.view, self.k, np.swapaxes(acts, 0, 1))
