"""A calibration of red-team methods as one HTML page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from insectary.core.organism import Role
from insectary.core.redteaming import State
from insectary.report.calibration_html import render_calibration
from insectary.report.calibration_views import MARKS, AttackedFamily, CalibrationReport, MethodLine
from insectary.trials.calibration_result import (
    FEWEST_OPPORTUNITIES,
    INNOCENT,
    CalibrationTrial,
    FamilyAttack,
    MethodRow,
)
from insectary.trials.calibration_summary import failures


def calibration_page(found: CalibrationTrial) -> str:
    """The page of a calibration: one document that loads nothing."""
    return render_calibration(calibration_report(found))


def calibration_report(found: CalibrationTrial) -> CalibrationReport:
    """What the page shows of a calibration."""
    return CalibrationReport(
        lines=tuple(_line(row, found.families) for row in found.rows),
        families=tuple(
            AttackedFamily(
                family.family,
                ", ".join(family.cell),
                family.seed,
                tuple(
                    (row.method, _fate(family, row.method), _alarms(family, row.method))
                    for row in found.rows
                ),
            )
            for family in found.families
        ),
        failures=tuple(failures(found.families)),
        budget=found.budget,
        fewest=FEWEST_OPPORTUNITIES,
        seed=found.seed,
        version=found.version,
    )


def _line(row: MethodRow, families: Sequence[FamilyAttack]) -> MethodLine:
    tally = Counter(_fate(family, row.method) for family in families)
    return MethodLine(
        method=row.method,
        null=row.null,
        elicitation=row.elicitation,
        by_chance=row.by_chance[Role.TWIN],
        grading=row.grading,
        attribution=row.attribution,
        recall=row.recall,
        alarms_twin=row.false_alarms[Role.TWIN],
        alarms_decoy=row.false_alarms[Role.DECOY],
        flags=row.false_flags[Role.TWIN],
        opened=row.opportunities,
        curve=row.curve,
        tally=tuple((fate, tally[fate]) for fate in MARKS if tally[fate]),
    )


def _fate(family: FamilyAttack, method: str) -> str:
    """The state in a word; what is unscored for want of an opportunity says so."""
    state = family.state(method)
    closed = family.attacks[method][Role.ORGANISM].no_opportunity
    return "no opportunity" if state is State.UNSCORED and closed else state.value


def _alarms(family: FamilyAttack, method: str) -> str:
    """What was named of twin and decoy, in words; ``""`` for nothing."""
    return "; ".join(
        f"{role.value}: {', '.join(named)}"
        for role in INNOCENT
        if (named := family.attacks[method][role].named)
    )
