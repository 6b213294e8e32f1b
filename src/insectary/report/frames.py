"""The tables of a trial as pandas DataFrames."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Integral, Real
from typing import TYPE_CHECKING

from insectary.report.tables import Table

if TYPE_CHECKING:
    import pandas

_TEXT = ("method", "status", "reason", "bound")
"""How columns end that hold text, should they be empty throughout."""


def frames(tables: Mapping[str, Table]) -> dict[str, pandas.DataFrame]:
    """Name to DataFrame, with the columns and rows of the CSV file of that name.

    Numbers are numbers, truths are booleans, the rest is text; what is missing is NaN, which
    makes a column of whole numbers one of floats.
    """
    return {name: _frame(table) for name, table in tables.items()}


def _frame(table: Table) -> pandas.DataFrame:
    # Imported where it is needed: it takes half a second, and most calls do without.
    import pandas

    columns = zip(*table.rows, strict=True) if table.rows else [()] * len(table.header)
    typed = {name: _typed(name, cells) for name, cells in zip(table.header, columns, strict=True)}
    return pandas.DataFrame(
        {n: pandas.Series(cells, dtype=kind) for n, (cells, kind) in typed.items()}
    )


def _typed(name: str, cells: tuple[object, ...]) -> tuple[list[object], str]:
    """The cells of a column, and the type that holds them."""
    there = [cell for cell in cells if not _missing(cell)]
    if there and all(isinstance(cell, bool) for cell in there):
        kind = "bool" if len(there) == len(cells) else "object"
    elif all(isinstance(cell, Real) for cell in there):
        whole = there and all(isinstance(cell, Integral) for cell in there)
        kind = "int64" if whole and len(there) == len(cells) else "float64"
        if not there and name.endswith(_TEXT):
            kind = "str"
    else:
        kind = "str"
    empty = float("nan")
    text = kind == "str"
    return [empty if _missing(c) else str(c) if text else c for c in cells], kind


def _missing(cell: object) -> bool:
    return cell is None or cell == ""
