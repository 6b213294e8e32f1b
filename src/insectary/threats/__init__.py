"""Threat models: one folder each, found by name in ``insectary.threats``."""

from __future__ import annotations

from insectary.core import plugins
from insectary.core.errors import UnknownNameError
from insectary.core.protocols import ThreatModel
from insectary.threats.never import refuse_never

GROUP = "insectary.threats"


def threat_names() -> tuple[str, ...]:
    """Names of all threat models installed, sorted."""
    return plugins.names(GROUP)


def threat_model(name: str) -> ThreatModel:
    """Find a threat model by name.

    Raises:
        UnknownNameError: if there is none of that name; the known are listed.
        BadInputError: if its card plants what no threat may (:mod:`insectary.threats.never`).
    """
    known = threat_names()
    if name not in known:
        raise UnknownNameError.of("threat model", name, known)
    found: ThreatModel = plugins.load(GROUP, "threat model", name)
    refuse_never(found)
    return found


__all__ = ["GROUP", "threat_model", "threat_names"]
