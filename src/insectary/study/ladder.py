"""A study at several sizes: what of its effects changes with size, and how fast."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from insectary.core.errors import BadInputError
from insectary.core.outcome import Measured, NotApplicable, Outcome
from insectary.core.studying import Form, Judgement, Sheet, Study
from insectary.measure.trend import slope
from insectary.study.sheets import having
from insectary.worlds.sizes import WIDTHS


@dataclass(frozen=True, slots=True)
class Climbed:
    """One finding over the sizes.

    Attributes:
        finding: Its id.
        sizes: Size to what the finding comes to there, the smallest first.
        trend: Change of the effect for ten times the size.
    """

    finding: str
    sizes: dict[str, Judgement]
    trend: Outcome


def sized_form(form: Form, sizes: Sequence[str]) -> Form:
    """A form at other sizes; its name says so, as do the measurements made by it.

    Raises:
        BadInputError: if a size is named twice, or none is.
    """
    if not sizes or len(set(sizes)) < len(sizes):
        raise BadInputError(f"sizes have to be named, and each once: {', '.join(sizes) or 'none'}")
    return replace(form, name=f"{form.name} at {', '.join(sizes)}", sizes=tuple(sizes))


def climbed(study: Study, sheet: Sheet) -> tuple[Climbed, ...]:
    """Judge every finding at each size by itself, and the trend of its effect."""
    at = {
        size: study.judge(replace(sheet, cells=having(sheet.cells, size=size)))
        for size in sheet.provenance.sizes
    }
    return tuple(
        Climbed(
            finding.id,
            found := {size: rows[number] for size, rows in at.items()},
            _trend({size: row.effect for size, row in found.items()}),
        )
        for number, finding in enumerate(study.findings)
    )


def _trend(effects: dict[str, Outcome]) -> Outcome:
    measured = {s: e.measurement for s, e in effects.items() if isinstance(e, Measured)}
    if len(measured) < 2:
        return NotApplicable("fewer than two sizes have an effect")
    magnitudes = [_magnitude(size) for size in measured]
    if None in magnitudes:
        return NotApplicable("the sizes are names without a magnitude")
    return Measured(slope([m for m in magnitudes if m is not None], list(measured.values())))


def _magnitude(size: str) -> float | None:
    """A number as it is; a base of the project by its width; nothing else has one."""
    if size in WIDTHS:
        return float(WIDTHS[size])
    try:
        return float(size)
    except ValueError:
        return None
