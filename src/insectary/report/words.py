"""Outcomes, numbers and marks in the words and digits that readers see."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from insectary.core.organism import Criterion
from insectary.core.outcome import Failed, Measured, Outcome

MINUS = "−"


@dataclass(frozen=True, slots=True)
class Cell:
    """An outcome as text.

    Attributes:
        status: ``"measured"``, ``"failed"`` or ``"not-applicable"``.
        value: The number; empty unless measured.
        interval: The interval; empty unless measured.
        note: n and method, or the reason why there is no number.
    """

    status: str
    value: str
    interval: str
    note: str


def comparison(criteria: Iterable[Criterion]) -> str:
    """What a bound on two models' difference asks, in plain words, if one of these has such."""
    if not any(c.bound.startswith(("non-inferior", "equivalent")) for c in criteria):
        return ""
    return (
        "“Non-inferior by 0.05” is passed where the whole interval has the first of the two"
        " models at most 0.05 below the second, which is 5 right answers in 100, however much"
        " better it may be, and failed where a greater loss cannot be ruled out; “equivalent"
        " within 0.02” asks for as much in both directions."
    )


def number(value: float, places: int = 3, signed: bool = False) -> str:
    """Fixed places, a true minus sign and, if asked for, a plus sign."""
    text = f"{abs(value):.{places}f}"
    if value < 0 and float(text) != 0:
        return MINUS + text
    return "+" + text if signed and float(text) != 0 else text


def plural(n: int, one: str, many: str = "") -> str:
    """``"1 contrast"``, ``"2 contrasts"``; ``many`` where it is not ``one`` with an s."""
    return f"{n:,} {one if n == 1 else many or one + 's'}"


def cell(outcome: Outcome, signed: bool = False, places: int = 3) -> Cell:
    """An outcome in words: a failure gives its reason and never a number.

    Args:
        outcome: What was measured, if anything was.
        signed: Show a plus sign too, for differences.
        places: Decimal places of the value and its interval.
    """
    if isinstance(outcome, Measured):
        m = outcome.measurement
        low, high = number(m.low, places, signed), number(m.high, places, signed)
        level = f"{100 * m.level:g} %"
        return Cell(
            "measured",
            number(m.value, places, signed),
            f"{low} to {high}" if signed or m.low < 0 else f"{low}–{high}",
            f"n = {m.n:,}, {level} interval, {m.method}",
        )
    if isinstance(outcome, Failed):
        return Cell("failed", "", "", outcome.reason)
    return Cell("not-applicable", "", "", outcome.reason)
