"""Reading a sheet: cells at a setting, and one number for each seed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean

from insectary.core.outcome import Failed, Measured, Outcome
from insectary.core.step import Json
from insectary.core.studying import Cell, Number, Point, Setting
from insectary.measure import seed_mean

Columns = list[Mapping[int, float]]
"""Numbers by seed, all with the same seeds: one lot of cells each."""


def having(cells: Iterable[Cell], **dials: Setting) -> tuple[Cell, ...]:
    """The cells at which these dials stand so, whatever the others do."""
    return tuple(c for c in cells if all(c.dials.get(k) == v for k, v in dials.items()))


def counts_cell(dials: Mapping[str, Setting], seed: int, result: Json | Failed, n: int) -> Cell:
    """The cell of a step that counted: each number a share of the ``n`` that were asked."""
    if isinstance(result, Failed):
        return Cell(dials, seed, {}, result)
    return Cell(dials, seed, {name: Number(count / n, n) for name, count in result.items()})


def failure(cells: Iterable[Cell]) -> Failed | None:
    """Why the first cell failed that did: a mean over the others would be one of what was easy."""
    for cell in cells:
        if cell.failed is not None:
            told = ", ".join(f"{name} {value}" for name, value in cell.dials.items())
            return Failed(f"{told}, seed {cell.seed}: {cell.failed.reason}")
    return None


def seed_means(cells: Iterable[Cell], number: str) -> Mapping[int, float] | Failed:
    """Seed to the mean of a number over the seed's cells.

    A failed cell makes the whole fail: a mean over what is left would be one of what was easy.
    """
    found: dict[int, list[float]] = {}
    for cell in cells:
        if cell.failed is not None:
            return Failed(f"a cell failed ({cell.dials}, seed {cell.seed}): {cell.failed.reason}")
        if number not in cell.numbers:
            return Failed(f"{number!r} was not measured in a cell ({cell.dials}, seed {cell.seed})")
        found.setdefault(cell.seed, []).append(cell.numbers[number].value)
    if not found:
        return Failed(f"no cell in which {number!r} was to be measured")
    return {seed: sum(values) / len(values) for seed, values in sorted(found.items())}


def columns(*wanted: tuple[Sequence[Cell], str]) -> Columns | Failed:
    """A number of each lot of cells for each seed, or why one is missing."""
    if not wanted:
        return Failed("no cell of this row")
    found: Columns = []
    for cells, number in wanted:
        values = seed_means(cells, number)
        if isinstance(values, Failed):
            return values
        found.append(values)
        if values.keys() != found[0].keys():
            return Failed("not all cells of this row have the same seeds")
    return found


def mean(column: Mapping[int, float]) -> float:
    """Over seeds."""
    return fmean(column.values())


def less(first: Mapping[int, float], second: Mapping[int, float]) -> dict[int, float]:
    """The first less the second, seed by seed."""
    return {seed: first[seed] - second[seed] for seed in first}


def means_told(what: str, settings: Sequence[float], found: Columns) -> str:
    """The mean at each setting of a dial, in words."""
    pairs = zip(settings, found, strict=False)
    return f"{what} " + ", ".join(f"{s:,}: {mean(column):.3f}" for s, column in pairs)


def over_seeds(values: Mapping[int, float]) -> Outcome:
    """Mean over seeds with its interval; with a single seed there is none."""
    if len(values) < 2:
        return Failed(f"{len(values)} seed: the spread between seeds takes two at least")
    return Measured(seed_mean(list(values.values()), seeds=tuple(values)))


def is_below(values: Mapping[int, float]) -> bool:
    """Whether a mean over seeds is plainly below 0; one seed shows nothing plainly."""
    found = over_seeds(values)
    return isinstance(found, Measured) and found.measurement.high < 0


def point(x: float, cells: Iterable[Cell], number: str) -> Point | None:
    """The mean over seeds as a point of a curve; ``None`` where there is none."""
    values = seed_means(cells, number)
    if isinstance(values, Failed):
        return None
    found = over_seeds(values)
    if not isinstance(found, Measured):
        return None
    m = found.measurement
    return Point(x, m.value, m.low, m.high)


def settings(cells: Iterable[Cell], dial: str) -> list[float]:
    """Where a dial that is a number stands, the least first."""
    return sorted({float(cell.dials[dial]) for cell in cells})


def percent_points(cells: Sequence[Cell], dial: str, number: str) -> tuple[Point, ...]:
    """A number as points over a dial that is a share, in percent."""
    found = [
        point(100 * share, having(cells, **{dial: share}), number)
        for share in settings(cells, dial)
    ]
    return tuple(p for p in found if p is not None)
