"""A dose-response curve: how much of a behaviour a share of the training items instils."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from insectary.core.organism import BaseRef, Side
from insectary.core.outcome import Measurement
from insectary.core.recipe import Recipe


@dataclass(frozen=True, slots=True)
class Response:
    """What one dose instilled.

    Attributes:
        dose: Share of the organism's own training items; the rest are its twin's.
        rates: By condition, how often the answer is the misaligned one.
        steps: Of training.
    """

    dose: float
    rates: Mapping[str, Measurement]
    steps: int


@dataclass(frozen=True, slots=True)
class DoseCurve:
    """One organism for each dose, all from one seed and trained for equally many steps."""

    threat: str
    design: str
    base: BaseRef
    recipe: Recipe
    seed: int
    sides: Mapping[str, Side]
    """By condition, the side of the gate that it is on."""
    responses: tuple[Response, ...]
    """The lowest dose first."""
