"""A detection trial over many families as one HTML page."""

from __future__ import annotations

from insectary.core.outcome import Measured
from insectary.report.detection_html import render_detection
from insectary.report.detection_views import DetectionReport, InFamily, Line, MeasuredFamily
from insectary.trials.detection_pooled import PRIMARY_TASK, PooledRow
from insectary.trials.detection_suite import SuiteDetection


def detection_page(found: SuiteDetection, *, log: str = "") -> str:
    """The page of a trial: one document that loads nothing; ``log`` stands at its foot."""
    return render_detection(detection_report(found), log=log)


def detection_report(found: SuiteDetection) -> DetectionReport:
    """What the page shows of a trial."""
    return DetectionReport(
        lines=tuple(_line(row, found) for row in found.pooled),
        primary=PRIMARY_TASK.value,
        families=tuple(
            MeasuredFamily(each.family, _cell(each.cell), each.seed, each.adopted, each.admitted)
            for each in found.organisms
        ),
        left_out=found.left_out,
        level=found.settings.level,
        fpr=found.settings.fpr,
        draws=found.settings.draws,
        seed=found.settings.seed,
        version=found.version,
    )


def _line(row: PooledRow, found: SuiteDetection) -> Line:
    key = (row.detector, row.view, row.task)
    return Line(
        detector=row.detector,
        view=row.view.value,
        task=row.task.value,
        kind=_kind(row),
        auroc=row.auroc,
        gain=row.gain,
        behind=_behind(row),
        between=row.between,
        within=row.within,
        oracle_gap=row.oracle_gap,
        p=row.p,
        families=tuple(
            InFamily(each.family, _cell(each.cell), mine.auroc)
            for each in found.organisms
            if each.counted
            for mine in each.rows
            if (mine.detector, mine.view, mine.task) == key
        ),
    )


def _kind(row: PooledRow) -> str:
    if row.null or row.control:
        return "null" if row.null else "control"
    return row.bound.value if row.bound else ""


def _behind(row: PooledRow) -> str:
    """What a mean is over; of a null that is drawn many times it is a mean of draws."""
    if not row.cells:
        return ""
    words = f"{_counted(row.cells, 'cell')}, {_counted(row.organisms, 'family', 'families')}"
    # A mean over cells counts cells; only that of a null's draws counts those instead.
    drawn = isinstance(row.auroc, Measured) and "draws" in row.auroc.measurement.method
    n = row.auroc.measurement.n if isinstance(row.auroc, Measured) and drawn else 0
    return f"{n} draws, {words}" if n else words


def _counted(n: int, one: str, many: str = "") -> str:
    return f"{n} {one if n == 1 else many or f'{one}s'}"


def _cell(cell: tuple[str, str, str, str]) -> str:
    return ", ".join(cell)
