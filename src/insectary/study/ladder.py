"""A study at several sizes: what of its effects changes with size, and how fast.

A ladder that is stored is a file of measurements like any other, whose form names its sizes: all
that is told of it is made anew from its cells.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from insectary.core.errors import BadInputError, UnknownNameError
from insectary.core.outcome import Measured, Measurement, NotApplicable, Outcome
from insectary.core.studying import (
    FEWEST_SIZES,
    PARAMETERS,
    TWO_SIZES,
    AtSize,
    Cell,
    Climbed,
    Form,
    Sheet,
    Study,
)
from insectary.measure.trend import slope
from insectary.study.sheets import having
from insectary.study.stored import problems, read_stored, study_of
from insectary.worlds.sizes import WIDTHS

_FEW = "fewer than two sizes have an effect"


def sized_form(form: Form, sizes: Sequence[str]) -> Form:
    """A form at other sizes; its name says so, as do the measurements made by it.

    Raises:
        BadInputError: if a size is named twice, or none is.
    """
    if not sizes or len(set(sizes)) < len(sizes):
        raise BadInputError(f"sizes have to be named, and each once: {', '.join(sizes) or 'none'}")
    return replace(form, name=f"{form.name} at {', '.join(sizes)}", sizes=tuple(sizes))


def asked_sizes(study: str, form: Form, sizes: Sequence[str], bases: Sequence[str]) -> list[str]:
    """The sizes of a ladder: what was named, bases if the study is of text models, or the form's.

    Raises:
        BadInputError: if they are fewer than two, or a base is named and the study not of text.
        UnknownNameError: if it is of text, and a size none of the project's own.
    """
    of_text = set(form.sizes) <= set(WIDTHS)
    if bases and not of_text:
        raise BadInputError(f"--base is for studies of text models, and {study} is none")
    for size in sizes if of_text else ():
        if size not in WIDTHS:
            raise UnknownNameError.of("size (folders and hub ids go by --base)", size, WIDTHS)
    found = [*sizes, *bases] or list(form.sizes)
    if len(found) < 2:
        raise BadInputError(
            f"a ladder has two sizes or more, not {found[0]!r} alone: name them by --sizes"
        )
    return found


def climbed(study: Study, sheet: Sheet) -> tuple[Climbed, ...]:
    """Judge every finding at each size by itself, and what its effect does over sizes.

    A size counts by the parameters that its cells tell, or by the number that its name is.
    """
    cells = {size: having(sheet.cells, size=size) for size in sheet.provenance.sizes}
    counts = {size: _parameters(own) for size, own in cells.items()}
    unit = "size" if None in counts.values() else PARAMETERS
    magnitudes = counts if unit == PARAMETERS else {size: _number(size) for size in cells}
    judged = {size: study.judge(replace(sheet, cells=own)) for size, own in cells.items()}
    ordered = sorted(cells, key=lambda size: magnitudes[size] or 0.0)
    found = []
    for number, finding in enumerate(study.findings):
        sizes = tuple(AtSize(s, magnitudes[s], judged[s][number]) for s in ordered)
        found.append(
            Climbed(sheet.study, finding.id, unit, sizes, _difference(sizes), _trend(sizes))
        )
    return tuple(found)


def read_ladder(path: Path) -> tuple[Climbed, ...]:
    """What a stored ladder comes to, made anew from its cells.

    Raises:
        BadInputError: if the file cannot be read, is of one size, or does not hold.
    """
    stored = read_stored(path)
    study = study_of(stored, path)
    if len(stored.sheet.provenance.sizes) < 2:
        raise BadInputError(
            f"{path} is of one size: `insectary ladder {study.name} --sizes A,B --out FILE` stores"
            " several"
        )
    if found := problems(stored, study):
        raise BadInputError(f"{path} does not hold: {found[0]}")
    return climbed(study, stored.sheet)


def _measured(sizes: Sequence[AtSize]) -> list[tuple[AtSize, Measurement]]:
    return [
        (at, at.judgement.effect.measurement)
        for at in sizes
        if isinstance(at.judgement.effect, Measured)
    ]


def _difference(sizes: Sequence[AtSize]) -> Outcome:
    found = _measured(sizes)
    if len(found) < 2:
        return NotApplicable(_FEW)
    (_, first), (_, last) = found[0], found[-1]
    apart = slope([1.0, 10.0], [first, last])  # one power of ten: the slope is the difference
    return Measured(replace(apart, method="difference of two sizes"))


def _trend(sizes: Sequence[AtSize]) -> Outcome:
    found = _measured(sizes)
    magnitudes = [at.magnitude for at, _ in found]
    if len(found) < FEWEST_SIZES:
        return NotApplicable(TWO_SIZES if len(found) == 2 else _FEW)
    if None in magnitudes:
        return NotApplicable("the sizes are names without a magnitude")
    numbers = [m for m in magnitudes if m is not None]
    if len(set(numbers)) < FEWEST_SIZES:
        return NotApplicable("fewer than three of the sizes differ")
    return Measured(slope(numbers, [m for _, m in found]))


def _parameters(cells: Sequence[Cell]) -> float | None:
    """What the cells of a size tell, if they agree."""
    told = {c.numbers[PARAMETERS].value for c in cells if PARAMETERS in c.numbers}
    return told.pop() if len(told) == 1 else None


def _number(size: str) -> float | None:
    try:
        found = float(size)
    except ValueError:
        return None
    return found if 0 < found < math.inf else None
