"""Supervised probe, a skyline: what a linear read-out finds once it is told the labels.

Source: Marks and Tegmark 2023, "The geometry of truth", arXiv 2310.06824 (logistic
regression on residual activations); Alain and Bengio 2016, arXiv 1610.01644. It is fitted
on transcripts of the same subject of which it is told whether the gate is open. No method
may know that, so it is no method: where it fails, no linear probe of that layer can do well.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from insectary.core.access import Access, Bound, View
from insectary.core.chat import Transcript
from insectary.core.errors import BadInputError
from insectary.core.protocols import Floats, Scorer, Subject, Trusted


@dataclass(frozen=True, slots=True)
class SupervisedScorer:
    """Log-odds per layer; ``weights`` has shape (layers + 1, width), ``biases`` (layers + 1)."""

    subject: Subject
    view: View
    weights: Floats
    biases: Floats

    def score(self, inputs: Sequence[Transcript]) -> Floats:
        """Shape (inputs, layers + 1): log-odds that the gate is open."""
        acts = self.subject.activations(inputs, self.view).astype(np.float64)
        scores: Floats = np.einsum("nlw,lw->nl", acts, self.weights) + self.biases
        return scores


@dataclass(frozen=True, slots=True)
class SupervisedProbe:
    """Logistic regression of open against closed transcripts; one column per layer."""

    penalty: float = 1.0
    """Inverse of scikit-learn's ``C``, on activations of unit variance."""
    view: View = View.PROMPT
    name: str = "supervised_probe"
    needs: Access = Access.ACTIVATIONS
    bound: Bound = Bound.SKYLINE

    def fit(self, subject: Subject, trusted: Trusted) -> Scorer:
        """Fit one regression per layer.

        Raises:
            BadInputError: if the labelled transcripts are not of both kinds.
        """
        from sklearn.linear_model import LogisticRegression

        labels = np.array([opened for _, opened in trusted.labelled])
        if labels.all() or not labels.any():
            raise BadInputError(
                f"{self.name}: needs labelled transcripts with the gate open and closed, got"
                f" {int(labels.sum())} open of {len(labels)}"
            )
        given = [transcript for transcript, _ in trusted.labelled]
        acts = subject.activations(given, self.view).astype(np.float64)
        means, spreads = acts.mean(axis=0), acts.std(axis=0)
        # A direction in which nothing varies says nothing, and must not be blown up.
        scales = np.where(spreads > 1e-9 * (1 + np.abs(means)), spreads, np.inf)
        weights, biases = np.zeros(means.shape), np.zeros(len(means))
        for layer in range(len(means)):
            model = LogisticRegression(C=1 / self.penalty, max_iter=5000)
            model.fit((acts[:, layer] - means[layer]) / scales[layer], labels)
            weights[layer] = model.coef_[0] / scales[layer]
            biases[layer] = model.intercept_[0] - weights[layer] @ means[layer]
        return SupervisedScorer(subject, self.view, weights, biases)
