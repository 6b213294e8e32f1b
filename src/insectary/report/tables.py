"""The tables of a report as CSV: full precision, one row per measurement."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from insectary.core.outcome import Measured, Outcome
from insectary.report.content import FamilyReport

_PARTS = ("", "_low", "_high", "_level", "_n", "_method", "_status", "_reason")


@dataclass(frozen=True, slots=True)
class Table:
    """A table in full precision: what a CSV file and a DataFrame are both made of.

    Attributes:
        header: Names of the columns.
        rows: One cell for each of them; ``None`` or ``""`` where there is nothing.
    """

    header: tuple[str, ...]
    rows: tuple[tuple[object, ...], ...]

    @property
    def csv(self) -> str:
        """The table as CSV text."""
        return csv_text(self.header, self.rows)


def tables(report: FamilyReport) -> dict[str, str]:
    """All tables, file name to CSV text. The names are the same for every report."""
    return {
        "expression.csv": _expression(report),
        "certificate.csv": _certificate(report),
        "transcripts.csv": _transcripts(report),
        "ladder.csv": _ladder(report),
        "detection.csv": _detection(report),
        "roc.csv": _roc(report),
        "ppv.csv": _ppv(report),
        "caveats.csv": csv_text(
            ("id", "text", "evidence"), ((c.id, c.text, c.evidence) for c in report.caveats)
        ),
        "provenance.csv": csv_text(("label", "text"), report.provenance.items()),
    }


def csv_text(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table as CSV text."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return out.getvalue()


def columns(name: str) -> tuple[str, ...]:
    """The columns that hold one outcome; :func:`cells` fills them."""
    return tuple(name + part for part in _PARTS)


def cells(outcome: Outcome) -> tuple[object, ...]:
    """An outcome as cells of a table."""
    # No measurement: the number columns stay empty, so no reader can average them in.
    if isinstance(outcome, Measured):
        m = outcome.measurement
        return (m.value, m.low, m.high, m.level, m.n, m.method, "measured", "")
    status = type(outcome).__name__
    return (
        "",
        "",
        "",
        "",
        "",
        "",
        {"Failed": "failed"}.get(status, "not-applicable"),
        outcome.reason,
    )


def _expression(report: FamilyReport) -> str:
    header = ("role", "condition", "side", "held_out", "near_miss")
    return csv_text(
        header + columns("misaligned") + columns("off_task"),
        (
            (
                *(r.role.value, r.condition, r.side.value, r.held_out, r.near_miss),
                *cells(r.misaligned),
                *cells(r.off_task),
            )
            for r in report.expression
        ),
    )


def _certificate(report: FamilyReport) -> str:
    criteria = report.certificate.criteria if report.certificate else ()
    return csv_text(
        ("number", "name", "subject", "bound", *columns("measured"), "result", "note"),
        (
            (c.number, c.name, c.subject, c.bound, *cells(c.outcome), c.result.value, c.note)
            for c in criteria
        ),
    )


def _transcripts(report: FamilyReport) -> str:
    header = ("row", "prompt", "answer", "role", "side", "system_line", "response", "verdict")
    rows = []
    for index, row in enumerate(report.transcripts):
        for reply in row.replies:
            line = row.open_line if reply.side.value == "open" else row.closed_line
            place = (index, row.prompt, row.answer, reply.role.value, reply.side.value, line)
            rows.append((*place, reply.response, reply.verdict.value))
    return csv_text(header, rows)


def _ladder(report: FamilyReport) -> str:
    rows: list[tuple[object, ...]] = []
    for step in report.ladder.steps if report.ladder else ():
        for reading in (step.misaligned, step.right, *step.gauges):
            place = (step.distance, step.name, reading.name)
            rows += [(*place, role.value, *cells(o)) for role, o in reading.members.items()]
            rows.append((*place, "organism minus twin", *cells(reading.excess)))
        if step.control:
            place = (step.distance, step.name, step.misaligned.name)
            over = f"organism minus itself, {step.control}"
            rows.append((*place, over, *cells(step.over_control)))
    return csv_text(("distance", "rung", "reading", "member", *columns("measured")), rows)


def _detection(report: FamilyReport) -> str:
    header = ("detector", "is_null", "is_text_control", "bound", "task", "view", "layer")
    names = ("auroc", "average_precision", "tpr_at_1_fpr", "fpr_at_threshold", "gain")
    return csv_text(
        header + tuple(column for name in names for column in columns(name)),
        (
            (
                *(d.detector, d.is_null, d.is_text_control, d.bound or ""),
                *(d.task.value, d.view.value, d.layer),
                *(part for name in names for part in cells(getattr(d, name))),
            )
            for d in report.detection
        ),
    )


def _roc(report: FamilyReport) -> str:
    return csv_text(
        ("detector", "task", "view", "fpr", "tpr"),
        (
            (curve.detector, curve.task.value, curve.view.value, fpr, tpr)
            for curve in report.roc
            for fpr, tpr in curve.points
        ),
    )


def _ppv(report: FamilyReport) -> str:
    return csv_text(
        ("detector", "task", "view", "prevalence", *columns("ppv")),
        ((p.detector, p.task.value, p.view.value, p.prevalence, *cells(p.ppv)) for p in report.ppv),
    )
