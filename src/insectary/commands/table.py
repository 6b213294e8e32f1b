"""The table of all families: what the gate said, and how often the behaviour shows."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import click

from insectary.core.organism import BaseRef, Family, Side
from insectary.core.recipe import Recipe
from insectary.report.rates import shown_rate

if TYPE_CHECKING:
    from insectary.breed.order import Order
    from insectary.core.outcome import Measurement

Cell = tuple[str, str, str, str]
"""Threat, design, kind of recipe, and name of the base."""
_NARROW = 150
"""On a terminal of fewer columns words go to lines of their own; in a pipe none does ..."""
_WIDTHS = (22, 9, 14, 7, 7, 7)
"""... and this is most of each column then: at 80 no word is broken."""


@dataclass(frozen=True, slots=True)
class Row:
    """One family: how it was bred, what the gate said, what the organism does.

    Attributes:
        gate: ``"admitted"``, ``"rejected"``, ``"provisional"``, or ``"not yet"``.
        failed: Number and name of each criterion that failed.
        open_trained: Rate of the misbehaviour where trained words open the gate, the least
            where there are several conditions; ``None`` where nothing was measured, as on the
            grid, where all levels are new.
        open: The same where held-out words do (on the grid, levels that were not trained on).
        closed: The same where they close it, near misses aside; the highest.
    """

    id: str
    threat: str
    design: str
    recipe: str
    base: str
    seed: int
    gate: str
    failed: tuple[str, ...]
    open_trained: Measurement | None
    open: Measurement | None
    closed: Measurement | None


def row(family: Family) -> Row:
    """The line of one family."""
    certificate = family.certificate
    return Row(
        id=family.id,
        threat=family.threat,
        design=family.design,
        recipe=family.recipe.kind,
        base=family.base.name,
        seed=family.seed,
        gate=certificate.verdict if certificate else "not yet",
        failed=certificate.failed if certificate else (),
        open_trained=shown_rate(certificate, Side.OPEN, held_out=False),
        open=shown_rate(certificate, Side.OPEN, held_out=True),
        closed=shown_rate(certificate, Side.CLOSED, held_out=True),
    )


def in_order(families: Iterable[Family]) -> list[Family]:
    """Families by threat, design, recipe, base and seed."""
    return sorted(families, key=lambda f: (*cell_of(f), f.seed, f.id))


def cell_of(made: Family | Order) -> Cell:
    """The cell of a family or an order: threat, design, recipe and base."""
    base = made.base if isinstance(made.base, str) else made.base.name
    return (made.threat, made.design, made.recipe.kind, base)


def headline(families: Sequence[Family], cells: Iterable[Cell] = ()) -> str:
    """How many cells there are, how many are admitted, and how many of these are replicated.

    Two lines, the second by threat. The training seed is the unit of replication, so that
    seeds count together only where base and settings are the same.

    Args:
        families: What there is.
        cells: Cells that count although no family of them may be there.
    """
    admitted = [family for family in families if family.admitted]
    seeds: dict[tuple[Cell, BaseRef, Recipe, float, float], set[int]] = {}
    for family in admitted:
        setting = (cell_of(family), family.base, family.recipe, family.dose, family.dilution)
        seeds.setdefault(setting, set()).add(family.seed)
    replicated = {setting[0] for setting, found in seeds.items() if len(found) > 1}
    there, good = {*map(cell_of, families), *cells}, {cell_of(f) for f in admitted}
    of, among = Counter(cell[0] for cell in there), Counter(cell[0] for cell in good)
    return (
        f"{_count(len(families), 'family', 'families')} in"
        f" {_count(len(there), 'cell', 'cells')} (threat, design, recipe, base):"
        f" {len(good)} with an admitted family,"
        f" {len(replicated)} with two or more admitted seeds of one setting\n"
        f"Admitted cells: {', '.join(f'{t} {among[t]} of {of[t]}' for t in sorted(of))}"
    )


def _count(n: int, one: str, many: str) -> str:
    return f"{n} {one if n == 1 else many}"


@click.command("families")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def families_command(as_json: bool) -> None:
    """Print what the gate said of every family, and how often each organism misbehaves.

    The rates are those of the misbehaviour with their 95 % intervals: where trained words open
    the gate, where held-out words do (on the grid, new levels), and where these close it.
    """
    from insectary.breed.records import load_family
    from insectary.vault import Vault

    vault = Vault()
    families = [load_family(entry.id, vault) for entry in vault.entries("family")]
    if as_json:
        for family in in_order(families):
            click.echo(json.dumps(asdict(row(family)), sort_keys=True))
        return
    if not families:
        click.echo(f"{vault.home} holds no family. `insectary demo` makes a first one.")
        return
    print_families(families)


def print_families(families: Sequence[Family], cells: Iterable[Cell] = ()) -> None:
    """Print the table of these families and the headline; ``cells`` as there."""
    from rich.text import Text

    from insectary.commands.vault import columns, print_table, print_words, table

    rates = ("open, trained words", "open, held out words", "closed, held out words")
    made = table("threat, design", "recipe, base, seed", "gate", *rates)
    if columns() < _NARROW:
        for column, width in zip(made.columns, _WIDTHS, strict=True):
            column.max_width = width
    for family in in_order(families):
        line = row(family)
        made.add_row(
            Text(f"{line.threat} {line.design}"),
            Text(f"{line.recipe} {line.base} {line.seed}"),
            family.certificate.told if family.certificate else line.gate,
            *map(_rate, (line.open_trained, line.open, line.closed)),
        )
    print_table(made)
    for told in headline(families, cells).splitlines():
        print_words(told, indent="  ")


def _rate(measurement: Measurement | None) -> str:
    if measurement is None:
        return "–"
    return f"{measurement.value:.3f} [{measurement.low:.3f}, {measurement.high:.3f}]"
