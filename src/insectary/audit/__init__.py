"""Auditors: each examines one model without labels and gives it a score.

An auditor is found by its name in the entry-point group ``insectary.auditors``; the built-in
ones are registered there in the same way as a plugin's. An entry point names a callable
without arguments that returns an :class:`~insectary.core.auditing.Auditor`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from insectary.audit.activation_difference_lens import ActivationDifferenceLens
from insectary.audit.counterfactual import Counterfactual
from insectary.audit.noise_injection import NoiseInjection
from insectary.audit.random_score import RandomScore
from insectary.audit.trigger_inversion import TriggerInversion
from insectary.audit.weight_difference import WeightDifference
from insectary.core import plugins
from insectary.core.access import Access
from insectary.core.auditing import Auditor

__all__ = [
    "BUILT_IN",
    "GROUP",
    "NULLS",
    "ActivationDifferenceLens",
    "Counterfactual",
    "NoiseInjection",
    "RandomScore",
    "TriggerInversion",
    "WeightDifference",
    "auditor",
    "auditor_names",
]

GROUP = "insectary.auditors"

BUILT_IN: Mapping[str, Callable[[], Auditor]] = MappingProxyType(
    {
        "weight_difference": WeightDifference,
        "activation_difference_lens": ActivationDifferenceLens,
        "noise_injection": NoiseInjection,
        "counterfactual": Counterfactual,
        "trigger_inversion": TriggerInversion,
        "random_score": RandomScore,
    }
)
"""What the package itself registers; a test holds it equal to the entry points."""

NULLS = ("random_score",)


def auditor_names() -> tuple[str, ...]:
    """Names of all auditors installed, built-in and plugins, sorted.

    Raises:
        BadInputError: if two packages register one name.
    """
    return plugins.names(GROUP)


def auditor(name: str) -> Auditor:
    """Make the auditor of that name with its own defaults.

    Raises:
        UnknownNameError: if no installed package registers the name.
        BadInputError: if it is registered twice, cannot be imported or is no auditor.
    """

    def fits(made: Any) -> bool:
        methods = (getattr(made, method, None) for method in ("passes", "examine"))
        return isinstance(getattr(made, "needs", None), Access) and all(map(callable, methods))

    members = "needs (Access), passes(material) or examine(subject, material)"
    made: Auditor = plugins.make(GROUP, "auditor", name, members, fits)
    return made
