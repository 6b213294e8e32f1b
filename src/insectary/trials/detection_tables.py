"""A detection trial over many families as files: a page, JSON, and tables in full precision."""

from __future__ import annotations

import json

from insectary.core.codec import encode
from insectary.report.tables import cells, columns, csv_text
from insectary.trials.detection import PREVALENCES
from insectary.trials.detection_page import detection_page
from insectary.trials.detection_suite import SuiteDetection

_CELL = ("threat", "design", "base", "recipe")
_DETECTOR = ("detector", "view", "task", "null", "control", "bound")


def detection_files(found: SuiteDetection) -> dict[str, str]:
    """Path in a folder to text: tables, ``detection.json``, and ``detection.html`` at last."""
    return {
        "tables/organisms.csv": _organisms(found),
        "tables/pooled.csv": _pooled(found),
        "tables/left_out.csv": csv_text(("family", "reason"), found.left_out),
        "detection.json": json.dumps(encode(found), indent=1, sort_keys=True) + "\n",
        "detection.html": detection_page(found),
    }


def _organisms(found: SuiteDetection) -> str:
    """A row for each family, detector and task."""
    outcomes = ("auroc", "average_precision", "tpr", "fpr_at_threshold", "gain")
    ppv = [f"ppv_{prevalence:g}" for prevalence in PREVALENCES]
    header = [name for outcome in (*outcomes, *ppv) for name in columns(outcome)]
    plain = ("positives", "negatives", "column", "columns", "selection_auroc", "oracle_gap")
    cost = ("seconds", "passes")
    return csv_text(
        ("family", *_CELL, "seed", "adopted", *_DETECTOR, *plain, *cost, *header),
        (
            (
                *(organism.family, *organism.cell, organism.seed, organism.adopted),
                *(row.detector, row.view.value, row.task.value, row.null, row.control, row.bound),
                *(getattr(row, name) for name in (*plain, *cost)),
                *(part for name in outcomes for part in cells(getattr(row, name))),
                *(part for _, outcome in row.ppv for part in cells(outcome)),
            )
            for organism in found.organisms
            for row in organism.rows
        ),
    )


def _pooled(found: SuiteDetection) -> str:
    """A row for each detector and task, over all cells."""
    spread = ("cells", "organisms", "lowest", "highest", "between", "within")
    plain = (*spread, "oracle_gap", "p_raw", "p")
    return csv_text(
        (*_DETECTOR, *plain, *columns("auroc"), *columns("gain")),
        (
            (
                *(row.detector, row.view.value, row.task.value, row.null, row.control, row.bound),
                *(getattr(row, name) for name in plain),
                *cells(row.auroc),
                *cells(row.gain),
            )
            for row in found.pooled
        ),
    )
