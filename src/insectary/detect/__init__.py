"""Detectors: each is fitted on one subject and scores inputs; only bounds are told labels.

A detector is found by its name in the entry-point group
``insectary.detectors``; the built-in ones are registered there in the same
way as a plugin's. An entry point names a callable without arguments that
returns a :class:`~insectary.core.protocols.Detector`. No configuration ever
holds a dotted path. What is not registered is handed over as an object, in any
form that :func:`as_detector` knows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from insectary.core import plugins
from insectary.core.access import Access, View
from insectary.core.detecting import RowDetector
from insectary.core.errors import BadInputError
from insectary.core.protocols import Detector
from insectary.detect.constant import Constant
from insectary.detect.contrast_probe import ContrastProbe
from insectary.detect.estimator import FromEstimator, is_estimator
from insectary.detect.knn import KNN
from insectary.detect.likelihood_ratio import LikelihoodRatio
from insectary.detect.mahalanobis import Mahalanobis
from insectary.detect.method import FromMethod
from insectary.detect.onion import Onion
from insectary.detect.random_direction import RandomDirection
from insectary.detect.shuffled_labels import ShuffledLabels
from insectary.detect.spectral_signatures import SpectralSignatures
from insectary.detect.supervised_probe import SupervisedProbe
from insectary.detect.surface_text import SurfaceText
from insectary.detect.token_kl import TokenKL
from insectary.detect.trigger_oracle import TriggerOracle
from insectary.detect.weight_svd import WeightSVD

__all__ = [
    "BUILT_IN",
    "CONTROL",
    "GROUP",
    "KNN",
    "NULLS",
    "ROW_DETECTORS",
    "ROW_GROUP",
    "Constant",
    "ContrastProbe",
    "FromEstimator",
    "FromMethod",
    "LikelihoodRatio",
    "Mahalanobis",
    "Onion",
    "RandomDirection",
    "ShuffledLabels",
    "SpectralSignatures",
    "SupervisedProbe",
    "SurfaceText",
    "TokenKL",
    "TriggerOracle",
    "WeightSVD",
    "as_detector",
    "detector",
    "detector_names",
    "row_detector",
    "row_detector_names",
]

GROUP = "insectary.detectors"
ROW_GROUP = "insectary.row_detectors"
"""Detectors of training rows: an entry point names a callable that returns a ``RowDetector``."""

BUILT_IN: Mapping[str, Callable[[], Detector]] = MappingProxyType(
    {
        "surface_text": SurfaceText,
        "contrast_probe": ContrastProbe,
        "mahalanobis": Mahalanobis,
        "knn": KNN,
        "likelihood_ratio": LikelihoodRatio,
        "token_kl": TokenKL,
        "onion": Onion,
        "weight_svd": WeightSVD,
        "supervised_probe": SupervisedProbe,
        "trigger_oracle": TriggerOracle,
        "constant": Constant,
        "random_direction": RandomDirection,
        "shuffled_labels": ShuffledLabels,
    }
)
"""What the package itself registers; a test holds it equal to the entry points."""

ROW_DETECTORS: Mapping[str, Callable[[], RowDetector]] = MappingProxyType(
    {"spectral_signatures": SpectralSignatures}
)
"""The same of detectors of training rows."""

CONTROL = "surface_text"
NULLS = ("random_direction", "shuffled_labels", "constant")


def detector_names() -> tuple[str, ...]:
    """Names of all detectors installed, built-in and plugins, sorted.

    Raises:
        BadInputError: if two packages register one name.
    """
    return plugins.names(GROUP)


def detector(name: str) -> Detector:
    """Make the detector of that name with its own defaults.

    Raises:
        UnknownNameError: if no installed package registers the name.
        BadInputError: if it is registered twice, cannot be imported or is no detector.
    """
    members = "needs (Access), view (View) or fit(subject, trusted)"
    made: Detector = plugins.make(GROUP, "detector", name, members, _is_detector)
    return made


def row_detector_names() -> tuple[str, ...]:
    """Names of all detectors of training rows, as :func:`detector_names`."""
    return plugins.names(ROW_GROUP)


def row_detector(name: str) -> RowDetector:
    """Make the detector of training rows of that name; as :func:`detector`."""
    made: RowDetector = plugins.make(
        ROW_GROUP, "detector of training rows", name, "needs (Access) or score_rows(subject, rows)",
        lambda made: isinstance(getattr(made, "needs", None), Access)
        and callable(getattr(made, "score_rows", None)),
    )  # fmt: skip
    return made


def as_detector(given: object) -> Detector:
    """Accept a detector in any form.

    Args:
        given: The name of an installed one; a
            :class:`~insectary.core.protocols.Detector`; a function that is called as
            ``method(model, input)`` and returns ``{"flagged": bool}``; or a one-class
            estimator of scikit-learn, which is put over the activations of each layer.
            The last two go by the name of the function or class; for another name or
            view, make a :class:`FromMethod` or :class:`FromEstimator` of it.

    Raises:
        UnknownNameError: if no installed package registers the name.
        BadInputError: if it is none of these.
    """
    if isinstance(given, str):
        return detector(given)
    if isinstance(given, type):
        raise BadInputError(f"detectors: {given.__name__} is a class; give {given.__name__}(...)")
    if _is_detector(given) and isinstance(getattr(given, "name", None), str):
        made: Detector = given  # type: ignore[assignment]
        return made
    if is_estimator(given):
        return FromEstimator(given, type(given).__name__)
    if callable(given):
        return FromMethod(given, getattr(given, "__name__", type(given).__name__))
    raise BadInputError(
        f"detectors: {given!r:.80} is no name, no detector (name, needs, view, fit), no function"
        " (model, input) and no estimator with score_samples or decision_function"
    )


def _is_detector(made: Any) -> bool:
    typed = isinstance(getattr(made, "needs", None), Access) and isinstance(
        getattr(made, "view", None), View
    )
    return typed and callable(getattr(made, "fit", None))
