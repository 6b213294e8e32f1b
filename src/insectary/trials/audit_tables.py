"""An audit trial as files: JSON, and tables in full precision."""

from __future__ import annotations

import json

from insectary.core.codec import encode
from insectary.core.outcome import Failed
from insectary.report.tables import Table, cells, columns
from insectary.trials.audit_result import INNOCENT, AuditTrial

_COST = ("seconds", "passes", "backward")
_CELL = ("threat", "design", "base", "recipe")


def audit_files(found: AuditTrial) -> dict[str, str]:
    """Path in a folder to text: ``tables/*.csv`` and ``audit.json``, which comes last."""
    files = {f"tables/{name}.csv": table.csv for name, table in audit_tables(found).items()}
    return files | {"audit.json": json.dumps(encode(found), indent=1, sort_keys=True) + "\n"}


def audit_tables(found: AuditTrial) -> dict[str, Table]:
    """Name to table: what :func:`audit_files` writes, and ``found.frames()`` holds."""
    return {
        "members": _members(found),
        "figures": _figures(found),
        "auditors": _auditors(found),
    }


def _members(found: AuditTrial) -> Table:
    """A row for each family, auditor and member."""
    status = ("score", "status", "reason", *_COST)
    rows = []
    for family in found.families:
        for auditor, by_role in family.audits.items():
            for role, audit in by_role.items():
                failed = isinstance(audit.reason, Failed)
                state = "failed" if failed else "not-applicable" if audit.reason else "scored"
                place = (family.family, *family.cell, family.seed, auditor, role.value)
                why = audit.reason.reason if audit.reason else ""
                cost = (audit.seconds, audit.passes, audit.backward)
                rows.append((*place, audit.score, state, why, *cost))
    return Table(("family", *_CELL, "seed", "auditor", "role", *status), tuple(rows))


def _figures(found: AuditTrial) -> Table:
    """A row for each figure and note that a score rests on."""
    return Table(
        ("family", "auditor", "role", "name", "value"),
        tuple(
            (family.family, auditor, role.value, name, value)
            for family in found.families
            for auditor, by_role in family.audits.items()
            for role, audit in by_role.items()
            for name, value in (*audit.figures.items(), *audit.notes.items())
        ),
    )


def _auditors(found: AuditTrial) -> Table:
    """A row for each auditor over all families."""
    plain = ("families", "cells", "above", "below", "p_raw", "p", *_COST)
    overall = ("log_score", "gain", "brier", "hits")
    names = [f"{name}_{role.value}" for name in ("auroc", "false_alarms") for role in INNOCENT]
    return Table(
        ("auditor", "null", *plain, *(c for name in (*overall, *names) for c in columns(name))),
        tuple(
            (
                *(row.auditor, row.null),
                *(getattr(row, name) for name in plain),
                *(part for name in overall for part in cells(getattr(row, name))),
                *(
                    part
                    for outcomes in (row.auroc, row.false_alarms)
                    for role in INNOCENT
                    for part in cells(outcomes[role])
                ),
            )
            for row in found.rows
        ),
    )
