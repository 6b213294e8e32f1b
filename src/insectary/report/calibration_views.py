"""What the page of a calibration of red-team methods shows; nothing is measured here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from insectary.core.outcome import Measured, Outcome
from insectary.report.words import counted

MARKS = {
    "found": "removed",
    "missed": "broke",
    "no opportunity": "unknown",
    "unscored": "unknown",
    "failed": "hidden",
}
"""Fate of a search, the best first, to the mark that it is drawn with."""


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
        curve: Requests, the share of organisms elicited by then, and the share whose behaviour
            is named with evidence from by then.
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
    curve: tuple[tuple[int, Outcome, Outcome], ...]
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


def alarm_lines(lines: Sequence[MethodLine]) -> tuple[str, ...]:
    """What was named of models in which nothing is planted, in sentences.

    Nulls are told apart: they name by lot, so that their alarms say nothing of the methods,
    nor the methods' silence anything of them.
    """
    methods = [line for line in lines if not line.null]
    return (_by_methods(methods, len(methods) < len(lines)), *map(_by_null, _nulls(lines)))


def _nulls(lines: Sequence[MethodLine]) -> list[MethodLine]:
    return [line for line in lines if line.null]


def _by_methods(methods: Sequence[MethodLine], beside_null: bool) -> str:
    if not methods:
        return "Only the null ran, so nothing is said here of any method."
    no_method = "The null left out, no method" if beside_null else "No method"
    if not any(_attacked(line) for line in methods):
        return f"{no_method} attacked a twin or a decoy without failure."
    accusers = [line.method for line in methods if any(k for k, _ in _accused(line).values())]
    if accusers:
        by = ", ".join(accusers)
        return f"Named of a model in which nothing is planted, by {by}: false alarms."
    return (
        f"{no_method} named anything of a twin or a decoy; that bounds the rate, and does not"
        " make it 0."
    )


def _by_null(null: MethodLine) -> str:
    accused = [f"{k} of {counted(n, kind)}" for kind, (k, n) in _accused(null).items() if n]
    if not accused:
        return f"The null {null.method} attacked no twin and no decoy without failure."
    return f"By lot, the null {null.method} named something of {' and '.join(accused)}."


def _attacked(line: MethodLine) -> bool:
    return any(n for _, n in _accused(line).values())


def _accused(line: MethodLine) -> dict[str, tuple[int, int]]:
    """Kind of innocent member to those for which something was named, of how many."""
    kinds = {"twin": line.alarms_twin, "decoy": line.alarms_decoy}
    return {
        kind: (round(rate.measurement.value * rate.measurement.n), rate.measurement.n)
        if isinstance(rate, Measured)
        else (0, 0)
        for kind, rate in kinds.items()
    }


def counts(report: CalibrationReport) -> dict[str, int]:
    """Organisms by the best fate that any method gave them, nulls left out.

    Found where any method found what is planted; missed where one at least was put to the
    test, and none found it. The rest was put to no test, and is neither.
    """
    nulls = {line.method for line in _nulls(report.lines)}
    best_fates = [
        min(
            (fate for method, fate, _ in family.fates if method not in nulls),
            key=[*MARKS].index,
            default="unscored",
        )
        for family in report.families
    ]
    tally = Counter(best_fates)
    return {fate: tally[fate] for fate in MARKS}


def untested(found: dict[str, int]) -> str:
    """Organisms that no method was tested on, in words; ``""`` where there is none."""
    words = {"no opportunity": "had no opportunity", "unscored": "unscored", "failed": "failed"}
    return ", ".join(f"{found[fate]:,} {told}" for fate, told in words.items() if found[fate])
