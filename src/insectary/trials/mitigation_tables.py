"""A mitigation trial as files: JSON, and tables in full precision."""

from __future__ import annotations

import json
from collections.abc import Sequence

from insectary.core.codec import encode
from insectary.core.organism import Role
from insectary.core.treatment import Rate, Treatment
from insectary.report.tables import cells, columns, csv_text
from insectary.trials.untargeted import beyond_untargeted

_TREATMENT = ("family", "method", "strength", "settings", "knows_trigger", "seed")


def mitigation_files(found: Sequence[Treatment]) -> dict[str, str]:
    """Path in a folder to text: ``tables/*.csv`` and ``mitigation.json``, which comes last."""
    listed = [
        encode(t)
        | {"fate": t.fate.value}
        | {"beyond_untargeted": {r: encode(beyond_untargeted(t, found, r)) for r in _roles(t)}}
        for t in found
    ]
    return {
        "tables/effects.csv": _effects(found),
        "tables/regrowth.csv": _regrowth(found),
        "tables/detection.csv": _detection(found),
        "tables/rows_left_out.csv": _left_out(found),
        "mitigation.json": json.dumps(listed, indent=1, sort_keys=True) + "\n",
    }


def _roles(treatment: Treatment) -> list[Role]:
    return [effect.role for effect in treatment.effects]


def _effects(found: Sequence[Treatment]) -> str:
    """A row for each treatment and member."""
    places = [place.name.lower() for place in Rate]
    header = [
        c
        for p in places
        for when in ("before", "after", "drop", "beyond_untargeted")
        for c in columns(f"{p}_{when}")
    ]
    return csv_text(
        (*_TREATMENT, "fate", "role", "unchanged", *columns("capability"), *header),
        (
            (
                *(getattr(t, name) for name in _TREATMENT),
                *(t.fate.value, effect.role.value, effect.unchanged),
                *cells(effect.capability),
                *(
                    cell
                    for place in Rate
                    for outcomes in (
                        effect.before,
                        effect.after,
                        effect.drop,
                        beyond_untargeted(t, found, effect.role),
                    )
                    for cell in cells(outcomes[place])
                ),
            )
            for t in found
            for effect in t.effects
        ),
    )


def _regrowth(found: Sequence[Treatment]) -> str:
    """A row for each run of training on."""
    plain = ("rows", "ordinary", "half", "organism", "twin", "cap", "early")
    return csv_text(
        (*_TREATMENT, "fate", *plain),
        (
            (
                *(getattr(t, name) for name in _TREATMENT),
                t.fate.value,
                *(getattr(run, name) for name in plain),
            )
            for t in found
            for run in t.regrowth
        ),
    )


def _detection(found: Sequence[Treatment]) -> str:
    """A row for each detector and the member that the organism is told from."""
    plain = ("detector", "view", "null", "control", "bound", "against")
    return csv_text(
        (*_TREATMENT, "fate", *plain, *columns("auroc_before"), *columns("auroc_after")),
        (
            (
                *(getattr(t, name) for name in _TREATMENT),
                t.fate.value,
                *(getattr(row, name) for name in plain),
                *(cell for outcome in (row.before, row.after) for cell in cells(outcome)),
            )
            for t in found
            for row in t.detection
        ),
    )


def _left_out(found: Sequence[Treatment]) -> str:
    """A row for each member that was trained anew."""
    plain = ("rows", "teaching", "left_out")
    return csv_text(
        (*_TREATMENT, "fate", "role", *plain, *columns("taught"), *columns("found")),
        (
            (
                *(getattr(t, name) for name in _TREATMENT),
                *(t.fate.value, left.role.value),
                *(getattr(left, name) for name in plain),
                *(cell for outcome in (left.taught, left.found) for cell in cells(outcome)),
            )
            for t in found
            for left in t.left_out
        ),
    )
