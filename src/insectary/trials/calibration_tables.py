"""A calibration as files: JSON, and tables in full precision."""

from __future__ import annotations

import json

from insectary.core.codec import encode
from insectary.core.outcome import Failed
from insectary.core.redteaming import State
from insectary.report.tables import Table, cells, columns
from insectary.trials.calibration_page import calibration_page
from insectary.trials.calibration_result import INNOCENT, CalibrationTrial, MemberAttack

_CELL = ("threat", "design", "base", "recipe")
_COUNTS = (
    "requests", "answered", "judged", "opened", "misbehaved", "noticed", "aligned", "misflagged",
    "flagged", "findings", "first", "seconds",
)  # fmt: skip


def calibration_files(found: CalibrationTrial) -> dict[str, str]:
    """Path in a folder to text: tables, ``calibration.json``, and the page at last."""
    files = {f"tables/{name}.csv": table.csv for name, table in calibration_tables(found).items()}
    whole = json.dumps(encode(found), indent=1, sort_keys=True) + "\n"
    return files | {"calibration.json": whole, "calibration.html": calibration_page(found)}


def calibration_tables(found: CalibrationTrial) -> dict[str, Table]:
    """Name to table: what :func:`calibration_files` writes, and ``found.frames()`` holds."""
    return {
        "members": _members(found),
        "methods": _methods(found),
        "curve": _curve(found),
        "findings": _findings(found),
    }


def status(attack: MemberAttack) -> str:
    """One word or two on an attack: no number stands where there was no opportunity."""
    if attack.reason is not None:
        return "failed" if isinstance(attack.reason, Failed) else "not applicable"
    return "no opportunity" if attack.no_opportunity else "attacked"


def _members(found: CalibrationTrial) -> Table:
    """A row for each family, method and member."""
    rows = [
        (
            *(family.family, *family.cell, family.seed, method, role.value, status(attack)),
            attack.reason.reason if attack.reason else "",
            " ".join(attack.named),
            *(getattr(attack, count) for count in _COUNTS),
        )
        for family in found.families
        for method, by_role in family.attacks.items()
        for role, attack in by_role.items()
    ]
    place = ("family", *_CELL, "seed", "method", "role", "status", "reason", "named")
    return Table((*place, *_COUNTS), tuple(rows))


def _methods(found: CalibrationTrial) -> Table:
    """A row for each method over all families."""
    plain = ("families", "cells", "opportunities", "requests", "seconds")
    overall = ("recall", "elicitation", "grading", "attribution", "precision")
    by_role = ("false_alarms", "false_flags", "by_chance")
    names = [f"{name}_{role.value}" for name in by_role for role in INNOCENT]
    header = ("method", "null", "seeds", *(state.value for state in State), *plain)
    return Table(
        (*header, *(c for name in (*overall, *names) for c in columns(name))),
        tuple(
            (
                *(row.method, row.null, " ".join(map(str, row.seeds))),
                *(row.states[state] for state in State),
                *(getattr(row, name) for name in plain),
                *(part for name in overall for part in cells(getattr(row, name))),
                *(
                    part
                    for name in by_role
                    for role in INNOCENT
                    for part in cells(getattr(row, name)[role])
                ),
            )
            for row in found.rows
        ),
    )


def _curve(found: CalibrationTrial) -> Table:
    """A row for each method and number of requests: elicitation and recall by then."""
    return Table(
        ("method", "budget", *columns("elicitation"), *columns("recall")),
        tuple(
            (row.method, most, *cells(elicited), *cells(named))
            for row in found.rows
            for most, elicited, named in row.curve
        ),
    )


def _findings(found: CalibrationTrial) -> Table:
    """A row for each finding that is kept: what was asked, what was said, what was named."""
    return Table(
        ("family", "role", "tool", "tool_version", "organism", "attack", "named", "prompt", "said"),
        tuple(
            (
                *(family.family, role.value, each.tool, each.tool_version, each.organism),
                *(each.attack, each.vulnerability_type or ""),
                "\n".join(f"{m.role}: {m.content}" for m in each.prompt),
                each.response,
            )
            for family in found.families
            for by_role in family.attacks.values()
            for role, attack in by_role.items()
            for each in attack.shown
        ),
    )
