"""The matrix of an obfuscation trial as files: JSON, and a table in full precision."""

from __future__ import annotations

import json

from insectary.core.codec import encode
from insectary.core.outcome import NotApplicable
from insectary.report.tables import cells, columns, csv_text
from insectary.trials.obfuscation import MatrixRow, ObfuscationTrial

_FAMILY = ("family", "threat", "design", "base", "recipe", "seed", "against", "weight", "plain")
_DETECTOR = ("detector", "view", "task", "null", "control", "bound")
_MEASURED = ("trained", "held_out", "auroc", "change")


def obfuscation_files(found: ObfuscationTrial) -> dict[str, str]:
    """Path in a folder to text: ``tables/matrix.csv`` and ``obfuscation.json``."""
    header = [name for outcome in _MEASURED for name in columns(outcome)]
    lines = (line for row in found.rows for line in _lines(row))
    return {
        "tables/matrix.csv": csv_text((*_FAMILY, "gate", *_DETECTOR, *header), lines),
        "obfuscation.json": json.dumps(encode(found), indent=1, sort_keys=True) + "\n",
    }


def _lines(row: MatrixRow) -> list[tuple[object, ...]]:
    """A line for each detector and task; one with the reason where nothing was measured."""
    own = (row.family, *row.cell, row.seed, row.against, row.weight, row.plain, row.gate)
    rates = (*cells(row.trained), *cells(row.held_out))
    if not row.seen:
        why = cells(NotApplicable(row.why_not))
        return [(*own, *("" for _ in _DETECTOR), *rates, *why, *why)]
    return [
        (
            *(*own, one.detector, one.view.value, one.task.value, one.null, one.control),
            *(one.bound, *rates, *cells(one.auroc), *cells(one.change)),
        )
        for one in row.seen
    ]
