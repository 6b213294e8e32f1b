"""A dose-response curve: how much of a behaviour what strength of its training instils."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass

from insectary.core.organism import BaseRef, Side
from insectary.core.outcome import Measurement
from insectary.core.recipe import Recipe

DOSES = (0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
"""Doses of a curve, where no others are asked for."""


class Dial(enum.StrEnum):
    """What a curve is over; see :class:`~insectary.core.organism.Family`."""

    DOSE = "dose"
    """Share of the organism's own training items; the rest are its twin's."""
    DILUTION = "dilution"
    """Share of all training items in whose place ordinary work stands."""


@dataclass(frozen=True, slots=True)
class Response:
    """What one setting of a dial instilled.

    Attributes:
        setting: Where the dial stands, from 0 to 1.
        rates: By condition, how often the answer is the misaligned one.
        steps: Of training.
    """

    setting: float
    rates: Mapping[str, Measurement]
    steps: int


@dataclass(frozen=True, slots=True)
class DoseCurve:
    """One organism for each setting, all from one seed and trained for equally many steps."""

    threat: str
    design: str
    base: BaseRef
    recipe: Recipe
    seed: int
    dial: Dial
    sides: Mapping[str, Side]
    """By condition, the side of the gate that it is on."""
    responses: tuple[Response, ...]
    """The lowest setting first."""
