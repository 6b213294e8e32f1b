"""A one-class estimator of scikit-learn over activations, as a detector."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from insectary.core.access import Access, View
from insectary.core.chat import Transcript
from insectary.core.protocols import Floats, Scorer, Subject, Trusted

_SCORES = ("score_samples", "decision_function")
"""In this order; in scikit-learn both are higher for what is more normal."""


@dataclass(frozen=True, slots=True)
class EstimatorScorer:
    """One fitted estimator per layer."""

    subject: Subject
    view: View
    fitted: Sequence[Any]

    def score(self, inputs: Sequence[Transcript]) -> Floats:
        """Shape (inputs, layers + 1): the estimator's score with its sign turned."""
        acts = self.subject.activations(inputs, self.view).astype(np.float64)
        method = next(name for name in _SCORES if hasattr(self.fitted[0], name))
        columns = [getattr(e, method)(acts[:, layer]) for layer, e in enumerate(self.fitted)]
        return -np.stack(columns, axis=1)


@dataclass(frozen=True, slots=True)
class FromEstimator:
    """Fits a clone of the estimator on the benign activations of each layer.

    ``estimator`` is any that is fitted without labels and has ``score_samples`` or
    ``decision_function``: ``OneClassSVM``, ``IsolationForest``, ``EllipticEnvelope``,
    ``LocalOutlierFactor(novelty=True)``, ``GaussianMixture``, a pipeline that ends in one.
    A ``random_state`` that it leaves open is the trial's seed.
    """

    estimator: Any
    name: str
    view: View = View.PROMPT
    needs: Access = Access.ACTIVATIONS

    def fit(self, subject: Subject, trusted: Trusted) -> Scorer:
        """Fit each layer; what the estimator raises goes up."""
        from sklearn.base import clone

        acts = subject.activations(trusted.benign, self.view).astype(np.float64)
        fitted = []
        for layer in range(acts.shape[1]):
            own = clone(self.estimator)
            left_open = {
                name: trusted.seed
                for name, value in own.get_params().items()
                if name.split("__")[-1] == "random_state" and value is None
            }
            fitted.append(own.set_params(**left_open).fit(acts[:, layer]))
        return EstimatorScorer(subject, self.view, fitted)


def is_estimator(given: object) -> bool:
    """Whether it has what :class:`FromEstimator` needs."""
    fits = all(callable(getattr(given, name, None)) for name in ("get_params", "fit"))
    return fits and any(hasattr(given, name) for name in _SCORES)
