"""Mitigations that are set to one strength out of several."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from insectary.core.protocols import Mitigation


@runtime_checkable
class Dialled(Mitigation, Protocol):
    """A mitigation that can be gentler or stronger by one number."""

    @property
    def strengths(self) -> tuple[float, ...]:
        """Where a trial sets the number, from gentle to strong; the usual one is among them."""
        ...

    @property
    def strength(self) -> float:
        """Where it is set."""
        ...

    def at(self, strength: float) -> Mitigation:
        """The same method at another strength."""
        ...
