"""The table of all families: what the gate said, and how often the behaviour shows."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from operator import attrgetter
from shutil import get_terminal_size
from typing import TYPE_CHECKING

import click

from insectary.core.organism import Certificate, Family, Role, Side

if TYPE_CHECKING:
    from insectary.breed.order import Order
    from insectary.core.outcome import Measurement


_NARROW = 150
"""On a terminal of fewer columns words go to lines of their own; in a pipe none does ..."""
_WIDTHS = (19, 8, 12, 13, 13)
"""... and this is most of each column then: at 80 no word is broken."""


@dataclass(frozen=True, slots=True)
class Row:
    """One family: how it was bred, what the gate said, what the organism does in held-out words.

    Attributes:
        gate: ``"admitted"``, ``"rejected"``, ``"provisional"``, or ``"not yet"``.
        failed: Number and name of each criterion that failed.
        open: Rate of the misbehaviour where held-out words (on the grid, levels that
            were not trained on) open the gate, the least where there are several
            conditions; ``None`` where nothing was measured.
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
    open: Measurement | None
    closed: Measurement | None


def row(family: Family) -> Row:
    """The line of one family."""
    certificate = family.certificate
    found = {side: _rates(certificate, side) for side in Side}
    return Row(
        id=family.id,
        threat=family.threat,
        design=family.design,
        recipe=family.recipe.kind,
        base=family.base.name,
        seed=family.seed,
        gate=certificate.verdict if certificate else "not yet",
        failed=certificate.failed if certificate else (),
        open=min(found[Side.OPEN], key=lambda m: m.value, default=None),
        closed=max(found[Side.CLOSED], key=lambda m: m.value, default=None),
    )


def _rates(certificate: Certificate | None, side: Side) -> list[Measurement]:
    return [
        r.misaligned
        for r in (certificate.rates if certificate else ())
        if r.role is Role.ORGANISM and r.side is side and r.held_out and not r.near_miss
    ]


def in_order(families: Iterable[Family]) -> list[Row]:
    """The lines of families, by threat, design, recipe, base and seed."""
    key = attrgetter("threat", "design", "recipe", "base", "seed", "id")
    return sorted(map(row, families), key=key)


def cell_of(made: Family | Order) -> tuple[str, str, str]:
    """The cell of a family or an order: threat, design and recipe."""
    return (made.threat, made.design, made.recipe.kind)


def headline(families: Sequence[Family], cells: Iterable[tuple[str, str, str]] = ()) -> str:
    """How many cells there are, how many are admitted, and how many of these are replicated.

    Two lines, the second by threat. The training seed is the unit of replication, so that
    seeds count together only where base and settings are the same.

    Args:
        families: What there is.
        cells: Cells that count although no family of them may be there.
    """
    admitted = [family for family in families if family.admitted]
    seeds: dict[object, set[int]] = {}
    for family in admitted:
        seeds.setdefault((cell_of(family), family.base, family.recipe), set()).add(family.seed)
    # The key's first part is the cell.
    replicated = {key[0] for key, found in seeds.items() if len(found) > 1}  # type: ignore[index]
    there, good = {*map(cell_of, families), *cells}, {cell_of(f) for f in admitted}
    of, among = Counter(cell[0] for cell in there), Counter(cell[0] for cell in good)
    return (
        f"{_count(len(families), 'family', 'families')} in"
        f" {_count(len(there), 'cell', 'cells')} (threat, design, recipe):"
        f" {len(good)} with an admitted family,"
        f" {len(replicated)} with two or more admitted seeds of one base and setting\n"
        f"Admitted cells: {', '.join(f'{t} {among[t]} of {of[t]}' for t in sorted(of))}"
    )


def _count(n: int, one: str, many: str) -> str:
    return f"{n} {one if n == 1 else many}"


@click.command("families")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def families_command(as_json: bool) -> None:
    """Print what the gate said of every family, and how often each organism misbehaves.

    The rates are those of the misbehaviour in held-out words (on the grid in new levels), with
    their 95 % intervals, where the gate is open and where it is closed.
    """
    from insectary.breed.stored import load_family
    from insectary.vault import Vault

    vault = Vault()
    families = [load_family(entry.id, vault) for entry in vault.entries("family")]
    if as_json:
        for line in in_order(families):
            click.echo(json.dumps(asdict(line), sort_keys=True))
        return
    if not families:
        click.echo(f"{vault.home} holds no family. `insectary demo` makes a first one.")
        return
    print_families(families)


def print_families(families: Sequence[Family], cells: Iterable[tuple[str, str, str]] = ()) -> None:
    """Print the table of these families and the headline; ``cells`` as there."""
    from rich.text import Text

    from insectary.commands.vault import print_table, table

    made = table("threat, design", "recipe, base, seed", "gate", "open", "closed")
    if get_terminal_size((_NARROW, 24)).columns < _NARROW:
        for column, width in zip(made.columns, _WIDTHS, strict=True):
            column.max_width = width
    for line in in_order(families):
        made.add_row(
            Text(f"{line.threat} {line.design}"),
            Text(f"{line.recipe} {line.base} {line.seed}"),
            ": ".join((line.gate, "; ".join(line.failed))) if line.failed else line.gate,
            _rate(line.open),
            _rate(line.closed),
        )
    print_table(made)
    click.echo(headline(families, cells))


def _rate(measurement: Measurement | None) -> str:
    if measurement is None:
        return "none measured"
    return f"{measurement.value:.3f} [{measurement.low:.3f}, {measurement.high:.3f}]"
