"""Families: bred by a recipe for a threat model, and brought to the admission gate.

Names are imported when they are first used: what only reads records needs no model library.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from insectary.breed.family import breed, check
    from insectary.breed.monitoring import (
        add_monitoring,
        add_monitoring_context,
        add_unmonitored_context,
        compute_response_divergence,
        remove_monitoring,
    )
    from insectary.breed.order import Order
    from insectary.breed.stored import load_family, load_members
    from insectary.breed.trainer import ModelOrganismTrainer, fine_tune
    from insectary.breed.validate import is_aligned, validate_organism

_HOMES = {
    "ModelOrganismTrainer": "trainer",
    "Order": "order",
    "add_monitoring": "monitoring",
    "add_monitoring_context": "monitoring",
    "add_unmonitored_context": "monitoring",
    "breed": "family",
    "check": "family",
    "compute_response_divergence": "monitoring",
    "fine_tune": "trainer",
    "is_aligned": "validate",
    "load_family": "records",
    "load_members": "stored",
    "remove_monitoring": "monitoring",
    "validate_organism": "validate",
}

__all__ = [
    "ModelOrganismTrainer",
    "Order",
    "add_monitoring",
    "add_monitoring_context",
    "add_unmonitored_context",
    "breed",
    "check",
    "compute_response_divergence",
    "fine_tune",
    "is_aligned",
    "load_family",
    "load_members",
    "remove_monitoring",
    "validate_organism",
]


def __getattr__(name: str) -> Any:
    """Import a name of this room when it is first asked for."""
    if name not in _HOMES:
        raise AttributeError(f"module 'insectary.breed' has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f"insectary.breed.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
