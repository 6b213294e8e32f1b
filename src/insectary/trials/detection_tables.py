"""A detection trial over many families as files: a page, JSON, and tables in full precision."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import fields

from insectary.core.codec import encode
from insectary.core.outcome import NotApplicable, Outcome
from insectary.report.tables import Table, cells, columns
from insectary.trials.detection_page import detection_page
from insectary.trials.detection_pooled import OrganismRows, PooledRow
from insectary.trials.detection_row import PREVALENCES, DetectionRow
from insectary.trials.detection_suite import SuiteDetection
from insectary.trials.difficulty import CurvePoint, Setting
from insectary.trials.thresholds import Alarms, Source

_CELL = ("threat", "design", "base", "recipe")
_FAMILY = ("family", *_CELL, "seed", "adopted", "admitted")
_DETECTOR = ("detector", "view", "task", "split", "null", "control", "bound")
_SUFFIX = {
    Source.BENIGN_ELSEWHERE: "benign_elsewhere",
    Source.INNOCENT_ELSEWHERE: "innocent_elsewhere",
    Source.OWN_SELECTION: "own_selection",
}
"""What the columns of a threshold end in; the organism's own has ``tpr``, ``fpr_at_threshold``."""
_ELSEWHERE = tuple(f"{rate}_{end}" for end in _SUFFIX.values() for rate in ("tpr", "fpr"))
_UNTRIED = NotApplicable("this threshold was not tried")


def detection_files(found: SuiteDetection, *, log: str = "") -> dict[str, str]:
    """Path in a folder to text: tables, ``detection.json``, and ``detection.html`` at last."""
    files = {f"tables/{name}.csv": table.csv for name, table in detection_tables(found).items()}
    return files | {
        "detection.json": json.dumps(encode(found), indent=1, sort_keys=True) + "\n",
        "detection.html": detection_page(found, log=log),
    }


def detection_tables(found: SuiteDetection) -> dict[str, Table]:
    """Name to table: what :func:`detection_files` writes, and ``found.frames()`` holds."""
    return {
        "organisms": _organisms(found.organisms),
        "pooled": _pooled(found.pooled),
        "splits": _splits(found.splits),
        "splits_pooled": _splits_pooled(found.splits_pooled),
        "difficulty": _difficulty(found.difficulty),
        "left_out": Table(("family", "reason"), found.left_out),
    }


def _organisms(found: Sequence[OrganismRows]) -> Table:
    """A row for each family, detector and task."""
    outcomes = ("auroc", "average_precision", "tpr", "fpr_at_threshold", "gain")
    ppv = [f"ppv_{prevalence:g}" for prevalence in PREVALENCES]
    plain = ("positives", "negatives", "column", "columns", "selection_auroc", "oracle_gap")
    cost = ("seconds", "passes")
    return Table(
        (*_FAMILY, *_DETECTOR, *plain, *cost, *_headed(*outcomes, *ppv, *_ELSEWHERE)),
        tuple(
            (
                *_family(organism),
                *_detector(row),
                *(getattr(row, name) for name in (*plain, *cost)),
                *_filled(*(getattr(row, name) for name in outcomes)),
                *_filled(*(outcome for _, outcome in row.ppv)),
                *_elsewhere(row.alarms),
            )
            for organism in found
            for row in organism.rows
        ),
    )


def _pooled(found: Sequence[PooledRow]) -> Table:
    """A row for each detector and task, over all cells."""
    plain = ("cells", "organisms", "lowest", "highest", "between", "within", "oracle_gap")
    tested = ("p_raw", "p")
    alarms = ("tpr", "fpr_at_threshold", *_ELSEWHERE)
    return Table(
        (*_DETECTOR, *plain, *tested, *_headed("auroc", "gain", *alarms)),
        tuple(
            (
                *_detector(row),
                *(getattr(row, name) for name in (*plain, *tested)),
                *_filled(row.auroc, row.gain),
                *_rates(row.alarms, Source.OWN_BENIGN),
                *_elsewhere(row.alarms),
            )
            for row in found
        ),
    )


def _splits(found: Sequence[OrganismRows]) -> Table:
    """A row for each family, detector, task and split."""
    outcomes = ("auroc", "gain", "tpr", "fpr_at_threshold")
    plain = ("positives", "negatives", "column", "columns", "oracle_gap")
    return Table(
        (*_FAMILY, *_DETECTOR, *plain, *_headed(*outcomes)),
        tuple(
            (
                *_family(organism),
                *_detector(row),
                *(getattr(row, name) for name in plain),
                *_filled(*(getattr(row, name) for name in outcomes)),
            )
            for organism in found
            for row in organism.rows
        ),
    )


def _splits_pooled(found: Sequence[PooledRow]) -> Table:
    """A row for each detector, task and split, over all cells; nothing is tested."""
    plain = ("cells", "organisms", "lowest", "highest", "oracle_gap")
    return Table(
        (*_DETECTOR, *plain, *_headed("auroc", "gain")),
        tuple(
            (
                *_detector(row),
                *(getattr(row, name) for name in plain),
                *_filled(row.auroc, row.gain),
            )
            for row in found
        ),
    )


def _difficulty(found: Sequence[CurvePoint]) -> Table:
    """A row for each setting of a dial, detector and task."""
    bred = tuple(field.name for field in fields(Setting))
    return Table(
        (
            *("dial", *bred, "families", "admitted", "seeds", *columns("expression")),
            *("detector", "view", "task", "null", "control", "bound", *_headed("auroc", "gain")),
        ),
        tuple(
            (
                *(point.dial.value, *(getattr(point.setting, name) for name in bred)),
                *(point.families, point.admitted, " ".join(map(str, point.seeds))),
                *(*cells(point.expression), point.detector, point.view.value, point.task.value),
                *(point.null, point.control, point.bound and point.bound.value),
                *_filled(point.auroc, point.gain),
            )
            for point in found
        ),
    )


def _family(organism: OrganismRows) -> tuple[object, ...]:
    return (organism.family, *organism.cell, organism.seed, organism.adopted, organism.admitted)


def _detector(row: DetectionRow | PooledRow) -> tuple[object, ...]:
    split = row.split if isinstance(row, DetectionRow) else ", ".join(row.split)
    told = (row.view.value, row.task.value, split and str(split))
    return (row.detector, *told, row.null, row.control, row.bound and row.bound.value)


def _headed(*names: str) -> Iterable[str]:
    return (column for name in names for column in columns(name))


def _filled(*outcomes: Outcome) -> Iterable[object]:
    return (cell for outcome in outcomes for cell in cells(outcome))


def _elsewhere(alarms: Sequence[Alarms]) -> Iterable[object]:
    return (cell for source in _SUFFIX for cell in _rates(alarms, source))


def _rates(alarms: Sequence[Alarms], source: Source) -> Iterable[object]:
    """Hits and false alarms at one threshold."""
    none = Alarms(source, _UNTRIED, _UNTRIED)
    found = next((a for a in alarms if a.source is source), none)
    return _filled(found.tpr, found.fpr)
