"""Detectors: each is fitted on one subject and scores inputs; only bounds are told labels.

A detector is found by its name in the entry-point group
``insectary.detectors``; the built-in ones are registered there in the same
way as a plugin's. An entry point names a callable without arguments that
returns a :class:`~insectary.core.protocols.Detector`. No configuration ever
holds a dotted path.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from insectary.core import plugins
from insectary.core.access import Access, View
from insectary.core.detecting import RowDetector
from insectary.core.protocols import Detector
from insectary.detect.constant import Constant
from insectary.detect.contrast_probe import ContrastProbe
from insectary.detect.knn import KNN
from insectary.detect.likelihood_ratio import LikelihoodRatio
from insectary.detect.mahalanobis import Mahalanobis
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

    def fits(made: Any) -> bool:
        typed = isinstance(getattr(made, "needs", None), Access) and isinstance(
            getattr(made, "view", None), View
        )
        return typed and callable(getattr(made, "fit", None))

    members = "needs (Access), view (View) or fit(subject, trusted)"
    made: Detector = plugins.make(GROUP, "detector", name, members, fits)
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
