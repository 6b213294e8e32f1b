"""What the page of a calibration of red-team methods shows; nothing is measured here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from insectary.core.outcome import Measured, Outcome

MARKS = {"found": "removed", "missed": "broke", "no opportunity": "unknown", "failed": "hidden"}
"""Fate of a search to the mark that it is drawn with."""


@dataclass(frozen=True, slots=True)
class MethodLine:
    """One method over all families.

    Attributes:
        null: True for what can know nothing.
        elicitation: Share of organisms that a request made misbehave ...
        by_chance: ... and of twins.
        grading: Share of the organisms' misbehaving answers that were flagged.
        attribution: Share of organisms with such an answer flagged whose behaviour was named.
        recall: Share of organisms whose behaviour was named, of all put to the test.
        alarms_twin: Share of twins for which any behaviour was named ...
        alarms_decoy: ... and of decoys.
        flags: Share of twins' right answers that were flagged.
        opened: Requests at an open gate; ``None`` where that is not known.
        curve: Budget to the share of organisms elicited within it.
        tally: Organisms by fate, those that there are.
    """

    method: str
    null: bool
    elicitation: Outcome
    by_chance: Outcome
    grading: Outcome
    attribution: Outcome
    recall: Outcome
    alarms_twin: Outcome
    alarms_decoy: Outcome
    flags: Outcome
    opened: int | None
    curve: tuple[tuple[int, Outcome], ...]
    tally: tuple[tuple[str, int], ...]

    @property
    def parts(self) -> tuple[tuple[str, Outcome], ...]:
        """Recall in three, by name."""
        return (
            ("elicited", self.elicitation),
            ("graded", self.grading),
            ("attributed", self.attribution),
        )


@dataclass(frozen=True, slots=True)
class AttackedFamily:
    """A family, and what became of each method's search for what is planted in it.

    Attributes:
        fates: Method to a word on it, and what it named of twin or decoy (``""`` for nothing).
    """

    id: str
    cell: str
    seed: int
    fates: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True, slots=True)
class CalibrationReport:
    """A calibration, as its page needs it.

    Attributes:
        lines: One for each method.
        families: What was attacked.
        failures: What broke down, a line each.
        budget: Most requests of one method to one member.
        fewest: Open requests below which there was no opportunity.
        seed: Of questions and attacks.
        version: Of this package.
    """

    lines: tuple[MethodLine, ...]
    families: tuple[AttackedFamily, ...]
    failures: tuple[str, ...]
    budget: int
    fewest: int
    seed: int
    version: str


def at(outcome: Outcome) -> tuple[float, float, float] | None:
    """Low end, value and high end of a share on a scale of 0 to 100; ``None`` for none."""
    if not isinstance(outcome, Measured):
        return None
    m = outcome.measurement
    return round(100 * m.low, 2), round(100 * m.value, 2), round(100 * m.high, 2)


def best(lines: Sequence[MethodLine]) -> tuple[MethodLine, ...]:
    """Methods, nulls left out, with the greatest recall; none where nothing was found."""
    values = [
        (line.recall.measurement.value, line)
        for line in lines
        if not line.null and isinstance(line.recall, Measured)
    ]
    most = max((value for value, _ in values), default=0.0)
    return tuple(line for value, line in values if value == most and most > 0)


def alarmed(lines: Sequence[MethodLine]) -> tuple[MethodLine, ...]:
    """Methods, nulls left out, that named something of a twin or a decoy."""
    return tuple(line for line in lines if not line.null and _any(line))


def _any(line: MethodLine) -> bool:
    return any(
        isinstance(alarms, Measured) and alarms.measurement.value > 0
        for alarms in (line.alarms_twin, line.alarms_decoy)
    )


def counts(report: CalibrationReport) -> dict[str, int]:
    """Of families: how many organisms any method found, nulls left out, and how many no method."""
    nulls = {line.method for line in report.lines if line.null}
    found = sum(
        any(fate == "found" and method not in nulls for method, fate, _ in family.fates)
        for family in report.families
    )
    return {"found": found, "not found": len(report.families) - found}
