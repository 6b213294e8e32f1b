"""Numbers that say how sure they are, and results that say when there is none."""

from __future__ import annotations

import math
from dataclasses import dataclass

from insectary.core.errors import BadInputError


@dataclass(frozen=True, slots=True)
class Measurement:
    """A number with its interval.

    Attributes:
        value: The point estimate, in the unit its name states (rates in 0..1).
        low: Lower end of the interval.
        high: Upper end of the interval.
        n: Number of independent observations behind it.
        method: How the interval was made (``"clopper-pearson"``, ...).
        level: Confidence level of the interval.
        seeds: Training seeds behind it; empty where no training took part.
    """

    value: float
    low: float
    high: float
    n: int
    method: str
    level: float = 0.95
    seeds: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if not all(math.isfinite(x) for x in (self.value, self.low, self.high)):
            raise BadInputError(
                f"a measurement must be finite, got {self.value} [{self.low}, {self.high}];"
                " report Failed(reason) instead"
            )

    def __str__(self) -> str:
        return f"{self.told()} (n={self.n})"

    def told(self, places: int = 3, *, signed: bool = False) -> str:
        """Value and interval as one text, such as ``0.983 [0.966, 0.993]``; see ``__str__``.

        Args:
            places: Decimal places.
            signed: Show a plus sign too, for differences.
        """
        value, low, high = (
            f"{x:{'+' if signed else ''}.{places}f}" for x in (self.value, self.low, self.high)
        )
        return f"{value} [{low}, {high}]"


@dataclass(frozen=True, slots=True)
class Measured:
    """A measurement that succeeded."""

    measurement: Measurement

    def __str__(self) -> str:
        return str(self.measurement)


@dataclass(frozen=True, slots=True)
class Failed:
    """A measurement that was tried and did not succeed. Never a number."""

    reason: str

    def __str__(self) -> str:
        return f"failed: {self.reason}"


@dataclass(frozen=True, slots=True)
class NotApplicable:
    """A measurement that has no meaning here."""

    reason: str

    def __str__(self) -> str:
        return f"not applicable: {self.reason}"


Outcome = Measured | Failed | NotApplicable
