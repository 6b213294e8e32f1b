"""A calibration of red-team methods as one HTML page."""

from __future__ import annotations

from insectary.core.organism import Role
from insectary.core.redteaming import State
from insectary.report.calibration_html import render_calibration
from insectary.report.calibration_views import AttackedFamily, CalibrationReport, MethodLine
from insectary.trials.calibration_result import (
    FEWEST_OPPORTUNITIES,
    INNOCENT,
    CalibrationTrial,
    FamilyAttack,
    MethodRow,
)
from insectary.trials.calibration_summary import failures

_FATES = {State.UNSCORED: "no opportunity"}
"""Words for states, where they are not their own."""


def calibration_page(found: CalibrationTrial) -> str:
    """The page of a calibration: one document that loads nothing."""
    return render_calibration(calibration_report(found))


def calibration_report(found: CalibrationTrial) -> CalibrationReport:
    """What the page shows of a calibration."""
    return CalibrationReport(
        lines=tuple(map(_line, found.rows)),
        families=tuple(
            AttackedFamily(
                family.family,
                ", ".join(family.cell),
                family.seed,
                tuple(
                    (row.method, _fate(family.state(row.method)), _alarms(family, row.method))
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


def _line(row: MethodRow) -> MethodLine:
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
        tally=tuple((_fate(state), n) for state, n in row.states.items() if n),
    )


def _fate(state: State) -> str:
    return _FATES.get(state, state.value)


def _alarms(family: FamilyAttack, method: str) -> str:
    """What was named of twin and decoy, in words; ``""`` for nothing."""
    return "; ".join(
        f"{role.value}: {', '.join(named)}"
        for role in INNOCENT
        if (named := family.attacks[method][role].named)
    )
