"""Threat models: one folder each, found by name in ``insectary.threats``."""

from __future__ import annotations

from insectary.core import plugins
from insectary.core.errors import BadInputError, UnknownNameError
from insectary.core.protocols import ThreatModel

GROUP = "insectary.threats"

PLANNED = ("goal_misgeneralization",)
"""Named by the project's source document, not built yet."""


def threat_names() -> tuple[str, ...]:
    """Names of all threat models installed, sorted."""
    return plugins.names(GROUP)


def threat_model(name: str) -> ThreatModel:
    """Find a threat model by name.

    Raises:
        BadInputError: if it is planned but not built yet.
        UnknownNameError: if there is none of that name; the known are listed.
    """
    known = threat_names()
    if name in PLANNED and name not in known:
        raise BadInputError(f"threat {name!r} is not built yet. Built: {', '.join(known)}")
    if name not in known:
        raise UnknownNameError.of(
            "threat model", name, (*known, *(f"{p} (planned)" for p in PLANNED))
        )
    found: ThreatModel = plugins.load(GROUP, "threat model", name)
    return found


__all__ = ["GROUP", "PLANNED", "threat_model", "threat_names"]
