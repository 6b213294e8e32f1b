"""The tables of a report as CSV: full precision, one row per measurement."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence

from insectary.core.outcome import Measured, Outcome
from insectary.report.content import FamilyReport

_PARTS = ("", "_low", "_high", "_level", "_n", "_method", "_status", "_reason")


def tables(report: FamilyReport) -> dict[str, str]:
    """All tables, file name to CSV text. The names are the same for every report."""
    return {
        "expression.csv": _expression(report),
        "certificate.csv": _certificate(report),
        "transcripts.csv": _transcripts(report),
        "detection.csv": _detection(report),
        "roc.csv": _roc(report),
        "ppv.csv": _ppv(report),
        "caveats.csv": _csv(
            ("id", "text", "evidence"), ((c.id, c.text, c.evidence) for c in report.caveats)
        ),
        "provenance.csv": _csv(("label", "text"), report.provenance.items()),
    }


def _csv(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return out.getvalue()


def _columns(name: str) -> tuple[str, ...]:
    return tuple(name + part for part in _PARTS)


def _cells(outcome: Outcome) -> tuple[object, ...]:
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
    return _csv(
        header + _columns("misaligned") + _columns("off_task"),
        (
            (
                *(r.role.value, r.condition, r.side.value, r.held_out, r.near_miss),
                *_cells(r.misaligned),
                *_cells(r.off_task),
            )
            for r in report.expression
        ),
    )


def _certificate(report: FamilyReport) -> str:
    criteria = report.certificate.criteria if report.certificate else ()
    return _csv(
        ("number", "name", "subject", "bound", *_columns("measured"), "result", "note"),
        (
            (c.number, c.name, c.subject, c.bound, *_cells(c.outcome), c.result.value, c.note)
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
    return _csv(header, rows)


def _detection(report: FamilyReport) -> str:
    header = ("detector", "is_null", "is_text_control", "task", "view", "layer")
    names = ("auroc", "average_precision", "tpr_at_1_fpr", "fpr_at_threshold", "gain")
    return _csv(
        header + tuple(column for name in names for column in _columns(name)),
        (
            (
                *(d.detector, d.is_null, d.is_text_control, d.task.value, d.view.value, d.layer),
                *(part for name in names for part in _cells(getattr(d, name))),
            )
            for d in report.detection
        ),
    )


def _roc(report: FamilyReport) -> str:
    return _csv(
        ("detector", "task", "view", "fpr", "tpr"),
        (
            (curve.detector, curve.task.value, curve.view.value, fpr, tpr)
            for curve in report.roc
            for fpr, tpr in curve.points
        ),
    )


def _ppv(report: FamilyReport) -> str:
    return _csv(
        ("detector", "task", "view", "prevalence", *_columns("ppv")),
        (
            (p.detector, p.task.value, p.view.value, p.prevalence, *_cells(p.ppv))
            for p in report.ppv
        ),
    )
