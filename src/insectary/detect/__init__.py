"""Detectors: each is fitted without labels on one subject and scores inputs.

A detector is found by its name in the entry-point group
``insectary.detectors``; the built-in ones are registered there in the same
way as a plugin's. An entry point names a callable without arguments that
returns a :class:`~insectary.core.protocols.Detector`. No configuration ever
holds a dotted path.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.metadata import EntryPoint, entry_points
from types import MappingProxyType

from insectary.core.access import Access, View
from insectary.core.errors import BadInputError, UnknownNameError
from insectary.core.protocols import Detector
from insectary.detect.contrast_probe import ContrastProbe
from insectary.detect.likelihood_ratio import LikelihoodRatio
from insectary.detect.mahalanobis import Mahalanobis
from insectary.detect.random_direction import RandomDirection
from insectary.detect.shuffled_labels import ShuffledLabels
from insectary.detect.surface_text import SurfaceText

__all__ = [
    "BUILT_IN",
    "CONTROL",
    "GROUP",
    "NULLS",
    "ContrastProbe",
    "LikelihoodRatio",
    "Mahalanobis",
    "RandomDirection",
    "ShuffledLabels",
    "SurfaceText",
    "detector",
    "detector_names",
]

GROUP = "insectary.detectors"

BUILT_IN: Mapping[str, Callable[[], Detector]] = MappingProxyType(
    {
        "surface_text": SurfaceText,
        "contrast_probe": ContrastProbe,
        "mahalanobis": Mahalanobis,
        "likelihood_ratio": LikelihoodRatio,
        "random_direction": RandomDirection,
        "shuffled_labels": ShuffledLabels,
    }
)
"""What the package itself registers; a test holds it equal to the entry points."""

CONTROL = "surface_text"
NULLS = ("random_direction", "shuffled_labels")


def _registered() -> dict[str, EntryPoint]:
    found: dict[str, EntryPoint] = {}
    for point in entry_points(group=GROUP):
        other = found.setdefault(point.name, point)
        if other.value != point.value:
            raise BadInputError(
                f"detector {point.name!r} is registered twice, as {other.value} and as"
                f" {point.value}; uninstall one of the two packages"
            )
    return found


def detector_names() -> tuple[str, ...]:
    """Names of all detectors installed, built-in and plugins, sorted.

    Raises:
        BadInputError: if two packages register one name.
    """
    return tuple(sorted(_registered()))


def detector(name: str) -> Detector:
    """Make the detector of that name with its own defaults.

    Raises:
        UnknownNameError: if no installed package registers the name.
        BadInputError: if it is registered twice, cannot be imported or is no detector.
    """
    registered = _registered()
    if name not in registered:
        raise UnknownNameError.of("detector", name, sorted(registered))
    point = registered[name]
    try:
        factory = point.load()
    except (ImportError, AttributeError) as error:
        raise BadInputError(
            f"detector {name!r} cannot be loaded from {point.value}: {error};"
            " mend or uninstall the package that registers it"
        ) from error
    made = factory() if callable(factory) else factory
    fits = callable(getattr(made, "fit", None)) and getattr(made, "name", None) == name
    typed = isinstance(getattr(made, "needs", None), Access) and isinstance(
        getattr(made, "view", None), View
    )
    if not (fits and typed):
        raise BadInputError(
            f"detector {name!r}: {point.value} made {type(made).__name__}, which lacks a"
            f" matching name, needs (Access), view (View) or fit(subject, trusted)"
        )
    return made  # type: ignore[no-any-return]
