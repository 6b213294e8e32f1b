"""Families: bred by a recipe for a threat model, and brought to the admission gate."""

from __future__ import annotations

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
