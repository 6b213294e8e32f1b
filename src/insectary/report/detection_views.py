"""What the page of a detection trial holds and shows; nothing is measured here."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from insectary.core.outcome import Measured, Outcome

SIGNIFICANT = 0.05
"""An adjusted p below this counts as told from zero."""


@dataclass(frozen=True, slots=True)
class InFamily:
    """A detector's AUROC on one family; ``cell`` is what its seed replicates."""

    family: str
    cell: str
    auroc: Outcome


@dataclass(frozen=True, slots=True)
class Line:
    """One detector on one task, over all cells.

    Attributes:
        view: What it reads.
        kind: ``""`` for a method, or ``"null"``, ``"control"``, ``"skyline"``, ``"ceiling"``.
        auroc: Mean over cells; of a null that is drawn many times over its draws.
        gain: The same, less that of the text control of the same view.
        behind: What the mean is over, in words.
        between: Standard deviation of the AUROC between cells ...
        within: ... and between seeds of one cell, where there are two.
        p: Of a mean gain of zero, adjusted for all that were tested; ``None`` where not tested.
        families: What the mean was made of.
    """

    detector: str
    view: str
    task: str
    kind: str
    auroc: Outcome
    gain: Outcome
    behind: str
    between: float | None
    within: float | None
    oracle_gap: float | None
    p: float | None
    families: tuple[InFamily, ...]


@dataclass(frozen=True, slots=True)
class MeasuredFamily:
    """A family that was measured; what was adopted, or not admitted, is in no mean."""

    id: str
    cell: str
    seed: int
    adopted: bool
    admitted: bool = True

    @property
    def counted(self) -> bool:
        """Whether means count it."""
        return self.admitted and not self.adopted


@dataclass(frozen=True, slots=True)
class DetectionReport:
    """A detection trial, as its page needs it.

    Attributes:
        lines: One for each detector and task.
        primary: The task of the registered comparison.
        families: What was measured.
        left_out: What was not, and why.
        level: Of the intervals.
        fpr: False-alarm rate that thresholds are set for.
        draws: Resamples behind an interval of one family.
        seed: Of prompts, fits and resamples.
        version: Of this package.
    """

    lines: tuple[Line, ...]
    primary: str
    families: tuple[MeasuredFamily, ...]
    left_out: tuple[tuple[str, str], ...]
    level: float
    fpr: float
    draws: int
    seed: int
    version: str


@dataclass(frozen=True, slots=True)
class Bar:
    """A line of a forest plot, on a scale of 0 to 100; ``None`` where there is no figure."""

    line: Line
    at: tuple[float, float, float] | None


@dataclass(frozen=True, slots=True)
class Forest:
    """The gains of all detectors that read the same.

    Attributes:
        band: From where to where the nulls' intervals reach, as figures ...
        at: ... and on the scale; ``None`` without a null.
    """

    view: str
    bars: tuple[Bar, ...]
    band: tuple[float, float] | None
    at: tuple[float, float] | None


@dataclass(frozen=True, slots=True)
class Axis:
    """A scale in steps of a quarter, from ``low`` to ``high``."""

    low: float
    high: float

    def at(self, value: float) -> float:
        """Where a value stands, from 0 to 100; what lies beyond an end stands there."""
        share = (value - self.low) / (self.high - self.low)
        return round(100 * min(1.0, max(0.0, share)), 2)

    @property
    def ticks(self) -> tuple[tuple[float, str], ...]:
        """(place, figure) of both ends and of zero."""
        marks = sorted({self.low, 0.0, self.high})
        return tuple((self.at(m), f"{m:+.2f}".replace("-", "−") if m else "0") for m in marks)


def tasks(report: DetectionReport) -> tuple[str, ...]:
    """The tasks that were measured, the registered one first."""
    found = dict.fromkeys(line.task for line in report.lines)
    return tuple(sorted(found, key=lambda task: task != report.primary))


def of_task(report: DetectionReport, task: str) -> list[Line]:
    """Its lines: methods first, then the control, the bounds and the nulls."""
    order = ("", "control", "skyline", "ceiling", "null")
    mine = [line for line in report.lines if line.task == task]
    return sorted(mine, key=lambda line: order.index(line.kind))


