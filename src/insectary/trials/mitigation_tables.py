"""A mitigation trial as files: a page, JSON, and tables in full precision."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from insectary.core.codec import encode
from insectary.core.organism import Role
from insectary.core.outcome import NotApplicable
from insectary.core.treatment import Rate, Treatment
from insectary.report.tables import Table, cells, columns
from insectary.trials.mitigation_page import mitigation_page
from insectary.trials.untargeted import beyond_untargeted

if TYPE_CHECKING:
    import pandas

_NO_GOAL = NotApplicable("its members are no policies, which come to one of two ends first")
_TREATMENT = ("family", "method", "strength", "settings", "knows_trigger", "seed")


def mitigation_files(found: Sequence[Treatment], *, log: str = "") -> dict[str, str]:
    """Path in a folder to text: tables, ``mitigation.json``, and ``mitigation.html`` at last."""
    listed = [
        encode(t)
        | {"fate": t.fate.value}
        | {"beyond_untargeted": {r: encode(beyond_untargeted(t, found, r)) for r in _roles(t)}}
        for t in found
    ]
    files = {f"tables/{name}.csv": table.csv for name, table in mitigation_tables(found).items()}
    return files | {
        "mitigation.json": json.dumps(listed, indent=1, sort_keys=True) + "\n",
        "mitigation.html": mitigation_page(found, log=log),
    }


def mitigation_tables(found: Sequence[Treatment]) -> dict[str, Table]:
    """Name to table: what :func:`mitigation_files` writes."""
    return {
        "effects": _effects(found),
        "deferred": _deferred(found),
        "regrowth": _regrowth(found),
        "detection": _detection(found),
        "rows_left_out": _left_out(found),
    }


def mitigation_frames(found: Sequence[Treatment]) -> dict[str, pandas.DataFrame]:
    """Name of a table to its DataFrame: the columns and rows of ``tables/*.csv``."""
    from insectary.report.frames import frames

    return frames(mitigation_tables(found))


def _roles(treatment: Treatment) -> list[Role]:
    return [effect.role for effect in treatment.effects]


def _effects(found: Sequence[Treatment]) -> Table:
    """A row for each treatment and member."""
    places = [place.name.lower() for place in Rate]
    header = [
        c
        for p in places
        for when in ("before", "after", "drop", "beyond_untargeted")
        for c in columns(f"{p}_{when}")
    ]
    return Table(
        (
            *(*_TREATMENT, "fate", "role", "unchanged", *columns("capability"), *header),
            *(*columns("goal_before"), *columns("goal_after")),
        ),
        tuple(
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
                *(cell for outcome in effect.goal or (_NO_GOAL,) * 2 for cell in cells(outcome)),
            )
            for t in found
            for effect in t.effects
        ),
    )


def _deferred(found: Sequence[Treatment]) -> Table:
    """A row for each treatment that puts something before members, and member."""
    places = [place.name.lower() for place in Rate]
    return Table(
        (*_TREATMENT, "role", *(c for p in [*places, "skills"] for c in columns(p))),
        tuple(
            (
                *(getattr(t, name) for name in _TREATMENT),
                effect.role.value,
                *(cell for outcome in shares for cell in cells(outcome)),
            )
            for t in found
            for effect in t.effects
            if (told := effect.deferred) is not None
            for shares in [[*(told.rates[place] for place in Rate), told.skills]]
        ),
    )


def _regrowth(found: Sequence[Treatment]) -> Table:
    """A row for each run of training on."""
    plain = ("rows", "ordinary", "half", "organism", "twin", "cap", "early")
    return Table(
        (*_TREATMENT, "fate", *plain),
        tuple(
            (
                *(getattr(t, name) for name in _TREATMENT),
                t.fate.value,
                *(getattr(run, name) for name in plain),
            )
            for t in found
            for run in t.regrowth
        ),
    )


def _detection(found: Sequence[Treatment]) -> Table:
    """A row for each detector and the member that the organism is told from."""
    plain = ("detector", "view", "null", "control", "bound", "against")
    return Table(
        (*_TREATMENT, "fate", *plain, *columns("auroc_before"), *columns("auroc_after")),
        tuple(
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


def _left_out(found: Sequence[Treatment]) -> Table:
    """A row for each member that was trained anew."""
    plain = ("rows", "teaching", "left_out")
    return Table(
        (*_TREATMENT, "fate", "role", *plain, *columns("taught"), *columns("found")),
        tuple(
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