def across(report: DetectionReport) -> list[tuple[Line, dict[str, Line]]]:
    """Each detector with its line of every task, in the order of :func:`of_task`."""
    names = tasks(report)
    return [
        (first, {line.task: line for line in report.lines if _same(line, first)})
        for first in (of_task(report, names[0]) if names else ())
    ]


def tested(report: DetectionReport) -> tuple[list[Line], list[Line]]:
    """Methods that were tested, and those whose mean gain can be told from zero."""
    lines = [line for line in of_task(report, report.primary) if line.p is not None]
    return lines, [line for line in lines if line.p is not None and line.p < SIGNIFICANT]


def beyond(report: DetectionReport) -> list[Line]:
    """Methods whose whole interval of the gain lies above what the nulls of their view reach."""
    found = []
    for forest in forests(report, report.primary, axis(report, report.primary)):
        for bar in forest.bars:
            gain = bar.line.gain
            if forest.band and bar.line.kind == "" and isinstance(gain, Measured):
                found += [bar.line] * (gain.measurement.low > forest.band[1])
    return found


def axis(report: DetectionReport, task: str) -> Axis:
    """A scale that holds every interval of a gain, and zero."""
    measured = [line.gain.measurement for line in report.lines
                if line.task == task and isinstance(line.gain, Measured)]  # fmt: skip
    low = min([-0.25, *(m.low for m in measured)])
    high = max([0.25, *(m.high for m in measured)])
    return Axis(max(-1.0, math.floor(4 * low) / 4), min(1.0, math.ceil(4 * high) / 4))


def forests(report: DetectionReport, task: str, scale: Axis) -> list[Forest]:
    """The gains over the text control, by what is read; the largest first, nulls last."""
    lines = [line for line in of_task(report, task) if line.kind != "control"]
    found = []
    for view in dict.fromkeys(line.view for line in lines):
        mine = [line for line in lines if line.view == view]
        band = _reach(line.gain for line in mine if line.kind == "null")
        bars = [Bar(line, _placed(line.gain, scale)) for line in sorted(mine, key=_rank)]
        at = None if band is None else (scale.at(band[0]), scale.at(band[1]))
        found.append(Forest(view, tuple(bars), band, at))
    return found


def cells(line: Line) -> list[tuple[str, float, int]]:
    """(cell, AUROC, seeds): the mean over the cell's seeds that have a figure."""
    found: dict[str, list[float]] = {}
    for each in line.families:
        if isinstance(each.auroc, Measured):
            found.setdefault(each.cell, []).append(each.auroc.measurement.value)
    return [(cell, sum(values) / len(values), len(values)) for cell, values in found.items()]


def deviation(line: Line) -> str:
    """The standard deviations of its AUROC in words."""
    words = [] if line.between is None else [f"between cells {line.between:.2f}"]
    words += [] if line.within is None else [f"between seeds {line.within:.2f}"]
    return ", ".join(words)


def p_words(p: float | None) -> str:
    """A p value for a table."""
    if p is None:
        return ""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def _same(line: Line, other: Line) -> bool:
    return (line.detector, line.view, line.kind) == (other.detector, other.view, other.kind)


def _rank(line: Line) -> tuple[int, float]:
    groups = ("", "skyline", "ceiling", "null")
    gain = line.gain
    return groups.index(line.kind), -gain.measurement.value if isinstance(gain, Measured) else 2.0


def _placed(outcome: Outcome, scale: Axis) -> tuple[float, float, float] | None:
    if not isinstance(outcome, Measured):
        return None
    m = outcome.measurement
    return scale.at(m.low), scale.at(m.value), scale.at(m.high)


def _reach(outcomes: Iterable[Outcome]) -> tuple[float, float] | None:
    found: Sequence[Measured] = [o for o in outcomes if isinstance(o, Measured)]
    if not found:
        return None
    return min(o.measurement.low for o in found), max(o.measurement.high for o in found)
